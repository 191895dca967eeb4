"""Removes thin rims of a wrong label at blurred edges, in images of three or more grey phases."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening, maximum_filter, minimum_filter

Array = NDArray[np.float32]

#: How far, in pixels, both sides of an edge are looked for.
REACH = 2

#: A phase in between is kept where a square of this shape fits into it.
_KEPT = (2, 2)


def remove_rims(
    values: Array,
    centers: Array,
    inside: NDArray[np.bool_] | None = None,
    beside: Sequence[Array] = (),
) -> Array:
    """Gives each pixel of a rim at a blurred edge the value of one side of the edge.

    At a blurred edge between a dark and a bright phase, the grey values in between may be nearest
    to the prototype of a third phase. This phase then gets a thin, wrong rim along the edge.

    A pixel belongs to a rim if two conditions hold. First, there are both a lower and a higher
    label than its own within two pixels. Second, it lies in no square of 2x2 pixels that all
    have this label. The pixel then gets the smallest or the largest value within two pixels,
    whichever is nearer to its own value (Kramer & Bruckner 1975). With one or two labels, nothing
    is changed.

    In a volume, the slices beside the slice are looked at too. The lower or the higher label may
    lie there, and the square must have the same label in one of them. Otherwise, the top and the
    bottom of a ball would get a thick rim.

    Args:
        values: Grey values of the pixels, ``(H, W)``.
        centers: Values of the prototypes, increasing, ``(K,)``.
        inside: The data pixels, ``(H, W)``; ``None`` if all pixels have data. The values of all
            other pixels are ignored.
        beside: Grey values of up to two slices beside this one, each ``(H, W)``. They are NaN where
            a slice has no data.
    """
    if len(centers) < 3:
        return values
    seen = [values if inside is None else np.where(inside, values, np.nan), *beside]
    size = 2 * REACH + 1
    low, high = np.fmin.reduce(seen), np.fmax.reduce(seen)
    low = minimum_filter(np.where(np.isnan(low), np.inf, low), size)
    high = maximum_filter(np.where(np.isnan(high), -np.inf, high), size)
    thresholds = (centers[1:] + centers[:-1]) / 2
    darkest, labels, brightest, *others = (
        np.searchsorted(thresholds, part).astype(np.int16) for part in (low, values, high, *beside)
    )
    rim = (darkest < labels) & (labels < brightest)
    for label in range(1, len(centers) - 1):
        own = labels == label
        for part in [own & (other == label) for other in others] or [own]:
            rim &= ~binary_opening(part, np.ones(_KEPT, bool))
    nearer = np.where(values - low < high - values, low, high)
    return np.where(rim, nearer, values).astype(np.float32)
