"""The edges of a region adjacency graph, found without a loop over pixels."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from sp_graph_seg.transforms.superpixels import Labels

Offset = tuple[int, ...]


class Boundary(NamedTuple):
    """The B pairs of neighbouring pixels that lie in different superpixels, as flat indices."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    offset: NDArray[np.int64]
    """Index of the pair's offset in :func:`half_neighborhood`, ``(B,)``."""


def half_neighborhood(ndim: int, connectivity: int = 1) -> list[Offset]:
    """Returns the offsets from a pixel to its neighbours, only one of each opposite pair.

    Args:
        ndim: Number of axes.
        connectivity: Largest number of axes along which an offset moves: 1 reaches the pixels that
            share a face, ``ndim`` also those that share only a corner.
    """
    offsets = itertools.product((-1, 0, 1), repeat=ndim)
    return [o for o in offsets if o > (0,) * ndim and np.abs(o).sum() <= connectivity]


def shifted_views(array: NDArray, offset: Offset) -> tuple[NDArray, NDArray]:
    """Returns two views of equal size, the second shifted by an offset against the first."""
    here = tuple(slice(max(0, -o), n - max(0, o)) for o, n in zip(offset, array.shape, strict=True))
    there = tuple(
        slice(max(0, o), n - max(0, -o)) for o, n in zip(offset, array.shape, strict=True)
    )
    return array[here], array[there]


def find_boundary(labels: Labels, connectivity: int = 1) -> Boundary:
    """Finds all pairs of neighbouring pixels in different superpixels; ignores negative ids."""
    is_masked = labels.min(initial=0) < 0
    steps = np.append(np.cumprod(labels.shape[:0:-1])[::-1], 1)

    def pairs() -> Iterator[tuple[NDArray, NDArray, NDArray]]:
        for number, offset in enumerate(half_neighborhood(labels.ndim, connectivity)):
            here, there = shifted_views(labels, offset)
            differs = here != there
            if is_masked:
                differs &= (here >= 0) & (there >= 0)
            places = np.unravel_index(np.flatnonzero(differs), here.shape)
            starts = (max(0, -o) for o in offset)
            first = sum((p + s) * step for p, s, step in zip(places, starts, steps, strict=True))
            yield first, first + np.dot(offset, steps), np.full(len(first), number)

    first, second, offset = zip(*pairs(), strict=True)
    return Boundary(np.concatenate(first), np.concatenate(second), np.concatenate(offset))


def sum_over_edges(
    labels: Labels, boundary: Boundary, values: NDArray[np.float64], num_nodes: int
) -> csr_array:
    """Adds up, for any two touching superpixels, the values of the boundary pairs between them.

    ``values (B,)`` has one value for each pair of ``boundary``. The time is linear in B. The
    rows of the matrix are targets, its columns are sources, and both are sorted.

    Returns:
        A symmetric ``(N, N)`` matrix; row I holds the edges whose target is node I.
    """
    shape = (num_nodes, num_nodes)
    flat = labels.ravel()
    one, other = flat[boundary.first], flat[boundary.second]
    ends = np.minimum(one, other), np.maximum(one, other)
    half = coo_array((values, ends), shape=shape).tocsr().tocoo()  # mirrored when few are left
    # In this order the rows are sorted already: smaller sources are those of the mirrored half.
    ends = np.concatenate([half.col, half.row]), np.concatenate([half.row, half.col])
    return coo_array((np.tile(half.data, 2), ends), shape=shape).tocsr()


def to_edge_index(adjacency: csr_array) -> Tensor:
    """Lists the edges of a matrix, ``(2, E)``, sorted by target (row), then by source (column)."""
    counts = np.diff(adjacency.indptr)
    target = np.repeat(np.arange(adjacency.shape[0]), counts)
    return torch.from_numpy(np.stack([adjacency.indices.astype(np.int64), target]))
