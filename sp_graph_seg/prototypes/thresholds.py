"""Finds thresholds by the variance between classes, and the modes of a histogram."""

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

#: Modes are counted in pixels where the value changes less than this; at edges it takes all values
#: in between and fills the valleys. If their share is below this, all pixels are used.
_FLAT = 0.08
_FEWEST_FLAT = 0.05


def otsu_thresholds(levels: ArrayLike, counts: ArrayLike, num_labels: int) -> NDArray[np.float64]:
    """Finds the ``(K - 1,)`` thresholds with the greatest variance between the K classes.

    Up to a constant, that variance is the sum over the classes of S^2 / P, where P is the number of
    pixels of a class and S the sum of their values (Liao et al. 2001, "A fast algorithm for
    multilevel thresholding"). The best split of the first levels into k classes follows from the
    best splits into k - 1.

    Args:
        levels: The different values, increasing, ``(L,)``.
        counts: The number of pixels of each level, or any other positive weight, ``(L,)``.
        num_labels: Number of classes K; at most L are made.
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
    """Computes the centres and the counts of the filled bins of a histogram.

    If there are more different values than bins, the outermost 0.05 % at each end are clipped.

    Args:
        values: Any shape, finite.
        bins: Number of bins. If there are fewer different values, each is its own bin.
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

    The weight of a pixel is (density of its value)^(-1/2), so each bin of the histogram counts as
    the square root of its number of pixels. Otsu's own criterion, like that of K-means, splits a
    common phase before it finds one that covers 2 % of the image.

    Args:
        values: Any shape, finite.
        num_labels: Number of classes K.

    Returns:
        The thresholds ``(K - 1,)``, increasing; fewer if there are fewer different values.
    """
    levels, counts = histogram(values)
    return otsu_thresholds(levels, np.sqrt(counts), num_labels)


def mode_depths(values: NDArray, bins: int = 200, bandwidth: float = 0.02) -> list[float]:
    """Measures how far each mode of the values, except the highest, rises above its valley.

    The histogram is smoothed. The depth of a mode is its persistence in log density: its height
    above the valley between it and a higher mode, on the side where the valley is higher. A mode
    with less than 1 % of the values has a depth of 0, unless it has 0.2 % of them and a depth of 1.

    Args:
        values: Any shape, finite.
        bins: Number of bins.
        bandwidth: Standard deviation of the smoothing, as a share of the range.

    Returns:
        The depths, the largest first; empty for a single mode.
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
    """Counts the highest mode and all others with :func:`mode_depths` of 0.42 or more."""
    return 1 + sum(depth >= MODE_DEPTH for depth in mode_depths(values))


def flat_pixels(values: NDArray, inside: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Finds the data pixels ``(H, W)`` of ``(C, H, W)`` that differ little from their neighbours.

    If there are hardly any such pixels, all data pixels are returned.
    """
    down, right = np.gradient(values, axis=(1, 2))
    inside = np.ones(values.shape[1:], bool) if inside is None else inside
    flat = inside & (np.sqrt((down**2 + right**2).mean(axis=0)) < _FLAT)
    return flat if flat.mean() > _FEWEST_FLAT else inside
