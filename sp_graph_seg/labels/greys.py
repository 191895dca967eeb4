"""Statistics of the grey values of each label. The volume may be larger than memory."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Grey(NamedTuple):
    """Statistics of the grey values of one label.

    The grey value of a pixel is the mean over its channels. ``size`` is the number of pixels.
    ``low`` and ``high`` are the smallest and the largest grey value.
    """

    size: int
    mean: float
    std: float
    low: float
    high: float


class GreyCounter:
    """Counter that computes the mean, standard deviation and range of the grey values of labels.

    Slices are added one by one. The standard deviation is updated by the method of Chan, Golub &
    LeVeque (1979), from squared deviations from the mean. This method is accurate even if the grey
    values are large and differ only a little.

    Example:
        >>> import numpy as np
        >>> counter = GreyCounter()
        >>> counter.add(np.array([[0, 2, 2]]), np.array([[5.0, 1.0, 3.0]]))
        >>> counter.greys()[2]
        Grey(size=2, mean=2.0, std=1.0, low=1.0, high=3.0)
    """

    def __init__(self) -> None:
        self._sums = np.zeros((0, 5))
        """For each label: size, mean, sum of squared deviations, lowest, highest."""

    def add(self, labels: NDArray, image: NDArray) -> None:
        """Adds a slice and its labels.

        Args:
            labels: Integers ``(H, W)``. Pixels with a negative value have no label, and are left
                out.
            image: The slice, ``(H, W)`` or ``(C, H, W)``. Pixels that are NaN or infinite in any
                channel are left out.
        """
        grey = np.asarray(image, dtype=np.float64)
        grey = grey.mean(axis=0) if grey.ndim == 3 else grey
        counted = (labels >= 0) & np.isfinite(grey)
        which, values = labels[counted].astype(np.int64), grey[counted]
        if which.size == 0:
            return
        self._join(_describe(which, values))

    def greys(self) -> dict[int, Grey]:
        """Returns the statistics of each label that has at least one pixel with a finite value."""
        return {
            label: Grey(int(size), mean, float(np.sqrt(squares / size)), low, high)
            for label, (size, mean, squares, low, high) in enumerate(self._sums.tolist())
            if size
        }

    def _join(self, new: NDArray[np.float64]) -> None:
        count = max(len(self._sums), len(new))
        old, new = (_grown(sums, count) for sums in (self._sums, new))
        total = old[:, 0] + new[:, 0]
        share = new[:, 0] / np.maximum(total, 1)
        apart = new[:, 1] - old[:, 1]
        mean = old[:, 1] + apart * share
        squares = old[:, 2] + new[:, 2] + apart**2 * old[:, 0] * share
        low, high = np.minimum(old[:, 3], new[:, 3]), np.maximum(old[:, 4], new[:, 4])
        self._sums = np.stack([total, mean, squares, low, high], axis=1)


def _describe(which: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    sizes = np.bincount(which)
    means = np.bincount(which, values) / np.maximum(sizes, 1)
    squares = np.bincount(which, (values - means[which]) ** 2)
    low, high = np.full(len(sizes), np.inf), np.full(len(sizes), -np.inf)
    np.minimum.at(low, which, values)
    np.maximum.at(high, which, values)
    return np.stack([sizes, means, squares, low, high], axis=1)


def _grown(sums: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    empty = np.tile([0.0, 0.0, 0.0, np.inf, -np.inf], (count - len(sums), 1))
    return np.concatenate([sums, empty])
