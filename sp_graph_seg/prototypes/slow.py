"""Directions in the space of features along which nearby pixels differ least.

The projections on these directions vary slowly over the image. They are called slow features.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.ndimage import gaussian_filter

_SMOOTHING = 2.0
_LAG = 10


def slow_directions(z: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Finds directions in the space of features along which nearby pixels differ least.

    Nearby pixels are 10 pixels apart. Their differences are compared with the variation over all
    pixels. The directions are the maximum autocorrelation factors of Switzer & Green 1984. They
    solve the relaxed normalised cut of the pixel grid, if only linear functions of the features are
    allowed. Each direction v has an eigenvalue :math:`\lambda`, and
    :math:`C v = \lambda D v / 2`. Here C is the covariance of the features, and D is the covariance
    of their differences between nearby pixels.

    Args:
        z: Features of the pixels, ``(F, H, W)``.

    Returns:
        The directions as columns ``(F, F)``, the slowest first, and their eigenvalues ``(F,)``.
        White noise has an eigenvalue of 1, and slow directions have larger eigenvalues.
    """
    smooth = gaussian_filter(z, (0, _SMOOTHING, _SMOOTHING))
    count = len(smooth)
    along = [smooth[:, :, _LAG:] - smooth[:, :, :-_LAG], smooth[:, _LAG:] - smooth[:, :-_LAG]]
    difference = np.concatenate([part.reshape(count, -1) for part in along], axis=1)
    covariance = np.atleast_2d(np.cov(smooth.reshape(count, -1)))
    noise = difference @ difference.T / difference.shape[1] / 2
    ridge = 1e-4 * np.trace(covariance) / count + 1e-12
    eigenvalues, directions = eigh(covariance, noise + ridge * np.eye(count))
    return directions[:, ::-1], eigenvalues[::-1]


def project(z: NDArray[np.float32], directions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Smooths features ``(F, H, W)`` and projects them on directions ``(F, Q)``: ``(Q, H, W)``."""
    smooth = gaussian_filter(z, (0, _SMOOTHING, _SMOOTHING))
    return np.tensordot(directions.T.astype(np.float32), smooth, axes=1)


def mean_direction(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Finds one direction whose projection combines the slowest features of N networks.

    The slowest feature of a network is the projection of its features on the first of
    :func:`slow_directions`. It is divided by its standard deviation. Its sign is chosen so that it
    correlates positively with the slowest feature of the first network.

    Args:
        parts: Features of the pixels by each network, each ``(F, H, W)``.

    Returns:
        The direction as a column, ``(N F, 1)``. The projection of the features of all networks,
        stacked in their order, is the sum of their slowest features.
    """
    columns: list[NDArray[np.float64]] = []
    first: NDArray[np.float32] | None = None
    for part in parts:
        direction = slow_directions(part)[0][:, :1]
        projected = project(part, direction)[0]
        projected = projected - projected.mean()
        first = projected if first is None else first
        sign = 1.0 if (first * projected).sum() >= 0 else -1.0
        columns.append(sign * direction / max(float(projected.std()), 1e-12))
    return np.concatenate(columns)
