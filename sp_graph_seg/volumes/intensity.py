"""measure_range: percentiles of a whole volume in bounded memory, exactly."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes.volume import Volume

_BINS = 2**16
_PIECE = 2**20
_SIGN = np.uint32(2**31)


def measure_range(
    volume: Volume,
    low: float = 0.001,
    high: float = 0.999,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[float, float]:
    r"""Measure the range of intensities of a volume, without its outliers.

    The values are counted while the slices stream by, in two tables of 65536 counts whatever the
    size of the volume. The result is exact: the quantile q is the smallest value v such that at
    least q n of the n values are no larger than v; q = 0 and q = 1 are minimum and maximum. Types
    of up to 16 bits need one pass, one count for each value. Others are rounded to float32 and take
    two passes, a radix selection: the upper 16 bits of the numbers, in an order-preserving code,
    tell the bins of the quantiles; the lower 16 bits are then counted inside these bins.

    Args:
        volume: The volume; all its channels count together.
        low: Share of the values at or below the lower end.
        high: Share of the values at or below the upper end.
        progress: Called with the slices done and the total of all passes.

    Returns:
        ``(lo, hi)``. Where both would be alike, minimum and maximum are given instead: they are
        alike only if the volume is constant.

    Raises:
        InputError: The shares are not 0 <= low < high <= 1; a slice holds NaN or infinite values
            (it is named); or a slice cannot be read.

    Example:
        >>> measure_range(open_volume("scan.tif"))  # doctest: +SKIP
        (1203.0, 40211.0)
    """
    if not 0 <= low < high <= 1:
        raise InputError(f"low, high: {low} and {high} are no shares; give 0 <= low < high <= 1")
    is_short = volume.dtype.itemsize <= 2 and volume.dtype.kind in "bui"
    passes = _Progress(progress, len(volume) * (1 if is_short else 2))
    if is_short:
        offset = 0 if volume.dtype.kind == "b" else int(np.iinfo(volume.dtype).min)
        counts = np.zeros(_BINS, np.int64)
        for values in _pieces(volume, passes):
            codes = values.astype(np.int64)
            codes -= offset
            counts += np.bincount(codes, minlength=_BINS)
        wanted = [_place(counts, share)[0] + offset for share in (low, high, 0.0, 1.0)]
        ends = [float(value) for value in wanted]
    else:
        ends = _select(volume, (low, high, 0.0, 1.0), passes)
    return (ends[0], ends[1]) if ends[0] < ends[1] else (ends[2], ends[3])


def _select(volume: Volume, shares: tuple[float, ...], passes: "_Progress") -> list[float]:
    """Find quantiles of numbers of 32 bits by counting first their upper, then their lower half."""
    upper = np.zeros(_BINS, np.int64)
    for values in _pieces(volume, passes):
        upper += np.bincount(_code(values) >> np.uint32(16), minlength=_BINS)
    places = [_place(upper, share) for share in shares]
    lower = {place: np.zeros(_BINS, np.int64) for place, _ in places}
    for values in _pieces(volume, passes):
        codes = _code(values)
        for place, counts in lower.items():
            inside = codes[codes >> np.uint32(16) == place]
            counts += np.bincount(inside & np.uint32(_BINS - 1), minlength=_BINS)
    found = []
    for place, rank in places:
        low_half = int(np.searchsorted(np.cumsum(lower[place]), rank))
        found.append(_decode(place * _BINS + low_half))
    return found


def _place(counts: np.ndarray, share: float) -> tuple[int, int]:
    """Find the bin of a quantile, and its rank (from 1) among the values of that bin."""
    total = int(counts.sum())
    rank = min(max(math.ceil(Fraction(str(share)) * total), 1), total)
    cumulative = np.cumsum(counts)
    place = int(np.searchsorted(cumulative, rank))
    return place, rank - int(cumulative[place] - counts[place])


def _code(values: np.ndarray) -> np.ndarray:
    """Give float32 numbers as uint32 of the same order: invert negative ones, else the sign."""
    bits = (values + np.float32(0)).view(np.uint32)  # -0 becomes 0
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _decode(code: int) -> float:
    """Undo `_code`."""
    bits = np.array([code], np.uint32)
    bits = np.where(bits & _SIGN, bits ^ _SIGN, ~bits)
    return float(bits.view(np.float32)[0])


def _pieces(volume: Volume, passes: "_Progress") -> Iterator[np.ndarray]:
    """Read the values in small flat pieces, short types as they are, others as finite float32."""
    for number, image in enumerate(volume):
        for first in range(0, image.size, _PIECE):
            values = image.reshape(-1)[first : first + _PIECE]
            if values.dtype.itemsize > 2 or values.dtype.kind == "f":
                with np.errstate(over="ignore"):
                    values = values.astype(np.float32)
                if not np.isfinite(values).all():
                    raise _not_finite(volume, number, image)
            yield values
        passes.step()


def _not_finite(volume: Volume, number: int, image: np.ndarray) -> InputError:
    bad = image.size - int(np.count_nonzero(np.isfinite(image)))
    if bad == 0:
        return InputError(
            f"{volume.path}: slice {number} holds values too large for float32; rescale them"
        )
    return InputError(
        f"{volume.path}: {bad} of {image.size} values of slice {number} are NaN or infinite; "
        "read them as a number with --fill, or leave the slice out"
    )


class _Progress:
    """Counts the slices of all passes."""

    def __init__(self, report: Callable[[int, int], None] | None, total: int) -> None:
        self._report, self._total, self._done = report, total, 0

    def step(self) -> None:
        """Report one more slice."""
        self._done += 1
        if self._report is not None:
            self._report(self._done, self._total)
