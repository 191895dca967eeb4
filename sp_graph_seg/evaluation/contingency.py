"""The contingency table of a segmentation and a truth, from which most scores are computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array

from sp_graph_seg.errors import InputError

_LOOKUP_LIMIT = 2**20
"""Labels below this limit are renumbered by a lookup table, 20 times as fast as by sorting."""


@dataclass(frozen=True)
class Contingency:
    """The contingency table of a segmentation and a truth.

    The table holds the number of pixels that each truth region has in common with each label.

    Attributes:
        table: The numbers of common pixels as a sparse int64 array, ``(regions, labels)``. No row
            or column is empty.
    """

    table: csr_array

    @cached_property
    def region_sizes(self) -> NDArray[np.int64]:
        """The number of pixels of each truth region, ``(regions,)``."""
        return np.ravel(self.table.sum(axis=1))

    @cached_property
    def label_sizes(self) -> NDArray[np.int64]:
        """The number of pixels of each label, ``(labels,)``."""
        return np.ravel(self.table.sum(axis=0))

    @property
    def num_pixels(self) -> int:
        """The number of pixels that have a label in both maps."""
        return int(self.table.data.sum())


def contingency_table(labels: ArrayLike, truth: ArrayLike) -> Contingency:
    """Counts the pixels that each truth region has in common with each label.

    Pixels that are negative in one or both of the arrays are unlabelled. They are left out.

    Args:
        labels: Integer labels of any shape, such as ``(H, W)``.
        truth: Label map of one annotator, of the same shape.

    Returns:
        The contingency table. The rows are the truth regions and the columns are the labels, both
        in the order of their numbers.

    Raises:
        InputError: If the shapes differ, an array does not hold integers, or no pixel is labelled
            in both maps.

    Example:
        >>> contingency_table([0, 0, 1, 1], [5, 5, 5, 7]).table.toarray()
        array([[2, 1],
               [0, 1]])
    """
    labels, truth = as_labels(labels, "labels"), as_labels(truth, "truth")
    check_shape(labels, truth, "truth")
    counted = (labels >= 0) & (truth >= 0)
    if not counted.any():
        raise InputError(
            "labels, truth: no pixel has a label of 0 or more in both; give label maps with at "
            "least one such pixel."
        )
    rows, num_regions = _renumber(truth[counted])
    columns, num_labels = _renumber(labels[counted])
    ones = np.ones(rows.size, dtype=np.int64)
    pairs = coo_array((ones, (rows, columns)), shape=(num_regions, num_labels))
    return Contingency(pairs.tocsr())  # sums the ones of equal pairs


def contingency_tables(labels: ArrayLike, truths: Sequence[ArrayLike]) -> list[Contingency]:
    """Makes the contingency table of a segmentation and the truth of each annotator.

    Args:
        labels: Integer labels ``(H, W)``. Negative pixels are unlabelled.
        truths: The label map of each annotator, of the same shape. At least one is needed.

    Returns:
        One table for each annotator, in the order of ``truths``.

    Raises:
        InputError: In the same cases as :func:`contingency_table`, or if ``truths`` is empty.
    """
    labels, truths = check_pair(labels, truths)
    return [contingency_table(labels, truth) for truth in truths]


def check_pair(
    labels: ArrayLike, truths: Sequence[ArrayLike]
) -> tuple[NDArray[np.integer], list[NDArray[np.integer]]]:
    """Converts the labels and the truths to arrays, and checks them.

    Each truth must have the same shape as the labels. At least one pixel must be labelled in both.
    """
    labels = as_labels(labels, "labels")
    if isinstance(truths, np.ndarray) and truths.ndim == labels.ndim:
        raise InputError(
            "truths: a single array is given; give a list with one array for each annotator."
        )
    if len(truths) == 0:
        raise InputError("truths: the list is empty; give the label map of at least one annotator.")
    if not (labels >= 0).any():
        raise InputError("labels: every pixel is unlabelled (below 0); label at least one pixel.")
    names = [f"truths[{k}]" for k in range(len(truths))]
    arrays = [as_labels(truth, name) for truth, name in zip(truths, names, strict=True)]
    for truth, name in zip(arrays, names, strict=True):
        check_shape(labels, truth, name)
        if not ((truth >= 0) & (labels >= 0)).any():
            raise InputError(
                f"{name}: no pixel is labelled in both this truth and the labels; leave this "
                "truth out."
            )
    return labels, arrays


def as_labels(values: ArrayLike, name: str) -> NDArray[np.integer]:
    """Converts values to an array of integers. Error messages begin with ``name``."""
    array = np.asarray(values)
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind not in "ui":
        raise InputError(f"{name}: the type of the values is {array.dtype}; give integer labels.")
    return array


def check_shape(labels: NDArray, truth: NDArray, name: str) -> None:
    """Checks that a truth has the same shape as the labels. Error messages begin with ``name``."""
    if labels.shape != truth.shape:
        raise InputError(
            f"{name}: the size is {size_of(truth)}, but the size of labels is {size_of(labels)}; "
            "resize the labels with nearest-neighbour interpolation."
        )


def size_of(array: NDArray) -> str:
    """Formats the shape of an array, such as ``321x481``."""
    return "x".join(map(str, array.shape))


def _renumber(values: NDArray[np.integer]) -> tuple[NDArray[np.int64], int]:
    """Renumbers values from 0 without gaps, and counts the different values."""
    if values.max() < _LOOKUP_LIMIT:
        ranks = np.cumsum(np.bincount(values.astype(np.int64)) > 0) - 1
        return ranks[values], int(ranks[-1]) + 1
    distinct, ids = np.unique(values, return_inverse=True)
    return ids, distinct.size


class ContingencyCounter:
    """Counter that makes a contingency table from slices that are added one by one.

    Example:
        >>> counter = ContingencyCounter()
        >>> counter.add([[0, 3]], [[5, 5]])
        >>> counter.add([[3, -1]], [[5, 5]])
        >>> counter.regions().tolist(), counter.labels().tolist()
        ([5], [0, 3])
        >>> counter.contingency().table.toarray()
        array([[1, 2]])
    """

    def __init__(self) -> None:
        self._pairs = np.zeros((0, 2), np.int64)
        """The region and the label of each pair that occurs, in order."""
        self._counts = np.zeros(0, np.int64)

    def add(self, labels: ArrayLike, truth: ArrayLike) -> None:
        """Adds a slice. Pixels that are negative in one or both of the arrays are left out.

        Raises:
            InputError: If the shapes differ or an array does not hold integers.
        """
        labels, truth = as_labels(labels, "labels"), as_labels(truth, "truth")
        check_shape(labels, truth, "truth")
        counted = (labels >= 0) & (truth >= 0)
        if not counted.any():
            return
        column = labels[counted].astype(np.int64)
        width = int(column.max()) + 1
        codes, counts = np.unique(
            truth[counted].astype(np.int64) * width + column, return_counts=True
        )
        pairs = np.concatenate([self._pairs, np.stack(np.divmod(codes, width), axis=1)])
        self._pairs, which = np.unique(pairs, axis=0, return_inverse=True)
        weights = np.concatenate([self._counts, counts])
        self._counts = np.zeros(len(self._pairs), np.int64)
        np.add.at(self._counts, which.ravel(), weights)

    def regions(self) -> NDArray[np.int64]:
        """Returns the numbers of the truth regions in ascending order, one for each table row."""
        return np.unique(self._pairs[:, 0])

    def labels(self) -> NDArray[np.int64]:
        """Returns the numbers of the labels in ascending order, one for each table column."""
        return np.unique(self._pairs[:, 1])

    def contingency(self) -> Contingency:
        """Returns the contingency table of all slices that were added so far.

        Raises:
            InputError: If no pixel is labelled in both maps.
        """
        if not len(self._counts):
            raise InputError(
                "labels, truth: no pixel has a label of 0 or more in both; give label maps with at "
                "least one such pixel."
            )
        rows, num_regions = _renumber(self._pairs[:, 0])
        columns, num_labels = _renumber(self._pairs[:, 1])
        pairs = coo_array((self._counts, (rows, columns)), shape=(num_regions, num_labels))
        return Contingency(pairs.tocsr())
