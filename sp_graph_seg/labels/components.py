"""The components of a label map in memory, or of a volume that is read slice by slice.

Pixels or voxels are connected if they share a face.
"""

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sp_graph_seg.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Measures = NDArray[np.int64]
"""A row for each component, with the columns below. Indices are along depth, height, width."""

LABEL = 0
SIZE = 1
INDEX_SUM = slice(2, 5)
INDEX_MIN = slice(5, 8)
INDEX_MAX = slice(8, 11)
_NUM_COLUMNS = 11


def as_label_array(labels: "ArrayLike | Tensor") -> NDArray[Any]:
    """Converts labels to a NumPy array. This loads torch, unless they are such an array already."""
    if type(labels) is np.ndarray:
        return labels
    from sp_graph_seg.transforms.arrays import as_array

    return as_array(labels)


def find_components(
    labels: NDArray[Any],
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    """Finds the components of a label map, and numbers them in the order of their first pixels.

    Returns:
        Three arrays: the number of the component of each pixel, the label of each component, and
        the number of pixels of each component.
    """
    from sp_graph_seg.transforms.superpixels import connected_components  # loads torch

    shift = min(int(labels.min()), 0)  # the value of unlabelled pixels may be negative
    components = connected_components(labels.astype(np.int64) - shift if shift else labels)
    first = np.unique(components, return_index=True)[1]
    return components, labels.ravel()[first], np.bincount(components.ravel())


def split_regions(labels: ArrayLike, min_share: float = 0.005) -> NDArray[np.int64]:
    """Splits a label map into regions, which are the connected components of its labels.

    A label says what something is, so two sheep have the same label. A region is one thing in one
    image, so each sheep is a region, as in the human segmentations of the Berkeley dataset.

    Components that are smaller than ``min_share`` do not become regions. Instead, each of their
    pixels joins the closest larger component. The distance to a component is the number of steps
    from pixel to neighbouring pixel. The largest component always becomes a region.

    Args:
        labels: Integers from 0, ``(H, W)`` or ``(D, H, W)``.
        min_share: Minimum size of a region as a share of the image, from 0 to 1. (default:
            :obj:`0.005`)

    Returns:
        The number of the region of each pixel, in an array of the same shape. Regions are connected
        through faces, and numbered from 0 without gaps.

    Raises:
        InputError: If ``labels`` does not hold integers from 0, or ``min_share`` is not between 0
            and 1.
    """
    from skimage.segmentation import watershed

    from sp_graph_seg.transforms.superpixels import connected_components

    if not 0 <= min_share <= 1:
        raise InputError(
            f"min_share={min_share} is not between 0 and 1; give a share of the image."
        )
    regions = connected_components(labels)
    sizes = np.bincount(regions.ravel())
    is_small = sizes < min(min_share * regions.size, sizes.max())
    if is_small.any():
        # Flooding, because the nearest region in a straight line may not be connected.
        seeds = np.where(is_small[regions], 0, regions + 1)
        regions = watershed(np.zeros(regions.shape), seeds)
    return np.unique(regions, return_inverse=True)[1].reshape(regions.shape)


class _Slice(NamedTuple):
    """The data of a slice that are kept until the next slice is added. Arrays are ``(H, W)``."""

    labels: NDArray[Any]
    rows: NDArray[np.int64]  # of _active
    surface: NDArray[np.bool_]  # known from this slice and the one before


class ComponentJoiner:
    """Object that finds the components of a volume, from slices that are added one by one.

    The components of a single slice are called pieces here. When a slice is added, its pieces are
    joined with the components that they touch in the slice before. Two slices are kept in memory,
    and one row of numbers for each component.

    Args:
        unlabelled: Value of voxels without a label. These voxels are left out.
    """

    def __init__(self, unlabelled: int | None = None) -> None:
        self.unlabelled = unlabelled
        self._depth = 0
        self._finished: list[Measures] = []  # components that do not reach the last slice
        self._active: Measures = np.empty((0, _NUM_COLUMNS), dtype=np.int64)  # those that do
        self._surface: Counter[int] = Counter()  # voxels of each label, up to the slice before
        self._last: _Slice | None = None

    def add(self, image: NDArray[Any]) -> None:
        """Adds the next slice of labels, an integer array ``(H, W)``."""
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
        """Returns the measures of each labelled component in the slices that were added so far.

        Each component is a row. Its columns hold the label, the number of voxels, the sums of the
        voxel indices and the bounding box, see ``Measures``. The rows are ordered by label. For
        each label, they are ordered from the largest to the smallest component.
        """
        measures = np.concatenate([*self._finished, self._active])
        if self.unlabelled is not None:
            measures = measures[measures[:, LABEL] != self.unlabelled]
        z, y, x = measures[:, INDEX_MIN].T
        return measures[np.lexsort([x, y, z, -measures[:, SIZE], measures[:, LABEL]])]

    def surface(self) -> Counter[int]:
        """Counts the voxels of each label that share a face with a voxel of another label."""
        if self._last is None:
            return Counter()
        return self._surface + _count(self._last.labels[self._last.surface])

    def _check(self, image: NDArray[Any]) -> None:
        if image.ndim != 2 or image.dtype.kind not in "bui" or image.size == 0:
            raise InputError(
                f"labels: an array of {image.dtype} with shape {image.shape} is not a slice of a "
                "label map; give an array of integers with shape (H, W)."
            )
        if self._last is not None and image.shape != self._last.labels.shape:
            raise InputError(
                f"labels: slice {self._depth} has the shape {image.shape}, but the slices before "
                f"it have the shape {self._last.labels.shape}; give slices of the same shape."
            )

    def _join(
        self, new: Measures, components: NDArray[np.int64], touched: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Joins the pieces of the new slice with the active components that they touch.

        A component is active if it reaches the last slice. Each active component is a row of
        ``_active``.

        Args:
            new: Measures of the R pieces of the new slice, ``(R, 11)``.
            components: For each of K pixels where a piece touches an active component, the row of
                this component in ``_active``, ``(K,)``.
            touched: For each of these pixels, the number of the piece, ``(K,)``.

        Returns:
            For each piece, the row in ``_active`` of the component that it now belongs to,
            ``(R,)``.
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
    """Measures the pieces of one slice. Returns one row for each of R pieces, ``(R, 11)``."""
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
    """Combines the rows of each group. Returns one row for each of G groups, ``(G, 11)``."""
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
    """Marks the pixels of a slice that share a face with a pixel of another label in this slice."""
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
