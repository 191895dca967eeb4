"""Finds thresholds by Otsu's criterion, and the modes of a histogram."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

#: Share of the values that a histogram leaves out at each end, so that outliers do not stretch it.
_TAILS = (0.0005, 0.9995)

_BINS = 128

#: A mode counts where it rises over the valley beside it by this much in log density: the valley is
#: then at least a third lower than the peak.
MODE_DEPTH = 0.42

#: A mode with a smaller share of the values is ignored, because correlated noise makes such modes,
#: unless it rises by the second depth and has the second share: a crack, or grains that are rare.
_SMALLEST_MODE = 0.01
_RARE_DEPTH, _RAREST_MODE = 1.0, 0.002

#: Above this kurtosis, rare values stand out so much that they are phases, of any grey.
_STAND_OUT = 7.0

#: Modes are counted in pixels where the value changes less than this; at edges it takes all values
#: in between and fills the valleys. If their share is below this, all pixels are used.
_FLAT = 0.08
_FEWEST_FLAT = 0.05


def otsu_thresholds(levels: ArrayLike, counts: ArrayLike, num_labels: int) -> NDArray[np.float64]:
    """Finds the K - 1 thresholds that give the greatest variance between K classes (Otsu).

    Up to a constant, this variance is the sum of S^2 / P over the classes. P is the number of
    pixels of a class and S is the sum of their values (Liao et al. 2001, "A fast algorithm for
    multilevel thresholding"). The result is exact: the best split into k classes is computed from
    the best splits of fewer levels into k - 1 classes.

    Args:
        levels: The different values, increasing, ``(L,)``.
        counts: The number of pixels of each level, or any other positive weight, ``(L,)``.
        num_labels: Number of classes K. If it exceeds L, each level is a class.
    """
    levels, counts = np.asarray(levels, np.float64), np.asarray(counts, np.float64)
    pixels = np.append(0, np.cumsum(counts))
    sums = np.append(0, np.cumsum(counts * (levels - levels.mean())))
    begin, end = np.triu_indices(len(levels) + 1, k=1)
    gain = np.full((len(levels) + 1,) * 2, -np.inf)  # of a class of the levels [begin, end)
    gain[begin, end] = (sums[end] - sums[begin]) ** 2 / (pixels[end] - pixels[begin])

    best, choices = gain[0], []  # best[end]: of all classes up to there
    for _ in range(min(num_labels, len(levels)) - 1):
        total = best[:, np.newaxis] + gain  # (begin of the last class, its end)
        choices.append(total.argmax(axis=0))
        best = total.max(axis=0)
    start, thresholds = len(levels), []
    for choice in reversed(choices):
        start = choice[start]
        thresholds.append((levels[start - 1] + levels[start]) / 2)
    return np.array(thresholds[::-1], dtype=np.float64)


def histogram(
    values: NDArray, bins: int = _BINS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Computes a histogram: the centres and the counts of all bins that are not empty.

    If there are more different values than bins, the lowest 0.05 % and the highest 0.05 % of the
    values are clipped.

    Args:
        values: Finite values in an array of any shape.
        bins: Number of bins. If there are fewer different values, each value gets a bin.
    """
    levels, counts = np.unique(values, return_counts=True)
    if len(levels) > bins:
        low, high = np.quantile(values, _TAILS)
        if not low < high:
            low, high = levels[0], levels[-1]
        counts, edges = np.histogram(np.clip(values, low, high), bins, (low, high))
        levels = (edges[1:] + edges[:-1]) / 2
    return levels[counts > 0].astype(np.float64), counts[counts > 0].astype(np.float64)


def balanced_thresholds(values: NDArray, num_labels: int) -> NDArray[np.float64]:
    """Finds Otsu's thresholds for classes of very different size.

    The weight of a pixel is (density of its value)^(-1/2), so the weight of a bin of the histogram
    is the square root of its number of pixels. Without these weights, Otsu's criterion splits a
    common phase in two before it finds a phase that covers 2 % of the image.
    K-means would do the same.

    Args:
        values: Finite values in an array of any shape.
        num_labels: Number of classes K.

    Returns:
        The thresholds ``(K - 1,)``, increasing. There are fewer if there are fewer than K different
        values.
    """
    levels, counts = histogram(values)
    return otsu_thresholds(levels, np.sqrt(counts), num_labels)


def mode_depths(values: NDArray, bins: int = 200, bandwidth: float = 0.02) -> list[float]:
    """Measures how far each mode of the values rises above the valley beside it.

    The depth of a mode is the height of its peak above the valley between it and a higher mode, in
    the logarithm of a smoothed histogram. If there is a higher mode on both sides, the higher of
    the two valleys counts. A mode with less than 1 % of the values has a depth of 0, unless it has
    at least 0.2 % of the values and a depth of at least 1.

    Args:
        values: Finite values in an array of any shape.
        bins: Number of bins.
        bandwidth: Standard deviation of the smoothing, as a share of the range.

    Returns:
        The depths of all modes except the highest, the largest depth first. The list is empty if
        there is only one mode.
    """
    low, high = np.quantile(values, _TAILS)
    if not low < high:
        return []
    counts = np.histogram(np.clip(values, low, high), bins, (low, high))[0].astype(np.float64)
    density = gaussian_filter1d(counts, bandwidth * bins)
    height = np.log(density / max(density.max(), 1e-12) + 1e-4)
    mass = density / max(density.sum(), 1e-12)
    root = np.full(bins, -1)
    depths: list[float] = []

    def find(bin_: int) -> int:
        while root[bin_] != bin_:
            bin_ = root[bin_]
        return bin_

    for current in np.argsort(-height, kind="stable"):  # the water sinks
        beside = [n for n in (current - 1, current + 1) if 0 <= n < bins and root[n] >= 0]
        peaks = sorted({find(n) for n in beside}, key=lambda peak: height[peak])
        root[current] = peaks[-1] if peaks else current
        if peaks:
            mass[peaks[-1]] += mass[current]
        if len(peaks) == 2:
            depth = float(height[peaks[0]] - height[current])
            least = _SMALLEST_MODE if depth < _RARE_DEPTH else _RAREST_MODE
            depths.append(depth * (mass[peaks[0]] > least))
            mass[peaks[1]] += mass[peaks[0]]
            root[peaks[0]] = peaks[1]
    return sorted(depths, reverse=True)


def count_modes(values: NDArray) -> int:
    """Counts the highest mode, and all modes whose :func:`mode_depths` are at least 0.42."""
    return 1 + sum(depth >= MODE_DEPTH for depth in mode_depths(values))


def rare_values_stand_out(values: NDArray) -> bool:
    """Tells whether values have long tails: their kurtosis is above 7. That of noise is 3."""
    square = (values.astype(np.float64) - values.mean()) ** 2
    return bool((square**2).mean() > _STAND_OUT * square.mean() ** 2)


def flat_pixels(values: NDArray, inside: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Finds the data pixels of values ``(C, H, W)`` that differ little from their neighbours.

    The result is a boolean array ``(H, W)``. If 5 % of the pixels or fewer differ little from their
    neighbours, it is true for all data pixels.
    """
    down, right = np.gradient(values, axis=(1, 2))
    inside = np.ones(values.shape[1:], bool) if inside is None else inside
    flat = inside & (np.sqrt((down**2 + right**2).mean(axis=0)) < _FLAT)
    return flat if flat.mean() > _FEWEST_FLAT else inside
