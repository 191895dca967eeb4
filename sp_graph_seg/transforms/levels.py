"""Functions that make over-segmentations of different scales, the levels of a multi-scale graph.

The idea comes from SAS (Li, Wu & Chang, CVPR 2012, section 3). Superpixels of several scales and
colour spaces agree inside objects and differ at weak edges. Together they tell more about an image
than one over-segmentation does.
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
    """A function that over-segments an image by Felzenszwalb & Huttenlocher's method (IJCV 2004).

    It makes one level of a multi-scale graph. It does not support volumes.
    """

    space: ColorSpace
    """Colour space in which colours are compared, see
    :func:`~sp_graph_seg.transforms.color_space`."""
    scale: float
    """The parameter k of the paper, for colours from 0 to 255. A larger k makes larger superpixels.
    """
    sigma: float
    """Standard deviation of the Gaussian that smooths the image first, in pixels."""
    min_size: int
    """Smallest number of pixels in a superpixel. A smaller superpixel is merged with a neighbour.
    """

    def __call__(self, image: NDArray) -> Labels:
        """Over-segments an image ``(C, H, W)``. Returns the superpixel of each pixel, from 0."""
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
    """A function that over-segments an image or a volume by a watershed of its gradient.

    It makes one level of a multi-scale graph. Shallow basins of the watershed are joined.
    """

    space: ColorSpace
    """Colour space in which the gradient is taken, see
    :func:`~sp_graph_seg.transforms.color_space`."""
    sigma: float
    """Standard deviation, in pixels, of the Gaussian that smooths the image for the gradient."""
    dynamics: float
    """Smallest depth of a basin, as a multiple of the median gradient. A shallower basin is joined
    with the neighbour behind its lowest pass (Najman & Schmitt, TPAMI 1996). A larger value
    therefore makes larger superpixels."""

    def __call__(self, image: NDArray) -> Labels:
        """Over-segments an image or a volume. Returns the superpixel of each pixel, from 0."""
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
    """Computes the strength of the edge at each pixel from the gradients of all channels.

    The channels are the last axis of ``colors``. They are smoothed by a Gaussian with standard
    deviation ``sigma``. The strength is ``sigma`` times the Euclidean norm of all gradients.
    """
    squares = [gaussian_gradient_magnitude(c, sigma) ** 2 for c in np.moveaxis(colors, -1, 0)]
    return np.sqrt(sum(squares)) * sigma


def flood_basins(gradient: NDArray, basins: Labels, height: float) -> Labels:
    """Joins each basin of a watershed that is less than ``height`` deep with a neighbour.

    A pass is the lowest place on the border of two basins. The depth of a basin is measured from
    its pass down to its lowest pixel. The passes are visited in ascending order. If the shallower
    of the two basins is less than ``height`` deep, it is joined with the deeper basin. The result
    equals a watershed that starts only from minima at least ``height`` deep.

    Args:
        gradient: The gradient magnitude of each pixel.
        basins: The basin of each pixel, from a watershed of the gradient. Ids start at 0.
        height: The smallest depth, in the units of the gradient. With 0, no basins are joined.
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
