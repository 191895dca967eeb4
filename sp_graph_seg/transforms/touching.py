"""Functions that measure the regions of a label map, find touching regions and join small ones.

The ids of regions start at 0. Pixels without data have a negative id and belong to no region.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sp_graph_seg.transforms.adjacency import find_boundary
from sp_graph_seg.transforms.superpixels import Labels

#: Rounds in which small regions are absorbed; each at least halves those that have a neighbour.
_ROUNDS = 6


class Touching(NamedTuple):
    """All pairs of regions that share a pixel face, and all faces between such regions.

    There are E pairs and B faces.
    """

    pairs: Labels
    """``(E, 2)``, the two ids of each pair, with the smaller id first."""
    which: Labels
    """``(B,)``, the pair of regions that each face separates, as an index into ``pairs``."""
    first: Labels
    """``(B,)``, the pixel on one side of each face, as an index into the flattened image."""
    second: Labels
    """``(B,)``, the pixel on the other side of each face, as an index into the flattened image."""


def find_touching(labels: Labels) -> Touching:
    """Finds all pairs of regions that share a pixel face.

    ``labels`` is a label map of an image or a volume, with the region of each pixel.
    """
    first, second, _ = find_boundary(labels)
    num = int(labels.max()) + 1
    i, j = labels.ravel()[first], labels.ravel()[second]
    code, which = np.unique(np.minimum(i, j) * num + np.maximum(i, j), return_inverse=True)
    return Touching(np.stack([code // num, code % num], axis=1), which, first, second)


def region_sizes(labels: Labels) -> Labels:
    """Returns the number of pixels of each of the R regions, ``(R,)``."""
    return np.bincount(labels[labels >= 0])


def region_means(values: NDArray, labels: Labels) -> NDArray[np.float64]:
    """Computes the mean colour of each of the R regions, ``(R, C)``.

    ``values`` are the colours or other values of all pixels. Their last axis is the channels.
    ``labels`` is a label map with the region of each pixel.
    """
    inside = labels >= 0
    ids, size = labels[inside], region_sizes(labels)
    channels = (values[..., c][inside] for c in range(values.shape[-1]))
    return np.stack([np.bincount(ids, c, size.size) / size for c in channels], axis=1)


def number_regions(labels: Labels) -> Labels:
    """Renumbers the regions from 0 without gaps. All negative ids become -1."""
    inside, numbered = labels >= 0, np.full(labels.shape, -1)
    numbered[inside] = np.unique(labels[inside], return_inverse=True)[1]
    return numbered


def fill_nearest(image: NDArray, inside: NDArray[np.bool_]) -> NDArray:
    """Gives each pixel outside a mask the values of the nearest pixel inside the mask.

    The filled image then has no artificial edge at the border of the mask.

    Args:
        image: ``(C, H, W)`` or ``(C, D, H, W)``.
        inside: The mask, ``(H, W)`` or ``(D, H, W)``. At least one pixel must be true.
    """
    if inside.all():
        return image
    nearest = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return image[:, *nearest]


def absorb_small(labels: Labels, values: NDArray, min_size: int) -> Labels:
    """Joins each small region with one of the regions that it touches.

    It is joined with the region whose mean value is most similar. A small region that touches no
    other region is kept.

    Args:
        labels: The region of each pixel, ``(H, W)`` or ``(D, H, W)``.
        values: Colours or other values to compare. The last axis is the channels.
        min_size: A region with fewer pixels is small.
    """
    for _ in range(_ROUNDS):
        size = region_sizes(labels)
        pairs = find_touching(labels).pairs
        if size.min() >= min_size or len(pairs) == 0:
            break
        mean = region_means(values, labels)
        i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
        order = np.lexsort((np.linalg.norm(mean[i] - mean[j], axis=1), i))
        i, j = (
            i[order].astype(np.int32),
            j[order].astype(np.int32),
        )  # as csgraph of scipy 1.11 wants
        nearest = np.r_[True, i[1:] != i[:-1]] & (size[i] < min_size)
        links = (np.ones(nearest.sum()), (i[nearest], j[nearest]))
        graph = coo_array(links, shape=(size.size, size.size))
        joined = connected_components(graph, directed=False)[1].astype(np.int64)
        labels = np.append(joined, -1)[labels]  # -1 is the last
    return labels
