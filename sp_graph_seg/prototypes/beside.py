"""Averages the features of a slice of a volume with those of the slices beside it."""

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
    r"""Computes how well two slices agree at each pixel, ``(H, W)``, from 0 to 1.

    The agreement is :math:`\exp(-\lVert d \rVert^2 / (0.2 g)^2)`, where d is the difference of the
    features, smoothed by a Gaussian with a standard deviation of 1.5 pixels, and g is ``gap``. The
    agreement is used as a weight, as in a bilateral filter (Tomasi & Manduchi 1998). So slices are
    not averaged where they show different things.

    Args:
        one: Features of a slice, ``(Q, H, W)``.
        other: Features of the slice beside it, ``(Q, H, W)``.
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
    """Averages the features ``(Q, H, W)`` of a slice with those of the slices beside it.

    The slice itself has weight 1. ``beside`` holds a pair for each slice beside it: the weight
    ``(H, W)`` and the features ``(Q, H, W)``.
    """
    total, weight = features.copy(), np.ones(features.shape[1:], np.float32)
    for share, other in beside:
        total += share * other
        weight += share
    return total / weight


def smallest_gap(centers: Array) -> float:
    """Computes the smallest distance of two of the prototypes ``(K, Q)``. It is 0 if K is 1."""
    distance = np.linalg.norm(centers[:, None] - centers, axis=-1)
    return float(min(distance[np.triu_indices(len(centers), 1)], default=0.0))
