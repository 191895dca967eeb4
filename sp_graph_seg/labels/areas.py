"""The surface area of each label, estimated from slices that are added one by one."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: The 13 directions to half of the 26 neighbours of a voxel, (z, y, x).
_DIRECTIONS = tuple(
    step for step in itertools.product((0, 1), (-1, 0, 1), (-1, 0, 1)) if step > (0, 0, 0)
)

#: Points on the sphere by which the share of each direction is found.
_POINTS = 100_000


class AreaCounter:
    """Estimator of the area of the surfaces between labels.

    Slices are added one by one, and two of them are kept in memory. By Crofton's formula, the area
    of a surface is proportional to the number of times that random lines cross it. Here, the lines
    run through the voxels in 13 directions. The weight of a direction is the share of all
    directions in space that are closer to it than to the other 12 (Legland et al., "Computation of
    Minkowski measures on 2D and 3D binary images", 2007).

    For a ball with a radius of 12 voxels, the estimate differs from the true area by less than 2 %.
    The sum of the areas of its voxel faces would be 50 % too large. The surface of a label is not
    counted where it lies on the border of the volume, or where it touches voxels without a label.

    Args:
        spacing: Size of a voxel along z, y and x.
        unlabelled: Value of voxels without a label. Voxels with a negative value have no label
            either.

    Example:
        >>> counter = AreaCounter((1.0, 1.0, 1.0))
        >>> for _ in range(9):
        ...     counter.add(np.repeat([[0, 1]], 9, axis=0))
        >>> counter.areas().keys()
        dict_keys([0, 1])
    """

    def __init__(self, spacing: Sequence[float], unlabelled: int | None = None) -> None:
        self._weights = _areas_of_crossings(spacing)
        self._unlabelled = unlabelled
        self._before: NDArray | None = None
        self._areas: dict[int, float] = {}

    def add(self, labels: NDArray) -> None:
        """Adds the next slice of labels, an integer array ``(H, W)``."""
        has_label = labels >= 0
        if self._unlabelled is not None:
            has_label &= labels != self._unlabelled
        here = np.where(has_label, labels.astype(np.int64), -1)
        for step, weight in zip(_DIRECTIONS, self._weights, strict=True):
            other = here if step[0] == 0 else self._before
            if other is not None:
                self._count(other, here, step[1], step[2], weight)
        self._before = here

    def areas(self) -> dict[int, float]:
        """Returns the surface area of each label, in the squared unit of ``spacing``.

        Labels that touch no other label are missing.
        """
        return dict(sorted(self._areas.items()))

    def _count(self, one: NDArray, other: NDArray, dy: int, dx: int, weight: float) -> None:
        first, second = _shifted(one, -dy, -dx), _shifted(other, dy, dx)
        crossed = (first != second) & (first >= 0) & (second >= 0)
        labels, counts = np.unique(
            np.concatenate([first[crossed], second[crossed]]), return_counts=True
        )
        for label, count in zip(labels.tolist(), counts.tolist(), strict=True):
            self._areas[label] = self._areas.get(label, 0.0) + weight * count


def _shifted(labels: NDArray, dy: int, dx: int) -> NDArray:
    """Returns the part of an array that a copy moved by ``dy`` rows and ``dx`` columns covers."""
    height, width = labels.shape
    rows = slice(max(dy, 0), height + min(dy, 0))
    return labels[rows, max(dx, 0) : width + min(dx, 0)]


def _areas_of_crossings(spacing: Sequence[float]) -> NDArray[np.float64]:
    """Returns, for each direction, the area of surface that one crossing represents.

    Suppose that parallel lines are so dense that there is one line for each unit of area. Then a
    surface of area S is crossed S / 2 times, on average over all directions. Now let V be the
    volume of a voxel, and d the distance between neighbouring voxels on a line. Then there is one
    line through the voxels for each area V / d. One crossing therefore represents the area 2 V / d,
    multiplied by the weight of its direction.
    """
    steps = np.array(_DIRECTIONS) * np.asarray(spacing, dtype=np.float64)
    lengths = np.linalg.norm(steps, axis=1)
    # A Fibonacci lattice: points that are equally dense on the sphere.
    index = np.arange(_POINTS) + 0.5
    z, turn = 1 - 2 * index / _POINTS, np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - z**2)
    points = np.stack([z, radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    nearest = np.abs(points @ (steps / lengths[:, np.newaxis]).T).argmax(axis=1)
    shares = np.bincount(nearest, minlength=len(steps)) / _POINTS
    return 2 * shares * np.prod(spacing) / lengths
