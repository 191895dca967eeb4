"""Ward's method for weighted points (Ward 1963).

It stores a matrix of all pairs of points, so the number of points must be small.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def ward_clusters(points: Array, weights: Array, num_clusters: int) -> NDArray[np.int64]:
    """Computes the cluster of each point, ``(N,)``, by Ward's method.

    Clusters are numbered from 0, in the order of their first points.

    Args:
        points: The points, ``(N, D)``.
        weights: The weights of the points, ``(N,)``, which must be positive.
        num_clusters: Number of clusters. If there are fewer points, each point is a cluster.
    """
    return _merge(points, weights, num_clusters, 0.0)


def merge_near(points: Array, weights: Array, distance: float) -> NDArray[np.int64]:
    """Merges points into clusters by Ward's method, and returns the cluster of each point.

    Merging stops when no two clusters are nearer to each other than ``distance``.
    """
    return _merge(points, weights, 1, distance)


def _merge(points: Array, weights: Array, least: int, distance: float) -> NDArray[np.int64]:
    """Merges clusters until ``least`` are left or, if ``distance`` is set, no two are nearer."""
    means, mass = points.astype(np.float64), weights.astype(np.float64)
    group, alive = np.arange(len(means)), np.ones(len(means), dtype=bool)
    cost = np.stack([_costs(means, mass, i, alive, distance) for i in range(len(means))])
    while alive.sum() > least:
        i, j = divmod(int(cost.argmin()), len(cost))
        if distance and cost[i, j] >= distance**2:
            break
        means[i] = (mass[i] * means[i] + mass[j] * means[j]) / (mass[i] + mass[j])
        mass[i] += mass[j]
        alive[j], group[group == j] = False, i
        cost[j] = cost[:, j] = np.inf
        cost[i] = cost[:, i] = _costs(means, mass, i, alive, distance)
    first, inverse = np.unique(group, return_index=True, return_inverse=True)[1:]
    return np.argsort(np.argsort(first))[inverse]


def _costs(means: Array, mass: Array, i: int, alive: NDArray[np.bool_], distance: float) -> Array:
    """Computes costs of merging cluster i with others: rise of variance, or squared distance."""
    squares = ((means - means[i]) ** 2).sum(axis=1)
    costs = squares if distance else squares * mass * mass[i] / (mass + mass[i])
    costs[~alive] = costs[i] = np.inf
    return costs
