"""Joins nodes whose common boundary cannot be seen, so that labels change at visible edges only."""

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from sp_graph_seg.prototypes.descriptors import Array

#: Nodes are joined if the mean jump of colour along their common boundary is below this, in units
#: of whitened colour.
_JUMP = 2.0


def find_zones(graph: Data, colors: Array) -> NDArray[np.int64]:
    """Finds the zone of each node, ``(N,)``. Zones are connected and numbered from 0.

    At first, each node is a zone. In every round, each zone is joined to its most similar
    neighbour, if the mean jump of colour along their common boundary is below 2 units (the rounds
    of Boruvka's minimum spanning tree, 1926). The rounds end when no zones are joined. Jumps are
    vectors, so jumps to and fro along a boundary cancel.

    Args:
        graph: A graph of :class:`~sp_graph_seg.ToRAG` with the field ``edge_boundary_length``.
        colors: Whitened and smoothed colours of the nodes, ``(N, C)``.
    """
    source, target = graph.edge_index.numpy()  # both directions of each edge
    once = np.flatnonzero(source < target)
    one, other = source[once], target[once]
    length = graph.edge_boundary_length.numpy().ravel()[once].astype(np.float64)
    columns = np.ascontiguousarray(colors.T)
    jump = (columns[:, one] - columns[:, other]) * length  # (C, E)
    count = len(colors)
    zones = np.arange(count)
    while True:
        size = np.sqrt((jump**2).sum(axis=0)) / length
        invisible = np.flatnonzero(size < _JUMP)
        if not len(invisible):
            return np.unique(zones, return_inverse=True)[1]
        order = invisible[np.argsort(-size[invisible], kind="stable")]
        joined = _join_nearest(one[order], other[order], count)
        zones = joined[zones]
        one, other, jump, length = _join_boundaries(joined[one], joined[other], jump, length, count)


def _join_nearest(one: NDArray, other: NDArray, count: int) -> NDArray[np.int64]:
    """Joins each zone to its most similar neighbour.

    Args:
        one: The first zone of each pair of neighbours that may be joined, ``(E,)``. The most
            similar pair comes last.
        other: The second zone of each pair, ``(E,)``.
        count: The number of zones.

    Returns:
        The new number of each zone, ``(count,)``.
    """
    every = np.arange(count)
    nearest = every.copy()
    # The last of several values stays, which is that of the most similar pair.
    nearest[np.stack([one, other], axis=1).ravel()] = np.stack([other, one], axis=1).ravel()
    # Each chain of nearest neighbours ends at two zones that are this to each other.
    joined = np.where(nearest[nearest] == every, np.minimum(nearest, every), nearest)
    while not np.array_equal(further := joined[joined], joined):
        joined = further
    return joined


def _join_boundaries(
    one: NDArray, other: NDArray, jump: Array, length: Array, count: int
) -> tuple[NDArray, NDArray, Array, Array]:
    """Adds up the jumps ``(C, E)`` and lengths of all boundaries between the same two zones.

    Boundaries inside a zone are left out. The first zone of each pair has the smaller number.
    """
    apart = np.flatnonzero(one != other)
    one, other = one[apart], other[apart]
    jump = np.where(one < other, jump[:, apart], -jump[:, apart])
    pairs = np.minimum(one, other) * count + np.maximum(one, other)
    order = pairs.argsort(kind="stable")
    pairs = pairs[order]
    first = np.flatnonzero(np.diff(pairs, prepend=-1))
    pairs = pairs[first]
    if not len(pairs):
        return pairs, pairs, jump, length[apart]
    jump = np.add.reduceat(jump[:, order], first, axis=1)
    return pairs // count, pairs % count, jump, np.add.reduceat(length[apart][order], first)


def mean_over_zones(values: Array, zones: NDArray[np.int64], areas: Array) -> Array:
    """Replaces the values of each node by their mean over its zone, weighted by area.

    Args:
        values: ``(N, K)``, such as the probabilities of labels.
        zones: The zone of each node, ``(N,)``, from :func:`find_zones`.
        areas: The areas of the nodes, ``(N,)``.
    """
    sums = [np.bincount(zones, column * areas) for column in values.T]
    return (np.stack(sums, axis=1) / np.bincount(zones, areas)[:, None])[zones]
