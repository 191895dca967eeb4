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

    The range leaves out dead and hot pixels. It runs from the 0.1th to the 99.9th percentile, with
    one limit. The limit uses the bulk, which is the interval from the 1st to the 99th percentile.
    The range ends at most two widths of the bulk below the bulk and at most two widths above it. If
    the bulk has no width, there is no limit. If the 0.1th and 99.9th percentiles are equal too, the
    range runs from the minimum to the maximum.

    The limit is needed if more than 0.1 % of the pixels are hot. Suppose that 0.3 % of the pixels
    are 100 times as bright as the others. Without the limit, the other pixels would take only a
    hundredth of the range. With the limit, they take a third. A material is clipped only if it
    takes less than 1 % of the pixels and its values are more than two widths away from the bulk.

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
            has a ``fill``, the value of pixels without data, then NaN and infinite values also
            count as no data and are left out.
        progress: A function that is called after each slice, with the number of slices done and
            the number of all slices.

    Returns:
        ``(low, high)``. The two values are equal only if the volume is constant.

    Raises:
        InputError: If a slice cannot be read, if no pixel has data, or if a volume without a
            ``fill`` holds NaN or infinite values.

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

    NaN is accepted if the volume has a ``fill``, because NaN then marks pixels without data. The
    slice must be read from ``volume.with_nan()``.

    Raises:
        InputError: The slice holds infinite values, or NaN although the volume has no ``fill``.
    """
    bad = image.size - int(np.count_nonzero(np.isfinite(image)))
    if volume.fill is not None:
        bad = int(np.count_nonzero(np.isinf(image)))
    if bad:
        raise InputError(
            f"{volume.path}: {bad} of {image.size} values of slice {number} are NaN or infinite; "
            "give --fill to treat them as no data, or leave out the slice."
        )
