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

#: Slices show the same things if their details agree in at least half of the squares of this many
#: pixels a side. Squares without details do not count.
_SQUARE = 16
_SAME = 0.5


def agreement(one: Array, other: Array, gap: float) -> Array:
    r"""Computes how well two slices agree at each pixel, ``(H, W)``, from 0 to 1.

    The agreement is :math:`\exp(-\lVert d \rVert^2 / (0.2 g)^2)`, where d is the difference of the
    features, smoothed by 1.5 pixels, and g is ``gap``. It is used as a weight, as in a bilateral
    filter (Tomasi & Manduchi 1998). So slices are not averaged where they show different things.

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


def are_related(one: Array, other: Array, gap: float) -> bool:
    """Returns whether two slices show the same things, so that edges go on from one to the other.

    The slices are divided into squares of 16x16 pixels. In each square with details, the
    concordance correlation coefficient of the slices is computed (Lin 1989), without its term for
    the means. The slices are related if the median of the coefficients is above 0.5.

    Args:
        one: Grey values of a slice, ``(H, W)``.
        other: Grey values of the slice beside it, ``(H, W)``.
        gap: Distance between the nearest two prototypes. A square has details if the standard
            deviation of its values is above a quarter of ``gap``.
    """
    height, width = (length // _SQUARE * _SQUARE for length in one.shape)
    shape = height // _SQUARE, _SQUARE, width // _SQUARE, _SQUARE
    first, second = (part[:height, :width].reshape(shape) for part in (one, other))
    first, second = (part - part.mean((1, 3), keepdims=True) for part in (first, second))
    common = (first * second).mean((1, 3))
    spread = ((first**2).mean((1, 3)) + (second**2).mean((1, 3))) / 2
    detailed = spread > (gap / 4) ** 2
    if not detailed.any():
        return False
    return bool(np.median(common[detailed] / spread[detailed]) > _SAME)
