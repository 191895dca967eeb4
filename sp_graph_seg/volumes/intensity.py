"""The one rule for the range of intensities, and the range of a whole volume by it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes.volume import Volume

#: Shares of the values that may lie below and above the range.
_OUTLIERS = (0.001, 0.999)

#: Shares between which the bulk of the values lies.
_BULK = (0.01, 0.99)

#: The range reaches no further than so many widths of the bulk beyond it.
_REACH = 2.0

#: Values that are kept of any number; sorting more would tell nothing new.
_KEPT = 1 << 20


class IntensitySample:
    """A sample of values, bounded in memory, whose range leaves out dead and hot pixels.

    The range runs from the 0.1 to the 99.9 percentile, but no further beyond the bulk, from the 1
    to the 99 percentile, than twice the width of the bulk. Where the bulk is one value, only the
    percentiles count, and where they are alike, minimum and maximum.

    The percentiles alone fail where hot pixels are more than 0.1 %: 0.3 % at 100 times the rest
    leave the rest a hundredth of the range, and with this rule a third of it. A phase is clipped
    only where it is rarer than 1 % and far away, and then to the end of the range, still two
    widths of the bulk from all else; one of 2 % is part of the bulk.

    Up to a million values, all of them count; of more, a random sample of so many, drawn from
    a fixed seed.

    Args:
        total: How many values will come, at most.
    """

    def __init__(self, total: int) -> None:
        self._share = min(1.0, _KEPT / max(total, 1))
        self._generator = np.random.default_rng(0)
        self._parts: list[NDArray] = []
        self._ends: list[float] = []

    def add(self, image: NDArray, inside: NDArray[np.bool_] | None = None) -> None:
        """Takes in the values ``(C, H, W)``, or those inside ``(H, W)``."""
        values = (image if inside is None else image[:, inside]).reshape(-1)
        if not values.size:
            return
        self._ends += [float(values.min()), float(values.max())]
        if self._share < 1:
            count = int(np.ceil(self._share * values.size))
            values = values[self._generator.integers(0, values.size, count)]
        self._parts.append(values)

    def range(self) -> tuple[float, float]:
        """The range; both ends are alike only if all values are.

        Raises:
            InputError: If there is no value.
        """
        if not self._parts:
            raise InputError("intensity range: there is no pixel with data; check masks and NaN.")
        sample = np.concatenate(self._parts).astype(np.float64)
        low, high, near, far = map(float, np.quantile(sample, (*_OUTLIERS, *_BULK)))
        reach = _REACH * (far - near)
        if reach > 0:
            low, high = max(low, near - reach), min(high, far + reach)
        return (low, high) if low < high else (min(self._ends), max(self._ends))


def measure_range(
    volume: Volume, progress: Callable[[int, int], None] | None = None
) -> tuple[float, float]:
    """Measures the range of intensities of a volume, without its outliers.

    The rule is that of :class:`IntensitySample`; each slice is read once.

    Args:
        volume: The volume; all its channels count together. NaN and infinite values are left out
            where the volume has a ``fill``.
        progress: Called with the slices done and their total.

    Returns:
        ``(low, high)``, alike only if the volume is constant.

    Raises:
        InputError: A slice holds NaN or infinite values that no ``fill`` allows (it is named), or
            cannot be read, or there are no values.

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
    """The pixels ``(H, W)`` of ``(C, H, W)`` without a NaN; ``None`` if all are."""
    if image.dtype.kind != "f" or not np.isnan(image.min()):
        return None
    return ~np.isnan(image).any(axis=0)


def check_finite(image: NDArray, volume: Volume, number: int) -> None:
    """Refuses a slice, as read from ``volume.with_nan()``, with values that are no data.

    Raises:
        InputError: If it holds infinite values, or NaN where the volume has no ``fill``.
    """
    bad = image.size - int(np.count_nonzero(np.isfinite(image)))
    if volume.fill is not None:
        bad = int(np.count_nonzero(np.isinf(image)))
    if bad:
        raise InputError(
            f"{volume.path}: {bad} of {image.size} values of slice {number} are NaN or infinite; "
            "take them for no data with --fill, or leave the slice out"
        )
