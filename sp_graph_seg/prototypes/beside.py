"""Averages what is measured in a slice of a volume with the slices beside it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float32]

#: Two slices agree at a pixel if their features, smoothed by this many pixels, differ by less than
#: this share of the distance between the nearest two prototypes.
_SMOOTHING = 1.5
_TOLERANCE = 0.2


def agreement(one: Array, other: Array, gap: float) -> Array:
    r"""Computes how far two slices agree, ``(H, W)``, from 0 to 1.

    With d the difference of the features, smoothed by 1.5 pixels, and g the gap, it is
    :math:`\exp(-\lVert d \rVert^2 / (0.2 g)^2)`: the weight of a bilateral filter (Tomasi &
    Manduchi 1998), so that nothing is averaged across an edge along z, or between slices that have
    nothing to do with each other.

    Args:
        one: Features of a slice, ``(Q, H, W)``.
        other: Those of the slice beside it.
        gap: Distance between the nearest two prototypes.
    """
    total = np.zeros(one.shape[1:], np.float32)
    for own, theirs in zip(one, other, strict=True):
        difference = theirs - own
        gaussian_filter(difference, _SMOOTHING, output=difference)
        np.square(difference, out=difference)
        total += difference
    total /= -((_TOLERANCE * gap) ** 2)
    return np.exp(total, out=total)


def average_beside(features: Array, beside: Iterable[tuple[Array, Array]]) -> Array:
    """Averages a slice ``(Q, H, W)``, of weight 1, with others, pairs of weight and features."""
    total, weight = features.copy(), np.ones(features.shape[1:], np.float32)
    for share, other in beside:
        total += share * other
        weight += share
    return total / weight


def smallest_gap(centers: Array) -> float:
    """Computes the distance between the nearest two of prototypes ``(K, Q)``; 0 for one."""
    distance = np.linalg.norm(centers[:, None] - centers, axis=-1)
    return float(min(distance[np.triu_indices(len(centers), 1)], default=0.0))
