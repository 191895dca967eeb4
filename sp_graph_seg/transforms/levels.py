"""Over-segmentations of different scale, of which a multi-scale graph has one for each level.

This follows SAS (Li, Wu & Chang, CVPR 2012, section 3): superpixels of several scales and colour
spaces agree inside objects and differ at weak edges, so together they tell more than the best one.
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
    """One over-segmentation by Felzenszwalb & Huttenlocher (IJCV 2004), of images only."""

    space: ColorSpace
    """What it compares, see :func:`~sp_graph_seg.transforms.color_space`."""
    scale: float
    """k of the paper for values from 0 to 255: larger makes larger regions."""
    sigma: float
    """Gaussian smoothing before, in pixels."""
    min_size: int
    """Smaller regions are merged, in pixels."""

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
    """The basins of the gradient that are deeper than a height, of images and volumes."""

    space: ColorSpace
    """What the gradient is of, see :func:`~sp_graph_seg.transforms.color_space`."""
    sigma: float
    """Scale of the gradient in pixels."""
    dynamics: float
    """A shallower basin floods into the one over its lowest pass (Najman & Schmitt, TPAMI 1996), as
    a multiple of the median gradient: larger makes larger regions."""

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
    """Computes the gradient over all channels, times sigma: ``(*size, C)`` -> ``(*size)``."""
    squares = [gaussian_gradient_magnitude(c, sigma) ** 2 for c in np.moveaxis(colors, -1, 0)]
    return np.sqrt(sum(squares)) * sigma


def flood_basins(gradient: NDArray, basins: Labels, height: float) -> Labels:
    """Joins each basin that is less deep than a height with the one over its lowest pass.

    Passes are taken from the lowest up; the deeper of two basins absorbs the other, so that what is
    left is what a watershed makes whose minima are more than ``height`` deep.

    Args:
        gradient: ``(*size)``.
        basins: Its watershed, ``(*size)``, from 0.
        height: In the units of the gradient; 0 joins none.
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
