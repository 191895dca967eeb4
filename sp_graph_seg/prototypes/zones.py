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
    length = graph.edge_boundary_length.numpy().ravel()
    jump = (colors[source] - colors[target]) * length[:, None]
    count = len(colors)
    zones = np.arange(count)
    while True:
        one, other = zones[source], zones[target]
        apart = one != other
        pairs, pair = np.unique(one[apart] * count + other[apart], return_inverse=True)
        total = np.stack([np.bincount(pair, part) for part in jump[apart].T], axis=1)
        size = np.linalg.norm(total, axis=1) / np.bincount(pair, length[apart])
        joined = _join_nearest(pairs // count, pairs % count, size, count)
        if np.array_equal(joined, np.arange(count)):
            return np.unique(zones, return_inverse=True)[1]
        zones = joined[zones]


def _join_nearest(one: NDArray, other: NDArray, size: Array, count: int) -> NDArray[np.int64]:
    """Joins each zone to its most similar neighbour, if both are this to each other.

    Args:
        one: The first zone of each pair of neighbours, ``(E,)``. Both orders of a pair are given.
        other: The second zone of each pair, ``(E,)``.
        size: The jump of colour between the two zones, ``(E,)``.
        count: The number of zones.

    Returns:
        The new number of each zone, ``(count,)``.
    """
    nearest, least = np.arange(count), np.full(count, np.inf)
    order = np.lexsort((other, -size, one))  # the most similar neighbour comes last
    nearest[one[order]], least[one[order]] = other[order], size[order]
    joined = np.arange(count)
    mutual = (nearest[nearest] == joined) & (nearest > joined) & (least < _JUMP)
    joined[nearest[mutual]] = np.flatnonzero(mutual)
    return joined


def mean_over_zones(values: Array, zones: NDArray[np.int64], areas: Array) -> Array:
    """Replaces the values of each node by their mean over its zone, weighted by area.

    Args:
        values: ``(N, K)``, such as the probabilities of labels.
        zones: The zone of each node, ``(N,)``, from :func:`find_zones`.
        areas: The areas of the nodes, ``(N,)``.
    """
    sums = [np.bincount(zones, column * areas) for column in values.T]
    return (np.stack(sums, axis=1) / np.bincount(zones, areas)[:, None])[zones]
