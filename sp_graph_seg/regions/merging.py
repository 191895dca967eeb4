"""Merges regions one by one, the least different neighbours first.

After each merger, the differences of the merged region to its neighbours are computed from its own
statistics (Haralick & Shapiro 1985; Nunez-Iglesias et al., PLoS ONE 2013, with several cues).
"""

import heapq
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.transforms.superpixels import Labels

Floats = NDArray[np.float64]


class MergingRegions:
    """Statistics of N leaves and of the regions that are made from them by merging.

    Regions 0 to N - 1 are the leaves, and N to 2N - 2 the merged regions.

    Args:
        size: ``(N,)``, number of pixels of each leaf.
        mean: ``(N, D)``, means over the pixels of each leaf, such as histograms and eigenvectors.
        pairs: ``(E, 2)``, the pairs of leaves that touch.
        length: ``(E,)``, number of pixel faces between the two leaves of each pair.
        strength: ``(E, B)``, sums of B boundary cues over these faces.
        num_axes: 2 for an image, 3 for a volume.

    Attributes:
        num_leaves: The number N of leaves.
        num_axes: The argument ``num_axes``.
        total: Number of pixels of all leaves.
        size: ``(2N - 1,)``, number of pixels of each region.
        mean: ``(2N - 1, D)``, means over the pixels of each region.
        edges: For each region, its neighbours: ``{neighbour: array (1 + B,)}``, the length and
            then the strengths of the boundary.
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
        """Computes lengths ``(J,)`` and mean cues ``(J, B)`` of the boundaries of i with others."""
        packed = np.stack([self.edges[i][j] for j in others.tolist()])
        return packed[:, 0], packed[:, 1:] / packed[:, :1]

    def merge(self, i: int, j: int, new: int) -> None:
        """Merges regions i and j into the region ``new``."""
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
    """Merges until no two regions touch; merger t, counted from 0, makes region N + t.

    Yields:
        The two regions of each merger and their difference, before they are merged.
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
