"""Over-segmentations at different scales; each is one level of a multi-scale graph.

This follows SAS (Li, Wu & Chang, CVPR 2012, section 3): superpixels of several scales and colour
spaces agree inside objects and differ at weak edges, so together they tell more than any one.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_gradient_magnitude
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.color_spaces import Colors, ColorSpace, color_space
from sp_graph_seg.transforms.superpixels import Labels
from sp_graph_seg.transforms.touching import find_touching

#: Makes one over-segmentation of an image ``(C, *size)`` in [0, 1]: ids ``(*size)``.
Level = Callable[[NDArray], Labels]


class FelzenszwalbLevel(NamedTuple):
    """Makes a level by the method of Felzenszwalb & Huttenlocher (IJCV 2004), for images only."""

    space: ColorSpace
    """Colour space of the comparison, see :func:`~sp_graph_seg.transforms.color_space`."""
    scale: float
    """The paper's k, for values from 0 to 255: a larger one makes larger superpixels."""
    sigma: float
    """Standard deviation of the Gaussian that smooths the image first, in pixels."""
    min_size: int
    """Superpixels with fewer pixels are merged into a neighbour."""

    def __call__(self, image: NDArray) -> Labels:
        """Finds the regions of one level: ``(C, H, W)`` -> ``(H, W)``, from 0."""
        from skimage.segmentation import felzenszwalb

        if image.ndim != 3:
            raise InputError(f"levels: {self} is for images, not for volumes; use WatershedLevel.")
        regions = felzenszwalb(
            color_space(image, self.space),
            scale=self.scale,
            sigma=self.sigma,
            min_size=self.min_size,
            channel_axis=-1,
        )
        return regions.astype(np.int64)


class WatershedLevel(NamedTuple):
    """Makes a level of an image or a volume by a watershed that joins shallow basins."""

    space: ColorSpace
    """Colour space of the gradient, see :func:`~sp_graph_seg.transforms.color_space`."""
    sigma: float
    """Standard deviation of the Gaussian of the gradient, in pixels."""
    dynamics: float
    """Least depth of a basin, as a multiple of the median gradient. A shallower basin joins the one
    over its lowest pass (Najman & Schmitt, TPAMI 1996), so a larger value makes larger superpixels.
    """

    def __call__(self, image: NDArray) -> Labels:
        """Finds the regions of one level: ``(C, *size)`` -> ``(*size)``, from 0."""
        from skimage.segmentation import watershed

        gradient = edge_strength(color_space(image, self.space), self.sigma)
        if np.ptp(gradient) == 0:  # flat: scikit-image finds no minimum
            return np.zeros(gradient.shape, dtype=np.int64)
        basins = watershed(gradient).astype(np.int64) - 1
        return flood_basins(gradient, basins, self.dynamics * float(np.median(gradient)))


#: Of images. Chosen on 20 training photographs of BSDS300; coarser ones (scale 600 on) cost 0.06 of
#: A-MI.
LEVELS = (
    FelzenszwalbLevel("lab", 100, 0.5, 50),
    FelzenszwalbLevel("lab", 300, 0.8, 100),
    FelzenszwalbLevel("rgb", 200, 0.8, 100),
    FelzenszwalbLevel("rgb", 300, 0.8, 100),
    FelzenszwalbLevel("hsv", 200, 0.8, 100),
    FelzenszwalbLevel("lab", 200, 2.0, 150),
)

#: Of volumes.
VOLUME_LEVELS = (
    WatershedLevel("lab", 1.0, 0.5),
    WatershedLevel("lab", 1.0, 2.0),
    WatershedLevel("lab", 2.0, 0.5),
    WatershedLevel("lab", 2.0, 2.0),
)


def edge_strength(colors: Colors, sigma: float) -> NDArray[np.float64]:
    """Computes the norm of the gradients of all channels, times sigma, as ``(*size)``."""
    squares = [gaussian_gradient_magnitude(c, sigma) ** 2 for c in np.moveaxis(colors, -1, 0)]
    return np.sqrt(sum(squares)) * sigma


def flood_basins(gradient: NDArray, basins: Labels, height: float) -> Labels:
    """Joins each basin that is less than ``height`` deep with the one over its lowest pass.

    Passes are taken in ascending order, and the deeper of two basins absorbs the other. The result
    is that of a watershed from the minima that are at least ``height`` deep.

    Args:
        gradient: The gradient magnitude, ``(*size)``.
        basins: The watershed of the gradient, ``(*size)``, with ids from 0.
        height: The least depth in the units of the gradient; 0 joins no basins.
    """
    touching, num = find_touching(basins), int(basins.max()) + 1
    if len(touching.pairs) == 0 or height <= 0:
        return basins
    flat = gradient.ravel()
    passes = np.full(len(touching.pairs), np.inf)
    faces = np.maximum(flat[touching.first], flat[touching.second])
    np.minimum.at(passes, touching.which, faces)
    floor = np.full(num, np.inf)
    np.minimum.at(floor, basins.ravel(), flat)
    # Only the passes of a minimum spanning tree join basins. It drops zeros, hence the 1.
    i, j = touching.pairs.astype(np.int32).T
    tree = minimum_spanning_tree(coo_array((passes + 1, (i, j)), shape=(num, num))).tocoo()
    order = np.argsort(tree.data, kind="stable")
    owner = np.arange(num)
    for i, j, top in zip(tree.row[order], tree.col[order], tree.data[order] - 1, strict=True):
        deep, shallow = sorted((_find(owner, i), _find(owner, j)), key=lambda k: (floor[k], k))
        if top - floor[shallow] < height:
            owner[shallow] = deep
    roots = np.array([_find(owner, k) for k in range(num)])
    return np.unique(roots, return_inverse=True)[1][basins]


def _find(owner: Labels, basin: int) -> int:
    while owner[basin] != basin:
        owner[basin] = owner[owner[basin]]
        basin = owner[basin]
    return int(basin)
