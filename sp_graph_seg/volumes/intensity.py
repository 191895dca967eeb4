"""Measures the intensity range of images and volumes, by one rule."""

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
    """A sample of values, bounded in memory, whose range leaves out dead and hot pixels.

    The range runs from the 0.1th to the 99.9th percentile, but ends at most two widths of the bulk
    beyond the bulk. The bulk is the values from the 1st to the 99th percentile. If the bulk is a
    single value, the range runs from the 0.1th to the 99.9th percentile. If these are equal too, it
    runs from the minimum to the maximum.

    The 0.1th and 99.9th percentiles alone fail if more than 0.1 % of the pixels are hot: if 0.3 %
    are 100 times as bright as the rest, the rest gets a hundredth of the range. With the limit of
    two widths, it gets a third. A material of the sample is clipped only if it takes less than 1 %
    of the pixels and its values are more than two widths from the bulk.

    Up to about a million values, all are kept. Of more, about a million are kept, drawn at random
    with a fixed seed.

    Args:
        total: The largest number of values that will be added.
    """

    def __init__(self, total: int) -> None:
        self._share = min(1.0, _KEPT / max(total, 1))
        self._generator = np.random.default_rng(0)
        self._parts: list[NDArray] = []
        self._ends: list[float] = []

    def add(self, image: NDArray, inside: NDArray[np.bool_] | None = None) -> None:
        """Adds the values of an image ``(C, H, W)``, or only those inside a mask ``(H, W)``."""
        values = (image if inside is None else image[:, inside]).reshape(-1)
        if not values.size:
            return
        self._ends += [float(values.min()), float(values.max())]
        if self._share < 1:
            count = int(np.ceil(self._share * values.size))
            values = values[self._generator.integers(0, values.size, count)]
        self._parts.append(values)

    def range(self) -> tuple[float, float]:
        """Returns the range. Its ends are equal only if all values are equal.

        Raises:
            InputError: If no value was added.
        """
        if not self._parts:
            raise InputError("intensity range: there is no pixel with data; check masks and NaN.")
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
    """Measures the range of intensities of a volume, without its outliers.

    The rule is that of :class:`IntensitySample`. Each slice is read once.

    Args:
        volume: The volume. All its channels count together. If the volume has a ``fill``, NaN and
            infinite values are left out.
        progress: Called with the number of slices done and their total.

    Returns:
        ``(low, high)``, equal only if the volume is constant.

    Raises:
        InputError: A slice cannot be read; it holds NaN or infinite values and the volume has no
            ``fill``; or no pixel has data.

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
    """Finds the pixels of an image that are not NaN, ``(H, W)``; ``None`` if no pixel is NaN."""
    if image.dtype.kind != "f" or not np.isnan(image.min()):
        return None
    return ~np.isnan(image).any(axis=0)


def check_finite(image: NDArray, volume: Volume, number: int) -> None:
    """Refuses a slice with NaN or infinite values. It was read from ``volume.with_nan()``.

    Raises:
        InputError: If it holds infinite values, or NaN where the volume has no ``fill``.
    """
    bad = image.size - int(np.count_nonzero(np.isfinite(image)))
    if volume.fill is not None:
        bad = int(np.count_nonzero(np.isinf(image)))
    if bad:
        raise InputError(
            f"{volume.path}: {bad} of {image.size} values of slice {number} are NaN or infinite; "
            "treat them as no data with --fill, or leave the slice out."
        )
