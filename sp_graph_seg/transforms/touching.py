"""Measures the regions of a label map, finds those that touch, and absorbs small ones.

Ids run from 0. Pixels without data have a negative id and belong to no region.
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
    """The E pairs of regions that share a pixel face, and the B faces between them."""

    pairs: Labels
    """``(E, 2)``, the ids of each pair, the smaller one first."""
    which: Labels
    """``(B,)``, the index in ``pairs`` of the two regions that a face separates."""
    first: Labels
    """``(B,)``, the flat index of the pixel on one side of a face."""
    second: Labels
    """``(B,)``, the flat index of the pixel on the other side."""


def find_touching(labels: Labels) -> Touching:
    """Finds the pairs of regions that share a pixel face in a label map ``(*size)``."""
    first, second, _ = find_boundary(labels)
    num = int(labels.max()) + 1
    i, j = labels.ravel()[first], labels.ravel()[second]
    code, which = np.unique(np.minimum(i, j) * num + np.maximum(i, j), return_inverse=True)
    return Touching(np.stack([code // num, code % num], axis=1), which, first, second)


def region_sizes(labels: Labels) -> Labels:
    """Counts the pixels of each region, ``(R,)``."""
    return np.bincount(labels[labels >= 0])


def region_means(values: NDArray, labels: Labels) -> NDArray[np.float64]:
    """Averages values ``(*size, C)`` over each region of a label map ``(*size)``: ``(R, C)``."""
    inside = labels >= 0
    ids, size = labels[inside], region_sizes(labels)
    return np.stack([np.bincount(ids, c, size.size) / size for c in values[inside].T], axis=1)


def number_regions(labels: Labels) -> Labels:
    """Renumbers regions from 0 without gaps; negative ids become -1."""
    inside, numbered = labels >= 0, np.full(labels.shape, -1)
    numbered[inside] = np.unique(labels[inside], return_inverse=True)[1]
    return numbered


def fill_nearest(image: NDArray, inside: NDArray[np.bool_]) -> NDArray:
    """Gives each pixel outside a mask the values of the nearest pixel inside it.

    The image then has no edge along the border of the mask.

    Args:
        image: ``(C, *size)``.
        inside: The mask, ``(*size)``; at least one pixel is true.
    """
    if inside.all():
        return image
    nearest = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return image[:, *nearest]


def absorb_small(labels: Labels, values: NDArray, min_size: int) -> Labels:
    """Joins each small region with the touching region whose mean value is nearest.

    Args:
        labels: The region of each pixel, ``(*size)``.
        values: The values to compare, ``(*size, C)``, such as CIELAB colours.
        min_size: Regions with fewer pixels are joined. A region that touches no other is kept.
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
