"""The connected components of a volume, joined slice by slice, with one record for each."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel.steps import find_components

Records = NDArray[np.int64]
"""A row for each component, with the columns below; indices are those of depth, height, width."""

LABEL = 0
SIZE = 1
INDEX_SUM = slice(2, 5)
INDEX_MIN = slice(5, 8)
INDEX_MAX = slice(8, 11)
_NUM_COLUMNS = 11


class _Slice(NamedTuple):
    """What is kept of a slice until the next has come; all ``(H, W)``."""

    labels: NDArray[Any]
    rows: NDArray[np.int64]  # of _active
    surface: NDArray[np.bool_]  # as far as this slice and the one before tell


class ComponentJoiner:
    """Joins the components of slices to those of a volume, where voxels of a label share a face.

    In memory are two slices and one record for each component.

    Args:
        unlabelled: Value of voxels without a label; they are left out.
    """

    def __init__(self, unlabelled: int | None = None) -> None:
        self.unlabelled = unlabelled
        self._depth = 0
        self._finished: list[Records] = []  # components that do not reach the last slice
        self._active: Records = np.empty((0, _NUM_COLUMNS), dtype=np.int64)  # those that do
        self._surface: Counter[int] = Counter()  # voxels of each label, up to the slice before
        self._last: _Slice | None = None

    def add(self, image: NDArray[Any]) -> None:
        """Adds the next slice, ``(H, W)`` integers."""
        self._check(image)
        regions, label_of, _ = find_components(image)
        surface = _find_surface(image, self.unlabelled)
        contacts = np.empty(0, dtype=np.int64)
        if self._last is not None:
            same = image == self._last.labels
            contacts = np.unique(self._last.rows[same] * len(label_of) + regions[same])
            differs = ~same & (image != self.unlabelled) & (self._last.labels != self.unlabelled)
            surface |= differs
            self._surface += _count(self._last.labels[self._last.surface | differs])
        components, touched = np.divmod(contacts, len(label_of))
        rows = self._join(_measure(regions, label_of, self._depth), components, touched)
        self._last = _Slice(image.copy(), rows[regions], surface)
        self._depth += 1

    def records(self) -> Records:
        """All components so far that have a label, by label, the largest first."""
        records = np.concatenate([*self._finished, self._active])
        if self.unlabelled is not None:
            records = records[records[:, LABEL] != self.unlabelled]
        z, y, x = records[:, INDEX_MIN].T
        return records[np.lexsort([x, y, z, -records[:, SIZE], records[:, LABEL]])]

    def surface(self) -> Counter[int]:
        """The number of voxels of each label that share a face with another label."""
        if self._last is None:
            return Counter()
        return self._surface + _count(self._last.labels[self._last.surface])

    def _check(self, image: NDArray[Any]) -> None:
        if image.ndim != 2 or image.dtype.kind not in "bui" or image.size == 0:
            raise InputError(
                f"labels: {image.dtype} of shape {image.shape} is no slice of labels; "
                "give integers, (H, W)."
            )
        if self._last is not None and image.shape != self._last.labels.shape:
            raise InputError(
                f"labels: slice {self._depth} of shape {image.shape} differs from those before, "
                f"{self._last.labels.shape}; give the slices of one volume."
            )

    def _join(
        self, new: Records, components: NDArray[np.int64], touched: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Unites active components with the regions that they touch.

        Args:
            new: Records of the regions of the slice, ``(R, 11)``.
            components: Rows of ``_active``, ``(K,)``.
            touched: For each of them a region that it touches, ``(K,)``.

        Returns:
            ``(R,)``, the row of ``_active`` that each region became part of.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        num_old = len(self._active)
        num_all = num_old + len(new)
        links = (np.ones(len(touched)), (components, num_old + touched))
        graph = coo_array(links, shape=(num_all, num_all))
        _, group = connected_components(graph, directed=False)
        united = _unite(np.concatenate([self._active, new]), group)
        goes_on = np.zeros(len(united), dtype=bool)
        goes_on[group[num_old:]] = True
        self._finished.append(united[~goes_on])
        self._active = united[goes_on]
        return (np.cumsum(goes_on) - 1)[group[num_old:]]


def _measure(regions: NDArray[np.int64], label_of: NDArray[Any], z: int) -> Records:
    """The records of the regions of one slice, ``(R, 11)``."""
    number = regions.ravel()
    count = np.bincount(number)
    least, largest, sums = [np.full_like(count, z)], [np.full_like(count, z)], [z * count]
    for axis in np.indices(regions.shape).reshape(2, -1):
        sums.append(np.bincount(number, weights=axis).astype(np.int64))  # exact below 2^53
        least.append(np.full_like(count, regions.size))
        largest.append(np.zeros_like(count))
        np.minimum.at(least[-1], number, axis)
        np.maximum.at(largest[-1], number, axis)
    return np.stack([label_of.astype(np.int64), count, *sums, *least, *largest], axis=1)


def _unite(records: Records, group: NDArray[Any]) -> Records:
    """One record for each group of records, ``(G, 11)``."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    united = records[order[starts]]
    ordered = records[order]
    united[:, SIZE] = np.add.reduceat(ordered[:, SIZE], starts)
    united[:, INDEX_SUM] = np.add.reduceat(ordered[:, INDEX_SUM], starts)
    united[:, INDEX_MIN] = np.minimum.reduceat(ordered[:, INDEX_MIN], starts)
    united[:, INDEX_MAX] = np.maximum.reduceat(ordered[:, INDEX_MAX], starts)
    return united


def _find_surface(image: NDArray[Any], unlabelled: int | None) -> NDArray[np.bool_]:
    """The pixels with another label beside them in the slice."""
    known = image != unlabelled
    surface = np.zeros(image.shape, dtype=bool)
    for one, other in (
        (np.s_[1:], np.s_[:-1]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        differs = (image[one] != image[other]) & known[one] & known[other]
        surface[one] |= differs
        surface[other] |= differs
    return surface


def _count(labels: NDArray[Any]) -> Counter[int]:
    values, counts = np.unique(labels, return_counts=True)
    return Counter(dict(zip(map(int, values), counts.tolist(), strict=True)))
