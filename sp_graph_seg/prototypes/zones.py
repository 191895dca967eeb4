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

    At first, each node is a zone. In every round, two neighbouring zones are joined if no other
    neighbour of either is more similar to it, and if the mean jump of colour along their common
    boundary is below 2 units. The rounds end when no zones are joined. Jumps are vectors, so jumps
    to and fro along a boundary cancel.

    Args:
        graph: A graph of :class:`~sp_graph_seg.ToRAG` with the field ``edge_boundary_length``.
        colors: Whitened and smoothed colours of the nodes, ``(N, C)``.
    """
    source, target = graph.edge_index.numpy()  # both directions of each edge
    once = source < target
    one, other = source[once], target[once]
    length = graph.edge_boundary_length.numpy().ravel()[once].astype(np.float64)
    jump = (colors[one] - colors[other]) * length[:, None]
    count = len(colors)
    zones = np.arange(count)
    while True:
        size = np.linalg.norm(jump, axis=1) / length
        invisible = size < _JUMP
        joined = _join_nearest(one[invisible], other[invisible], size[invisible], count)
        if np.array_equal(joined, np.arange(count)):
            return np.unique(zones, return_inverse=True)[1]
        zones = joined[zones]
        one, other, jump, length = _join_boundaries(joined[one], joined[other], jump, length, count)


def _join_nearest(one: NDArray, other: NDArray, size: Array, count: int) -> NDArray[np.int64]:
    """Joins each zone to its most similar neighbour, if both are this to each other.

    Args:
        one: The first zone of each pair of neighbours that may be joined, ``(E,)``.
        other: The second zone of each pair, ``(E,)``.
        size: The jump of colour between the two zones, ``(E,)``.
        count: The number of zones.

    Returns:
        The new number of each zone, ``(count,)``.
    """
    one, other = np.concatenate([one, other]), np.concatenate([other, one])
    order = np.lexsort((other, -np.concatenate([size, size]), one))
    joined = np.arange(count)
    nearest = joined.copy()
    nearest[one[order]] = other[order]  # the most similar neighbour comes last
    mutual = (nearest[nearest] == joined) & (nearest > joined)
    joined[nearest[mutual]] = np.flatnonzero(mutual)
    return joined


def _join_boundaries(
    one: NDArray, other: NDArray, jump: Array, length: Array, count: int
) -> tuple[NDArray, NDArray, Array, NDArray]:
    """Adds up the jumps and lengths of all boundaries between the same two zones.

    Boundaries inside a zone are left out. The first zone of each pair has the smaller number.
    """
    apart = one != other
    one, other, jump, length = one[apart], other[apart], jump[apart], length[apart]
    jump = np.where((one < other)[:, None], jump, -jump)
    pairs = np.minimum(one, other) * count + np.maximum(one, other)
    pairs, pair = np.unique(pairs, return_inverse=True)
    jump = np.stack([np.bincount(pair, part) for part in jump.T], axis=1)
    return pairs // count, pairs % count, jump, np.bincount(pair, length)


def mean_over_zones(values: Array, zones: NDArray[np.int64], areas: Array) -> Array:
    """Replaces the values of each node by their mean over its zone, weighted by area.

    Args:
        values: ``(N, K)``, such as the probabilities of labels.
        zones: The zone of each node, ``(N,)``, from :func:`find_zones`.
        areas: The areas of the nodes, ``(N,)``.
    """
    sums = [np.bincount(zones, column * areas) for column in values.T]
    return (np.stack(sums, axis=1) / np.bincount(zones, areas)[:, None])[zones]
