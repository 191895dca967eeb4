"""Removes rims of a wrong label at blurred edges, in images of three or more grey phases."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening, maximum_filter, minimum_filter

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Least and greatest width, in pixels, of the rims that are removed.
THINNEST, _WIDEST = 2, 6

#: The contrast of an edge is the range of the values up to this many pixels away. An edge counts if
#: its contrast is half of the strongest contrasts, and the sharpest tenth of the edges decides.
_REACH = 3
_STRONG, _STRONGEST = 0.5, 0.99
_SHARPEST = 0.1

#: Rims are as wide as this multiple of the blur.
_WIDTH_OF_BLUR = 3.0


def find_rim_width(images: Sequence[Array], masks: Sequence[Mask | None]) -> int:
    r"""Finds how wide rims may be, in pixels: three times the blur of the sharpest edges, rounded.

    If a step of contrast c is blurred by a Gaussian of standard deviation s, its steepest slope is
    :math:`c / (s \sqrt{2 \pi})`. So s is found wherever the slope is steepest. The result is at
    least 2 and at most 6.

    Args:
        images: Grey values of the images, ``(H, W)`` each.
        masks: The mask of each image, ``(H, W)``; ``None`` if all pixels have data.
    """
    blurs = np.concatenate([_blurs(*pair) for pair in zip(images, masks, strict=True)])
    if not blurs.size:
        return THINNEST
    blur = float(np.quantile(blurs, _SHARPEST))
    return int(np.clip(round(_WIDTH_OF_BLUR * blur), THINNEST, _WIDEST))


def _blurs(image: Array, inside: Mask | None) -> NDArray[np.float64]:
    """Measures the blur in pixels where the contrast is strong and the slope is steepest."""
    size = 2 * _REACH + 1
    slope = np.hypot(*np.gradient(image))
    contrast = maximum_filter(image, size) - minimum_filter(image, size)
    data = np.ones(image.shape, bool) if inside is None else minimum_filter(inside, size)
    steepest = data & (slope > 0) & (slope == maximum_filter(slope, 3))
    if not steepest.any():
        return np.zeros(0)
    steepest &= contrast > _STRONG * np.quantile(contrast[data], _STRONGEST)
    return contrast[steepest] / (slope[steepest].astype(np.float64) * math.sqrt(2 * math.pi))


def remove_rims(
    values: Array,
    centers: Array,
    inside: Mask | None = None,
    beside: Sequence[Array] = (),
    width: int = THINNEST,
) -> Array:
    """Gives each pixel of a rim at a blurred edge the value of one side of the edge.

    At a blurred edge between a dark and a bright phase, the grey values in between may be nearest
    to the prototype of a third phase. This phase then gets a thin, wrong rim along the edge.

    A pixel belongs to a rim if two conditions hold. First, there are both a lower and a higher
    label than its own within w pixels, where w is ``width``. Second, it lies in no square of w x w
    pixels that all have this label. The pixel then gets the smallest or the largest value within w
    pixels, whichever is nearer to its own value (Kramer & Bruckner 1975). With one or two labels,
    nothing is changed.

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
        width: Width w of the rims, in pixels, see :func:`find_rim_width`. A pixel depends on no
            other that is farther away. With 0, nothing is changed.
    """
    if len(centers) < 3 or width == 0:
        return values
    seen = [values if inside is None else np.where(inside, values, np.nan), *beside]
    size = 2 * width + 1
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
            rim &= ~binary_opening(part, np.ones((width, width), bool))
    nearer = np.where(values - low < high - values, low, high)
    return np.where(rim, nearer, values).astype(np.float32)
