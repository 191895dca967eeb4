"""Merges regions step by step. Each step merges the two neighbours that differ least.

After each step, the differences between the new region and its neighbours are computed from the
statistics of the new region (Haralick & Shapiro 1985). Several cues are combined, as in
Nunez-Iglesias et al., PLoS ONE 2013.
"""

import heapq
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.transforms.superpixels import Labels

Floats = NDArray[np.float64]


class MergingRegions:
    """The statistics of N leaves, and of the regions that are made by merging them.

    Regions 0 to N - 1 are the leaves. Regions N to 2N - 2 are the merged regions.

    Args:
        size: ``(N,)``, number of pixels of each leaf.
        mean: ``(N, D)``, means over the pixels of each leaf, such as histograms and eigenvectors.
        pairs: ``(E, 2)``, the pairs of leaves that touch.
        length: ``(E,)``, number of pixel faces between the two leaves of each pair.
        strength: ``(E, B)``, sums of B boundary cues over the pixel faces of each pair.
        num_axes: 2 for an image, 3 for a volume.

    Attributes:
        num_leaves: The number N of leaves.
        num_axes: 2 for an image, 3 for a volume.
        total: Number of pixels of all leaves together.
        size: ``(2N - 1,)``, number of pixels of each region.
        mean: ``(2N - 1, D)``, means over the pixels of each region.
        edges: A dictionary for each region. It maps each neighbour to an array ``(1 + B,)``, which
            holds the length of the boundary and then the sums of the B boundary cues.
    """

    def __init__(
        self,
        size: NDArray,
        mean: Floats,
        pairs: Labels,
        length: NDArray,
        strength: Floats,
        num_axes: int = 2,
    ) -> None:
        num = len(size)
        self.num_leaves = num
        self.num_axes = num_axes
        self.total = float(size.sum())
        self.size = np.zeros(2 * num - 1)
        self.size[:num] = size
        self.mean = np.zeros((2 * num - 1, mean.shape[1]))
        self.mean[:num] = mean
        self.edges: list[dict[int, Floats]] = [{} for _ in range(2 * num - 1)]
        packed = np.concatenate([length[:, None], strength], axis=1).astype(float)
        for (i, j), values in zip(pairs.tolist(), packed, strict=True):
            self.edges[i][j] = values
            self.edges[j][i] = values

    def boundary(self, i: int, others: Labels) -> tuple[Floats, Floats]:
        """Computes the lengths and mean cues of the boundaries between region ``i`` and others.

        Args:
            i: The number of the region.
            others: The numbers of J of its neighbours, ``(J,)``.

        Returns:
            The lengths ``(J,)`` of the boundaries, and the means ``(J, B)`` of the B cues on them.
        """
        packed = np.stack([self.edges[i][j] for j in others.tolist()])
        return packed[:, 0], packed[:, 1:] / packed[:, :1]

    def merge(self, i: int, j: int, new: int) -> None:
        """Merges regions ``i`` and ``j`` into the region ``new``."""
        total = self.size[i] + self.size[j]
        self.size[new] = total
        self.mean[new] = (self.size[i] * self.mean[i] + self.size[j] * self.mean[j]) / total
        joined = self.edges[i]
        for k, values in self.edges[j].items():
            joined[k] = joined[k] + values if k in joined else values
        for k in (i, j):
            joined.pop(k, None)
        for k, values in joined.items():
            self.edges[k].pop(i, None)
            self.edges[k].pop(j, None)
            self.edges[k][new] = values
        self.edges[new], self.edges[i], self.edges[j] = joined, {}, {}


#: The difference of a region and some of its neighbours, ``(J,)``.
Difference = Callable[[MergingRegions, int, Labels], Floats]


def merge_greedily(
    regions: MergingRegions, difference: Difference
) -> Iterator[tuple[int, int, float]]:
    """Merges the two neighbours that differ least, until no two regions touch.

    Step t, counted from 0, makes region N + t from two regions, where N is the number of leaves.

    Args:
        regions: The statistics of the leaves. They are changed in place.
        difference: Computes the differences between a region and some of its neighbours.

    Yields:
        The two regions of each step and their difference, before the two regions are merged.
    """
    num = regions.num_leaves
    alive = np.zeros(2 * num - 1, dtype=bool)
    alive[:num] = True
    heap: list[tuple[float, int, int]] = []
    for i in range(num):
        _push(heap, regions, i, [j for j in regions.edges[i] if j > i], difference)
    new = num
    while heap:
        value, i, j = heapq.heappop(heap)
        if not (alive[i] and alive[j]):
            continue
        yield i, j, value
        regions.merge(i, j, new)
        alive[[i, j]], alive[new] = False, True
        _push(heap, regions, new, list(regions.edges[new]), difference)
        new += 1


def _push(
    heap: list[tuple[float, int, int]],
    regions: MergingRegions,
    i: int,
    others: list[int],
    difference: Difference,
) -> None:
    if others:
        values = difference(regions, i, np.array(others, dtype=np.int64)).tolist()
        for value, j in zip(values, others, strict=True):
            heapq.heappush(heap, (value, min(i, j), max(i, j)))
