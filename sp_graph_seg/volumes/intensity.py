"""Measures the intensity range of images and volumes. The rule is the same for both."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes.volume import Volume

#: The percentiles, as shares, at which the range ends.
_OUTLIERS = (0.001, 0.999)

#: The percentiles, as shares, between which the bulk of the values lies.
_BULK = (0.01, 0.99)

#: The range ends at most this many widths of the bulk beyond the bulk.
_REACH = 2.0

#: Most values that are kept. More would not change the percentiles noticeably.
_KEPT = 1 << 20


class IntensitySample:
    """A limited number of pixel values, from which an intensity range is computed.

    The range leaves out dead and hot pixels. It runs from the 0.1th to the 99.9th percentile, but
    both of its ends are limited. For the limits, let P1 and P99 be the 1st and 99th percentiles,
    and W = P99 - P1. The low end is at least P1 - 2 W, and the high end is at most P99 + 2 W. If W
    is 0, there are no limits. If the 0.1th and 99.9th percentiles are equal too, the range runs
    from the minimum to the maximum.

    The limits are needed if more than 0.1 % of the pixels are hot. Suppose that 0.3 % of the pixels
    are 100 times as bright as the others. Without the limits, the other pixels would take only a
    hundredth of the range. With the limits, they take a third. A material is clipped only if it has
    less than 1 % of the pixels, and its values lie outside of these limits.

    Up to about a million values, all values are kept. If more are added, about a million of them
    are drawn at random with a fixed seed.

    Args:
        total: The largest number of values that will be added.
    """

    def __init__(self, total: int) -> None:
        self._share = min(1.0, _KEPT / max(total, 1))
        self._generator = np.random.default_rng(0)
        self._parts: list[NDArray] = []
        self._ends: list[float] = []

    def add(self, image: NDArray, inside: NDArray[np.bool_] | None = None) -> None:
        """Adds the values of an image ``(C, H, W)``, or only those inside of a mask ``(H, W)``."""
        values = (image if inside is None else image[:, inside]).reshape(-1)
        if not values.size:
            return
        self._ends += [float(values.min()), float(values.max())]
        if self._share < 1:
            count = int(np.ceil(self._share * values.size))
            values = values[self._generator.integers(0, values.size, count)]
        self._parts.append(values)

    def range(self) -> tuple[float, float]:
        """Returns the low and high end of the range. They are equal only if all values are equal.

        Raises:
            InputError: No value was added.
        """
        if not self._parts:
            raise InputError(
                "intensity range: there is no pixel with data; check whether the mask is empty or "
                "all values are NaN."
            )
        sample = np.concatenate(self._parts)
        if sample.dtype == bool:
            sample = sample.astype(np.uint8)
        # It stays in its own type: as 64 bits it would take 8 MB.
        shares = np.quantile(sample, (*_OUTLIERS, *_BULK), overwrite_input=True)
        low, high, near, far = map(float, shares)
        reach = _REACH * (far - near)
        if reach > 0:
            low, high = max(low, near - reach), min(high, far + reach)
        return (low, high) if low < high else (min(self._ends), max(self._ends))


def measure_range(
    volume: Volume, progress: Callable[[int, int], None] | None = None
) -> tuple[float, float]:
    """Measures the intensity range of a volume, without its outliers.

    :class:`IntensitySample` describes the rule. Each slice is read once.

    Args:
        volume: The volume. The values of all its channels are used for one range. If the volume
            was opened with a ``fill`` value, its NaN and infinite values count as no data and are
            left out. Without a ``fill`` value, they cause an error.
        progress: A function that is called after each slice, with the number of slices done and
            the number of all slices.

    Returns:
        ``(low, high)``. The two values are equal only if the volume is constant.

    Raises:
        InputError: If a slice cannot be read, no pixel has data, or the volume holds NaN or
            infinite values but was opened without a ``fill`` value.

    Example:
        >>> measure_range(open_volume("scan.tif"))  # doctest: +SKIP
        (1203.0, 40211.0)
    """
    sample = IntensitySample(len(volume) * volume.channels * volume.height * volume.width)
    for number, image in enumerate(volume.with_nan()):
        if image.dtype.kind == "f":
            with np.errstate(over="ignore"):
                image = image.astype(np.float32)
            check_finite(image, volume, number)
        sample.add(image, find_numbers(image))
        if progress is not None:
            progress(number + 1, len(volume))
    return sample.range()


def find_numbers(image: NDArray) -> NDArray[np.bool_] | None:
    """Returns a mask ``(H, W)`` of the pixels that are not NaN, or None if no pixel is NaN."""
    if image.dtype.kind != "f" or not np.isnan(image.min()):
        return None
    return ~np.isnan(image).any(axis=0)


def check_finite(image: NDArray, volume: Volume, number: int) -> None:
    """Raises an InputError if a slice holds values that are not finite.

    If the volume was opened with a ``fill`` value, NaN marks pixels without data and is accepted.

    Args:
        image: The slice, read from ``volume.with_nan()`` and converted to float32.
        volume: The volume, for its ``fill`` and for the message.
        number: The number of the slice, for the message.

    Raises:
        InputError: The slice holds infinite values. Or it holds NaN, and the volume was opened
            without a ``fill`` value.
    """
    bad = image.size - int(np.count_nonzero(np.isfinite(image)))
    if volume.fill is not None:
        bad = int(np.count_nonzero(np.isinf(image)))
    what = f"{volume.path}: {bad} of {image.size} values of {volume.named(number)} are"
    if bad and volume.fill is not None and not np.isnan(volume.fill):
        raise InputError(
            f"{what} too large for float32; scale the values down, or leave out the slice."
        )
    if bad:
        raise InputError(
            f"{what} NaN or infinite; add --fill with a number, such as --fill 0, to treat them as "
            "no data, or leave out the slice."
        )
