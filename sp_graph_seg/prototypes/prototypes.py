"""Finds prototypes in the space of features, and labels points by the nearest prototype."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import KMeans

from sp_graph_seg.errors import FewLabelsWarning
from sp_graph_seg.prototypes.thresholds import (
    MODE_DEPTH,
    histogram,
    mode_depths,
    otsu_thresholds,
)

#: Largest number of points for K-means, which uses a random sample of more, and its starts.
_SAMPLE = 50000
_STARTS = 8

#: Cells along each axis of the histogram that measures the density of points.
_CELLS = 16

#: Initial number of prototypes if their number is to be found.
_MOST = 8

#: Least share of the points that a mode of several features has.
_SMALLEST_SHARE = 0.01

#: The weight of a point is (density at the point)^(-RARITY), so that common points do not hide rare
#: ones.
RARITY = 0.5

#: Smoothing of the histogram between two prototypes, as a share of its range or of the distance
#: between the farthest two prototypes, whichever is larger.
_BANDWIDTH = 0.02

#: Number of points whose distances to all prototypes are held in memory at once.
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Prototypes:
    """Centres in the space of features. A point gets the label of the nearest centre.

    Attributes:
        centers: Positions of the prototypes, ``(K, Q)``.
        shares: Share of the training points that are nearest to each prototype, ``(K,)``.
    """

    centers: NDArray[np.float32]
    shares: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.centers)

    def nearest(self, points: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Computes labels of points ``(P, Q)`` and their margins.

        Returns:
            Labels ``(P,)`` and margins ``(P,)``. A margin is (d2 - d1) / d2, where d1 is the
            distance to the nearest prototype and d2 the distance to the second nearest prototype.
            It is 0 halfway between them, and 1 at a prototype.
        """
        labels = np.zeros(len(points), np.int64)
        margins = np.ones(len(points), np.float32)
        if len(self) == 1:
            return labels, margins
        step = max(1, _AT_ONCE // len(self))
        for start in range(0, len(points), step):
            part = np.s_[start : start + step]
            distance = np.stack(
                [np.linalg.norm(points[part] - center, axis=1) for center in self.centers], axis=1
            )  # (p, K)
            labels[part] = distance.argmin(axis=1)
            first, second = np.partition(distance, 1, axis=1)[:, :2].T
            margins[part] = (second - first) / np.maximum(second, 1e-12)
        return labels, margins

    def reordered(self, order: NDArray[np.int64]) -> "Prototypes":
        """Returns the prototypes in another order. The prototype ``order[0]`` gets label 0."""
        return Prototypes(self.centers[order], self.shares[order])

    def merge(self, num_labels: int) -> NDArray[np.int64]:
        """Merges the prototypes to ``num_labels`` labels or fewer.

        Prototypes are merged by Ward's criterion. The weight of a prototype is its share of the
        training points. Each step merges the two prototypes whose merger adds least to the sum of
        squared distances between the training points and their prototypes.

        Returns:
            The new label of each prototype, ``(K,)``. Labels are numbered from 0, in the order of
            the first prototype of each label.
        """
        if num_labels >= len(self):
            return np.arange(len(self))
        # scipy's Ward counts points: each prototype stands for as many as its share in thousandths.
        copies = np.maximum(1, np.round(1000 * self.shares)).astype(int)
        owner = np.repeat(np.arange(len(self)), copies)
        tree = linkage(self.centers[owner].astype(np.float64), "ward")
        groups = fcluster(tree, num_labels, "maxclust")[
            np.searchsorted(owner, np.arange(len(self)))
        ]
        first = {group: n for n, group in enumerate(dict.fromkeys(groups.tolist()))}
        return np.array([first[group] for group in groups.tolist()])


def warn_of_few_labels(found: int, num_labels: int) -> None:
    """Warns if fewer labels than ``num_labels`` were found.

    If ``num_labels`` is 0, it warns if fewer than two labels were found.
    """
    if found < (num_labels or 2):
        noun = "label was" if found == 1 else "labels were"
        warnings.warn(
            f"images: only {found} {noun} found, because the training images have too few "
            "different values; check the images and their intensity range.",
            FewLabelsWarning,
            stacklevel=3,
        )


def fit_prototypes(
    points: NDArray[np.float32], num_labels: int, rarity: float = RARITY
) -> Prototypes:
    """Finds prototypes of points, with larger weights for rare points.

    The weight of a point is (density at the point)^(-rarity), so that common points do not hide
    rare points. With one feature, the prototypes are the exact optimum of Otsu's criterion. With
    several features, they are the best result of eight runs of K-means with a fixed seed.

    Args:
        points: Features of the training points, ``(P, Q)``.
        num_labels: Number of prototypes K. If there are fewer different points than this, there is
            one prototype for each different point.
        rarity: The exponent. With 0, all points have the same weight.
    """
    if points.shape[1] == 1:
        return _fit_one_feature(points[:, 0], num_labels, rarity)
    generator = np.random.default_rng(0)
    sample = points
    if len(points) > _SAMPLE:
        sample = points[generator.choice(len(points), _SAMPLE, replace=False)]
    weights = _density(sample) ** -rarity
    num_labels = min(num_labels, len(np.unique(sample, axis=0)))
    fitted = KMeans(num_labels, n_init=_STARTS, random_state=0).fit(sample, sample_weight=weights)
    found = Prototypes(fitted.cluster_centers_.astype(np.float32), np.ones(num_labels, np.float32))
    shares = np.bincount(found.nearest(points)[0], minlength=num_labels) / len(points)
    return Prototypes(found.centers, shares.astype(np.float32))


def fit_distinct_prototypes(points: NDArray[np.float32]) -> Prototypes:
    """Finds one prototype for each mode of points with several features, two to eight in all.

    Two prototypes belong to the same mode if the histogram of their points, projected on the line
    through both prototypes, has no valley. The histogram is smoothed by 2 % of its range, or by 2 %
    of the distance between the farthest two prototypes if that is more, because differences that
    are tiny beside this distance are left by denoising. A prototype with less than 1 % of the
    points does not count as a mode, because such prototypes lie between two others, at edges of the
    image. The fit starts with eight prototypes. It is repeated with one prototype fewer until each
    prototype is a different mode, or two prototypes are left.

    Args:
        points: Features of training points, ``(P, Q)``.
    """
    for num_labels in range(_MOST, 1, -1):
        found = fit_prototypes(points, num_labels)
        if len(found) <= 2:
            break
        if (
            found.shares.min() >= _SMALLEST_SHARE
            and _shallowest_valley(points, found) >= MODE_DEPTH
        ):
            break
    return found


def _shallowest_valley(points: NDArray[np.float32], prototypes: Prototypes) -> float:
    """Finds the deepest valley between each pair of prototypes. Returns the smallest depth."""
    labels, _ = prototypes.nearest(points)
    centers = prototypes.centers
    farthest = np.linalg.norm(centers[:, None] - centers, axis=-1).max()
    depths = []
    for one in range(len(prototypes)):
        for other in range(one):
            pair = points[(labels == one) | (labels == other)]
            direction = centers[one] - centers[other]
            along = pair @ (direction / max(float(np.linalg.norm(direction)), 1e-12))
            spread = max(float(np.ptp(along)), _BANDWIDTH * float(farthest))
            bandwidth = _BANDWIDTH * max(spread, float(farthest)) / spread
            depths.append(max(mode_depths(along, bandwidth=bandwidth), default=0.0))
    return min(depths)


def _fit_one_feature(values: NDArray[np.float32], num_labels: int, rarity: float) -> Prototypes:
    """Finds the prototypes of one feature: the means of the classes of Otsu's thresholds."""
    levels, counts = histogram(values)
    weights = counts ** (1 - rarity)
    labels = np.searchsorted(otsu_thresholds(levels, weights, num_labels), levels)
    centers = np.bincount(labels, weights * levels) / np.bincount(labels, weights)
    shares = np.bincount(labels, counts) / counts.sum()
    return Prototypes(centers[:, None].astype(np.float32), shares.astype(np.float32))


def _density(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Computes the density at each point from a histogram of three principal components."""
    centred = points - points.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov(centred.T))
    components = centred @ directions[:, ::-1][:, :3]  # (P, 3)
    low, high = np.quantile(components, (0.001, 0.999), axis=0)
    side = max(float((high - low).max()), 1e-12)
    cell = np.clip((components - low) / side * _CELLS, 0, _CELLS - 1).astype(int)
    counts = np.zeros((_CELLS,) * components.shape[1])
    np.add.at(counts, tuple(cell.T), 1)
    return counts[tuple(cell.T)]
