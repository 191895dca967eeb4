"""Labels each slice of a volume together with the slices beside it.

This is an addition to the method of the paper.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.prototypes import Phases, agreement, average_beside, smallest_gap
from sp_graph_seg.prototypes.rims import REACH
from sp_graph_seg.prototypes.tiles import row_bands
from sp_graph_seg.segmenter import Segmenter

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Described(NamedTuple):
    """The features of a slice that is not yet labelled."""

    number: int
    features: Array
    """``(Q, H, W)``: Q numbers for each pixel."""
    inside: Mask | None
    """The mask of data pixels; ``None`` if all pixels have data."""


def joins_slices(segmenter: Segmenter) -> bool:
    """Returns whether a model labels each slice of a volume together with the slices beside it."""
    return segmenter.config_.join_slices and isinstance(segmenter.labeller_, Phases)


def describe_slice(segmenter: Segmenter, number: int, image: NDArray) -> Described:
    """Computes the features of a slice ``(C, H, W)``."""
    values, inside = segmenter.normalize(image)
    assert isinstance(segmenter.labeller_, Phases), "slices are joined for phases only"
    return Described(number, segmenter.labeller_.describe(values), inside)


def label_joined(
    segmenter: Segmenter, slices: Iterable[Described]
) -> Iterator[tuple[int, NDArray[np.int32], Array]]:
    """Averages the features of each slice and of the slices beside it, and labels each slice.

    Args:
        segmenter: A trained model.
        slices: The features of the slices, in ascending order of their numbers. If a number is
            missing, the slices before and after the gap are not averaged with each other.

    Yields:
        The number of each slice, its labels ``(H, W)`` and the margins ``(H, W)`` of these labels.
    """
    labeller = segmenter.labeller_
    assert isinstance(labeller, Phases), "slices are joined for phases only"
    assert labeller.prototypes is not None, "the prototypes are fitted"
    gap = smallest_gap(labeller.prototypes.centers)

    def finish(
        own: Described, beside: list[tuple[Array, Array]]
    ) -> tuple[int, NDArray[np.int32], Array]:
        size = own.features.shape[1], own.features.shape[2]
        labels, margins = np.empty(size, np.int32), np.empty(size, np.float32)
        for rows in row_bands(*size):
            wider = slice(max(0, rows.start - REACH), rows.stop + REACH)
            others = [(share[wider], features[:, wider]) for share, features in beside]
            average = average_beside(own.features[:, wider], others)
            inside = None if own.inside is None else own.inside[wider]
            inner = slice(rows.start - wider.start, rows.stop - wider.start)
            labels[rows], margins[rows] = (part[inner] for part in labeller.label(average, inside))
        return own.number, segmenter.finish(labels, size, own.inside), margins

    before: Described | None = None
    beside: list[tuple[Array, Array]] = []
    for current in slices:
        beside_current = []
        if before is not None:
            if current.number == before.number + 1 and gap > 0:
                share = agreement(before.features, current.features, gap)
                beside.append((_with_data(share, current), current.features))
                beside_current = [(_with_data(share, before), before.features)]
            yield finish(before, beside)
        before, beside = current, beside_current
    if before is not None:
        yield finish(before, beside)


def _with_data(share: Array, of: Described) -> Array:
    """Sets ``share`` to 0 at the pixels where a slice has no data."""
    return share if of.inside is None else share * of.inside
