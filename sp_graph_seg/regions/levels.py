"""Several over-segmentations of one image, and the cells that they cut it into.

This follows SAS (Li, Wu & Chang, CVPR 2012, section 3): superpixels of several scales and colour
spaces agree inside objects and differ at weak edges, so together they tell more than the best one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.regions.touching import number_regions, region_sizes
from sp_graph_seg.transforms.superpixels import Labels

Colors = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Level(NamedTuple):
    """One over-segmentation by Felzenszwalb & Huttenlocher (IJCV 2004)."""

    space: Literal["rgb", "lab", "hsv"]
    """What it compares, see :func:`color_space`."""
    scale: float
    """k of the paper for values from 0 to 255: larger makes larger regions."""
    sigma: float
    """Gaussian smoothing before, in pixels."""
    min_size: int
    """Smaller regions are merged, in pixels."""


#: Chosen on 20 training photographs of BSDS300; coarser ones (scale 600 on) cost 0.06 of A-MI.
LEVELS = (
    Level("lab", 100, 0.5, 50),
    Level("lab", 300, 0.8, 100),
    Level("rgb", 200, 0.8, 100),
    Level("rgb", 300, 0.8, 100),
    Level("hsv", 200, 0.8, 100),
    Level("lab", 200, 2.0, 150),
)


@dataclass(frozen=True)
class Cells:
    """M over-segmentations of an image and their common refinement.

    Pixels in the same region of every level have the same links, hence the same row of the
    bipartite graph and the same value in its eigenvectors: they are one cell. So the transfer cut
    works on N cells (1000 to 4000 in a photograph) instead of all pixels, each weighted by its
    number of pixels, and is exact.

    Attributes:
        levels: ``(M, H, W)``, ids from 0 in each level, -1 where there is no data.
        cells: ``(H, W)``, ids from 0 to N - 1, and -1.
        member: ``(N, M)``, the region of each cell in each level.
        size: ``(N,)``, pixels of each cell.
    """

    levels: Labels
    cells: Labels
    member: Labels
    size: Labels


def over_segment(
    image: NDArray, levels: Sequence[Level] = LEVELS, mask: Mask | None = None
) -> Cells:
    """Makes over-segmentations of an image ``(C, H, W)`` in [0, 1], and their cells.

    Args:
        image: Pixels outside the mask should look like the nearest ones inside.
        levels: One or more.
        mask: True for the data pixels, ``(H, W)``.
    """
    maps = [felzenszwalb_level(image, level) for level in levels]
    if mask is not None:
        maps = [number_regions(np.where(mask, labels, -1)) for labels in maps]
    return common_cells(np.stack(maps))


def felzenszwalb_level(image: NDArray, level: Level) -> Labels:
    """Finds the regions of one level: ``(C, H, W)`` -> ``(H, W)``, from 0."""
    from skimage.segmentation import felzenszwalb

    regions = felzenszwalb(
        color_space(image, level.space),
        scale=level.scale,
        sigma=level.sigma,
        min_size=level.min_size,
        channel_axis=-1,
    )
    return regions.astype(np.int64)


def color_space(image: NDArray, space: Literal["rgb", "lab", "hsv"]) -> Colors:
    """Converts ``(C, H, W)`` in [0, 1] to ``(H, W, 3)`` of about the same range.

    Three channels are taken as RGB; CIELAB is divided by 100, and the hue of HSV is a vector, so
    that red is one colour. In every space, grey values take the place of lightness. For any other
    number of channels, the first three principal components take the places of lightness, a and b.
    """
    from skimage import color

    if len(image) != 3:
        return _principal_components(image)
    values = np.moveaxis(image, 0, -1)
    if space == "rgb":
        return values
    if space == "lab":
        return color.rgb2lab(values) / 100
    h, s, v = np.moveaxis(color.rgb2hsv(values), -1, 0)
    chroma, angle = 0.5 * s * v, 2 * np.pi * h
    return np.stack([chroma * np.cos(angle), chroma * np.sin(angle), v], axis=-1)


def _principal_components(image: NDArray) -> Colors:
    """Converts ``(C, H, W)`` to ``(H, W, 3)``; C equal channels give the same as one."""
    values = image.reshape(len(image), -1).astype(np.float64)
    middle = values.mean(axis=1, keepdims=True)
    values = values - middle
    axes = np.linalg.eigh(values @ values.T)[1][:, :-4:-1].T  # the largest three first
    axes = axes * np.where(axes.sum(axis=1, keepdims=True) < 0, -1, 1)  # bright stays bright
    shares = axes @ values / np.sqrt(len(image))
    colors = np.zeros((*image.shape[1:], 3))
    colors.reshape(-1, 3)[:, : len(axes)] = shares.T
    colors[..., 0] += middle.mean()
    return colors


def common_cells(levels: Labels) -> Cells:
    """Finds the cells of levels ``(M, H, W)``, which must be negative at the same pixels."""
    inside = levels[0] >= 0
    code = np.zeros(inside.sum(), dtype=np.int64)
    for level in levels:
        code = code * (int(level.max()) + 1) + level[inside]
        code = np.unique(code, return_inverse=True)[1]  # keeps the numbers small
    cells = np.full(inside.shape, -1)
    cells[inside] = code
    size = region_sizes(cells)
    member = np.empty((size.size, len(levels)), dtype=np.int64)
    for number, level in enumerate(levels):
        member[code, number] = level[inside]
    return Cells(levels, cells, member, size)
