"""Removes the rims that blurred edges leave where three or more grey phases meet."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening, maximum_filter, minimum_filter

Array = NDArray[np.float32]

#: How far, in pixels, both sides of an edge are looked for.
REACH = 2

#: A phase in between is kept where a square of this shape fits into it.
_KEPT = (2, 2)


def remove_rims(values: Array, centers: Array, inside: NDArray[np.bool_] | None = None) -> Array:
    """Sets pixels of a blurred edge to the nearer of its two sides.

    Between a dark and a bright phase a blurred edge takes all values in between, so a thin rim of
    it is nearest to the prototype of a third phase. A pixel counts as such a rim if, within two
    pixels, there is a label below and one above its own, and its label covers no square of 2x2
    pixels there. It gets the smallest or the largest value within two pixels, whichever is nearer
    (Kramer & Bruckner 1975). Two labels have no label in between, so nothing is changed then.

    Args:
        values: ``(H, W)``.
        centers: Values of the prototypes, increasing, ``(K,)``.
        inside: The data pixels, ``(H, W)``; ``None`` for all. The others are not looked at.
    """
    if len(centers) < 3:
        return values
    size = 2 * REACH + 1
    low = minimum_filter(values if inside is None else np.where(inside, values, np.inf), size)
    high = maximum_filter(values if inside is None else np.where(inside, values, -np.inf), size)
    thresholds = (centers[1:] + centers[:-1]) / 2
    darkest, labels, brightest = (
        np.searchsorted(thresholds, part).astype(np.int16) for part in (low, values, high)
    )
    rim = (darkest < labels) & (labels < brightest)
    for label in range(1, len(centers) - 1):
        rim &= ~binary_opening(labels == label, np.ones(_KEPT, bool))
    nearer = np.where(values - low < high - values, low, high)
    return np.where(rim, nearer, values).astype(np.float32)
