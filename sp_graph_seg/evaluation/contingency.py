"""The contingency table of a segmentation and one annotator's, which every score is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array

from sp_graph_seg.errors import InputError

_LOOKUP_LIMIT = 2**20
"""Labels below this are renumbered by a lookup table, 20 times as fast as a sort."""


@dataclass(frozen=True)
class Contingency:
    """How many pixels each truth region R and each label L share.

    Attributes:
        table: Sparse ``(regions, labels)`` int64 counts. Every row and column has a pixel.
    """

    table: csr_array

    @cached_property
    def region_sizes(self) -> NDArray[np.int64]:
        """``(regions,)``, the pixels of each truth region."""
        return np.ravel(self.table.sum(axis=1))

    @cached_property
    def label_sizes(self) -> NDArray[np.int64]:
        """``(labels,)``, the pixels of each label."""
        return np.ravel(self.table.sum(axis=0))

    @property
    def num_pixels(self) -> int:
        """The pixels that both label."""
        return int(self.table.data.sum())


def contingency_table(labels: ArrayLike, truth: ArrayLike) -> Contingency:
    """Counts the pixels that each truth region and each label share.

    Pixels with a negative label on either side are unlabelled and left out.

    Args:
        labels: Integer labels of any shape, such as ``(H, W)``.
        truth: Labels of one annotator, of the same shape.

    Returns:
        The table, with truth regions as rows, in the order of their numbers.

    Raises:
        InputError: The shapes differ, an array holds no integers, or no pixel is labelled in both.

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
            "labels and truth: no pixel has a label of 0 or more in both; label some pixels."
        )
    rows, num_regions = _renumber(truth[counted])
    columns, num_labels = _renumber(labels[counted])
    ones = np.ones(rows.size, dtype=np.int64)
    pairs = coo_array((ones, (rows, columns)), shape=(num_regions, num_labels))
    return Contingency(pairs.tocsr())  # adds up the ones of equal pairs


def contingency_tables(labels: ArrayLike, truths: Sequence[ArrayLike]) -> list[Contingency]:
    """The tables of one segmentation and each annotator's.

    Args:
        labels: ``(H, W)`` integer labels; negative: unlabelled.
        truths: One such array of the same shape for each annotator, at least one.

    Returns:
        One table for each annotator, in their order.

    Raises:
        InputError: As :func:`contingency_table`, or there is no truth.
    """
    labels, truths = check_pair(labels, truths)
    return [contingency_table(labels, truth) for truth in truths]


def check_pair(
    labels: ArrayLike, truths: Sequence[ArrayLike]
) -> tuple[NDArray[np.integer], list[NDArray[np.integer]]]:
    """Gives labels and truths as arrays of one shape with a labelled pixel in each, or refuses."""
    labels = as_labels(labels, "labels")
    if isinstance(truths, np.ndarray) and truths.ndim == labels.ndim:
        raise InputError("truths: is one array; give a list of arrays, one for each annotator.")
    if len(truths) == 0:
        raise InputError("truths: is empty; give the labels of at least one annotator.")
    if not (labels >= 0).any():
        raise InputError("labels: every pixel is unlabelled (below 0); label some pixels.")
    names = [f"truths[{k}]" for k in range(len(truths))]
    arrays = [as_labels(truth, name) for truth, name in zip(truths, names, strict=True)]
    for truth, name in zip(arrays, names, strict=True):
        check_shape(labels, truth, name)
        if not ((truth >= 0) & (labels >= 0)).any():
            raise InputError(f"{name}: labels no pixel that labels has; leave this annotator out.")
    return labels, arrays


def as_labels(values: ArrayLike, name: str) -> NDArray[np.integer]:
    """Gives an array of integers, or refuses by name."""
    array = np.asarray(values)
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind not in "ui":
        raise InputError(f"{name}: holds {array.dtype} values; give integer labels.")
    return array


def check_shape(labels: NDArray, truth: NDArray, name: str) -> None:
    """Refuses a truth whose shape is not that of the labels; names both."""
    if labels.shape != truth.shape:
        raise InputError(
            f"{name}: {size_of(truth)} pixels are not the {size_of(labels)} of labels; "
            "resize the labels with nearest-neighbour interpolation."
        )


def size_of(array: NDArray) -> str:
    """Gives the shape as people write it, ``321x481``."""
    return "x".join(map(str, array.shape))


def _renumber(values: NDArray[np.integer]) -> tuple[NDArray[np.int64], int]:
    """Gives the values' ranks, from 0 without gaps, and how many different ones there are."""
    if values.max() < _LOOKUP_LIMIT:
        ranks = np.cumsum(np.bincount(values.astype(np.int64)) > 0) - 1
        return ranks[values], int(ranks[-1]) + 1
    distinct, ids = np.unique(values, return_inverse=True)
    return ids, distinct.size
