"""Functions that find the edges of a region adjacency graph without a loop over pixels."""

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
    """All pairs of neighbouring pixels that lie in different superpixels.

    There are B pairs. ``first (B,)`` and ``second (B,)`` are the indices of the two pixels of each
    pair in the flattened image.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    offset: NDArray[np.integer]
    """``(B,)``, the index in :func:`half_neighborhood` of the offset between the two pixels."""


def half_neighborhood(ndim: int, connectivity: int = 1) -> list[Offset]:
    """Returns the offsets from a pixel to half of its neighbours.

    Two opposite offsets, such as (0, 1) and (0, -1), describe the same pairs of pixels. Only
    one of them is returned: the one whose first nonzero number is positive, here (0, 1).

    Args:
        ndim: Number of axes.
        connectivity: Largest number of axes along which an offset moves. With 1, neighbours share a
            face. With ``ndim``, neighbours may share only a corner.
    """
    offsets = itertools.product((-1, 0, 1), repeat=ndim)
    return [o for o in offsets if o > (0,) * ndim and np.abs(o).sum() <= connectivity]


def shifted_views(array: NDArray, offset: Offset) -> tuple[NDArray, NDArray]:
    """Returns two views of an array that pair each element with the element at an offset.

    Both views have the same shape. At the same index, the second view has the element that is
    ``offset`` away from the element of the first view. Elements without a partner are left out.
    """
    here = tuple(slice(max(0, -o), n - max(0, o)) for o, n in zip(offset, array.shape, strict=True))
    there = tuple(
        slice(max(0, o), n - max(0, -o)) for o, n in zip(offset, array.shape, strict=True)
    )
    return array[here], array[there]


def find_boundary(labels: Labels, connectivity: int = 1) -> Boundary:
    """Finds all pairs of neighbouring pixels that lie in different superpixels.

    Pixels with a negative id belong to no superpixel and are ignored.
    """
    pairs = [
        (first, first + step, np.full(len(first), number, dtype=np.int8))
        for number, (first, step) in enumerate(_crossings(labels, connectivity))
    ]
    return Boundary(*map(np.concatenate, zip(*pairs, strict=True)))


def find_edges(labels: Labels, num_nodes: int, connectivity: int = 1) -> Tensor:
    """Finds the edges between all superpixels that touch, in both directions.

    Args:
        labels: The superpixel of each pixel. Pixels with a negative id are ignored.
        num_nodes: Number of superpixels N.
        connectivity: Which pixels are neighbours, as in :func:`half_neighborhood`.

    Returns:
        The edges ``(2, E)``, sorted by target, then by source.
    """
    return _both_directions(*_count_pairs(labels, num_nodes, connectivity))[0]


def measure_edges(labels: Labels, num_nodes: int) -> tuple[Tensor, NDArray[np.int64]]:
    """Finds the edges like :func:`find_edges`, and the number of pixel faces of each, ``(E,)``."""
    return _both_directions(*_count_pairs(labels, num_nodes, connectivity=1))


def _count_pairs(
    labels: Labels, num_nodes: int, connectivity: int
) -> tuple[NDArray, NDArray[np.int64], int]:
    """Finds all pairs of superpixels that touch, and counts the neighbouring pixels of each.

    Both superpixels of a pair are packed into one integer, as such integers are sorted fastest. The
    number of bits of one superpixel is returned too.
    """
    bits, code = (16, np.uint32) if num_nodes <= 1 << 16 else (32, np.uint64)
    flat = labels.ravel().astype(code)
    pairs = []
    for first, step in _crossings(labels, connectivity):
        one, other = flat.take(first), flat[step:].take(first)
        pairs.append(np.minimum(one, other) << bits | np.maximum(one, other))
    every = np.concatenate(pairs)
    every.sort()
    is_new = np.ones(len(every), dtype=bool)
    np.not_equal(every[1:], every[:-1], out=is_new[1:])
    begin = np.flatnonzero(is_new)
    return every[begin], np.diff(begin, append=len(every)), bits


def _both_directions(
    pairs: NDArray, counts: NDArray[np.int64], bits: int
) -> tuple[Tensor, NDArray[np.int64]]:
    """Unpacks pairs into edges ``(2, E)``, sorted by target, then by source."""
    edges = np.concatenate([pairs, pairs << bits | pairs >> bits])
    order = edges.argsort(kind="stable")
    edges = edges[order]
    ends = np.stack([edges & ((1 << bits) - 1), edges >> bits])
    return torch.from_numpy(ends.astype(np.int64)), np.tile(counts, 2)[order]


def _crossings(labels: Labels, connectivity: int) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Finds the pairs of neighbouring pixels in different superpixels, one offset after the other.

    For each offset, yields two things: the indices of the first pixels of all pairs in the
    flattened image, and the number that is added to such an index to get the second pixel.
    """
    is_masked = labels.min(initial=0) < 0
    steps = np.append(np.cumprod(labels.shape[:0:-1])[::-1], 1)
    for offset in half_neighborhood(labels.ndim, connectivity):
        here, there = shifted_views(labels, offset)
        is_first = np.zeros(labels.shape, dtype=bool)
        differs, _ = shifted_views(is_first, offset)
        np.not_equal(here, there, out=differs)
        if is_masked:
            differs &= (here >= 0) & (there >= 0)
        yield np.flatnonzero(is_first), int(np.dot(offset, steps))


def sum_over_edges(
    labels: Labels, boundary: Boundary, values: NDArray[np.float64], num_nodes: int
) -> csr_array:
    """Computes the sum of values along the boundary between every two touching superpixels.

    The boundary consists of all pairs of neighbouring pixels with one pixel in each superpixel. The
    running time is proportional to B, the number of pairs in ``boundary``.

    Args:
        labels: The superpixel of each pixel.
        boundary: All pairs of neighbouring pixels in different superpixels.
        values: One value for each pair, ``(B,)``.
        num_nodes: Number of superpixels N.

    Returns:
        A sparse, symmetric matrix ``(N, N)``. The element in row I and column J is the sum for the
        edge from superpixel J to superpixel I. The elements of a row are sorted by column.
    """
    shape = (num_nodes, num_nodes)
    flat = labels.ravel()
    one, other = flat[boundary.first], flat[boundary.second]
    ends = np.minimum(one, other), np.maximum(one, other)
    half = coo_array((values, ends), shape=shape).tocsr().tocoo()  # mirrored when few are left
    # In this order the rows are sorted already: smaller sources are those of the mirrored half.
    ends = np.concatenate([half.col, half.row]), np.concatenate([half.row, half.col])
    return coo_array((np.tile(half.data, 2), ends), shape=shape).tocsr()
