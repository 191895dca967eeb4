"""Finds the components of a label map in memory, or of a volume that is read slice by slice.

Pixels or voxels are connected if they share a face.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.superpixels import connected_components

Measures = NDArray[np.int64]
"""A row for each component, with the columns below. Indices are along depth, height, width."""

LABEL = 0
SIZE = 1
INDEX_SUM = slice(2, 5)
INDEX_MIN = slice(5, 8)
INDEX_MAX = slice(8, 11)
_NUM_COLUMNS = 11


def find_components(
    labels: NDArray[Any],
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    """Finds the components of a label map, numbered in the order of their first pixels.

    Returns:
        The number of the component of each pixel, and the label and the size of each component.
    """
    shift = min(int(labels.min()), 0)  # the value of unlabelled pixels may be negative
    components = connected_components(labels.astype(np.int64) - shift if shift else labels)
    first = np.unique(components, return_index=True)[1]
    return components, labels.ravel()[first], np.bincount(components.ravel())


def split_regions(labels: ArrayLike, min_share: float = 0.005) -> NDArray[np.int64]:
    """Splits labels into regions, one for each connected component.

    A label says what something is: two sheep have the same label. A region is one thing in one
    image, as in the human segmentations of the Berkeley dataset: each sheep is a region. Components
    smaller than ``min_share`` are divided among the larger ones: each of their pixels joins the
    larger component that is fewest steps away, from pixel to neighbouring pixel. The largest
    component is always kept.

    Args:
        labels: ``(H, W)`` or ``(D, H, W)``, integers from 0.
        min_share: Minimum size of a region as a share of the image, from 0 to 1.
            (default: :obj:`0.005`)

    Returns:
        Regions of the same shape, connected through faces and numbered from 0 without gaps.

    Raises:
        InputError: If ``labels`` is not such an array, or ``min_share`` is not from 0 to 1.
    """
    from skimage.segmentation import watershed

    if not 0 <= min_share <= 1:
        raise InputError(f"min_share={min_share} is not a share; use 0 to 1.")
    regions = connected_components(labels)
    sizes = np.bincount(regions.ravel())
    is_small = sizes < min(min_share * regions.size, sizes.max())
    if is_small.any():
        # Flooding, because the nearest region in a straight line may not be connected.
        seeds = np.where(is_small[regions], 0, regions + 1)
        regions = watershed(np.zeros(regions.shape), seeds)
    return np.unique(regions, return_inverse=True)[1].reshape(regions.shape)


class _Slice(NamedTuple):
    """What is kept of a slice until the next one is added; all arrays are ``(H, W)``."""

    labels: NDArray[Any]
    rows: NDArray[np.int64]  # of _active
    surface: NDArray[np.bool_]  # known from this slice and the one before


class ComponentJoiner:
    """Finds the components of a volume by joining those of its slices, here called pieces.

    It keeps two slices and one row of numbers for each component in memory.

    Args:
        unlabelled: Value of voxels without a label, which are left out.
    """

    def __init__(self, unlabelled: int | None = None) -> None:
        self.unlabelled = unlabelled
        self._depth = 0
        self._finished: list[Measures] = []  # components that do not reach the last slice
        self._active: Measures = np.empty((0, _NUM_COLUMNS), dtype=np.int64)  # those that do
        self._surface: Counter[int] = Counter()  # voxels of each label, up to the slice before
        self._last: _Slice | None = None

    def add(self, image: NDArray[Any]) -> None:
        """Adds the next slice, ``(H, W)`` integers."""
        self._check(image)
        pieces, label_of, _ = find_components(image)
        surface = _find_surface(image, self.unlabelled)
        contacts = np.empty(0, dtype=np.int64)
        if self._last is not None:
            same = image == self._last.labels
            contacts = np.unique(self._last.rows[same] * len(label_of) + pieces[same])
            differs = ~same & (image != self.unlabelled) & (self._last.labels != self.unlabelled)
            surface |= differs
            self._surface += _count(self._last.labels[self._last.surface | differs])
        components, touched = np.divmod(contacts, len(label_of))
        rows = self._join(_measure(pieces, label_of, self._depth), components, touched)
        self._last = _Slice(image.copy(), rows[pieces], surface)
        self._depth += 1

    def measures(self) -> Measures:
        """Returns the measures of all labelled components so far.

        They are ordered by label, and for each label from large to small.
        """
        measures = np.concatenate([*self._finished, self._active])
        if self.unlabelled is not None:
            measures = measures[measures[:, LABEL] != self.unlabelled]
        z, y, x = measures[:, INDEX_MIN].T
        return measures[np.lexsort([x, y, z, -measures[:, SIZE], measures[:, LABEL]])]

    def surface(self) -> Counter[int]:
        """Counts the voxels of each label that share a face with another label."""
        if self._last is None:
            return Counter()
        return self._surface + _count(self._last.labels[self._last.surface])

    def _check(self, image: NDArray[Any]) -> None:
        if image.ndim != 2 or image.dtype.kind not in "bui" or image.size == 0:
            raise InputError(
                f"labels: an array of {image.dtype} with shape {image.shape} is not a slice of a "
                "label map; give integers, (H, W)."
            )
        if self._last is not None and image.shape != self._last.labels.shape:
            raise InputError(
                f"labels: slice {self._depth} has the shape {image.shape}, but the slices before "
                f"it have {self._last.labels.shape}; give the slices of one volume."
            )

    def _join(
        self, new: Measures, components: NDArray[np.int64], touched: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Unites active components with the pieces that they touch.

        Args:
            new: Measures of the R pieces of the slice, ``(R, 11)``.
            components: For each of K contacts, the component as a row of ``_active``, ``(K,)``.
            touched: For each contact, the piece that the component touches, ``(K,)``.

        Returns:
            ``(R,)``, the row of ``_active`` that each piece became part of.
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


def _measure(pieces: NDArray[np.int64], label_of: NDArray[Any], z: int) -> Measures:
    """Measures the pieces of one slice, ``(R, 11)``."""
    number = pieces.ravel()
    count = np.bincount(number)
    least, largest, sums = [np.full_like(count, z)], [np.full_like(count, z)], [z * count]
    for axis in np.indices(pieces.shape).reshape(2, -1):
        sums.append(np.bincount(number, weights=axis).astype(np.int64))  # exact below 2^53
        least.append(np.full_like(count, pieces.size))
        largest.append(np.zeros_like(count))
        np.minimum.at(least[-1], number, axis)
        np.maximum.at(largest[-1], number, axis)
    return np.stack([label_of.astype(np.int64), count, *sums, *least, *largest], axis=1)


def _unite(measures: Measures, group: NDArray[Any]) -> Measures:
    """Unites the rows of each group to one, ``(G, 11)``."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    united = measures[order[starts]]
    ordered = measures[order]
    united[:, SIZE] = np.add.reduceat(ordered[:, SIZE], starts)
    united[:, INDEX_SUM] = np.add.reduceat(ordered[:, INDEX_SUM], starts)
    united[:, INDEX_MIN] = np.minimum.reduceat(ordered[:, INDEX_MIN], starts)
    united[:, INDEX_MAX] = np.maximum.reduceat(ordered[:, INDEX_MAX], starts)
    return united


def _find_surface(image: NDArray[Any], unlabelled: int | None) -> NDArray[np.bool_]:
    """Finds the pixels that share a face with another label in the slice."""
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
