"""Labels each slice of a volume together with the slices beside it.

This is an addition to the method of the paper.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.prototypes import (
    Phases,
    agreement,
    are_related,
    average_beside,
    smallest_gap,
)
from sp_graph_seg.prototypes.tiles import row_bands
from sp_graph_seg.segmenter import Segmenter

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: How many slices before and after a slice its labels depend on: the nearest ones are averaged with
#: it, and are averaged themselves with the next ones.
DEPENDS_ON = 2


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
    return Described(number, segmenter.labeller_.describe(values, inside), inside)


def label_joined(
    segmenter: Segmenter, slices: Iterable[Described]
) -> Iterator[tuple[int, NDArray[np.int32], Array]]:
    """Averages the features of each slice and of the slices beside it, and labels each slice.

    The labels of a slice depend on up to :data:`DEPENDS_ON` slices on each side.

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
    gap, reach = smallest_gap(labeller.prototypes.centers), labeller.rim_width
    averaged = _average(slices, gap)
    if labeller.removes_rims:
        together = _with_related(averaged, gap)
    else:
        together = ((own, []) for own in averaged)
    for own, beside in together:
        size = own.features.shape[1], own.features.shape[2]
        labels, margins = np.empty(size, np.int32), np.empty(size, np.float32)
        for rows in row_bands(*size):
            wider = slice(max(0, rows.start - reach), rows.stop + reach)
            inside = None if own.inside is None else own.inside[wider]
            found = labeller.label(
                own.features[:, wider], inside, [_with_nan(other, wider) for other in beside]
            )
            inner = slice(rows.start - wider.start, rows.stop - wider.start)
            labels[rows], margins[rows] = (part[inner] for part in found)
        yield own.number, segmenter.finish(labels, size, own.inside), margins


def _average(slices: Iterable[Described], gap: float) -> Iterator[Described]:
    """Averages the features of each slice with those of the slices beside it, if they agree."""
    before: Described | None = None
    beside: list[tuple[Array, Array]] = []
    for current in slices:
        beside_current = []
        if before is not None:
            if current.number == before.number + 1 and gap > 0:
                share = agreement(before.features, current.features, gap)
                beside.append((_with_data(share, current), current.features))
                beside_current = [(_with_data(share, before), before.features)]
            yield before._replace(features=average_beside(before.features, beside))
        before, beside = current, beside_current
    if before is not None:
        yield before._replace(features=average_beside(before.features, beside))


def _with_related(
    slices: Iterable[Described], gap: float
) -> Iterator[tuple[Described, list[Described]]]:
    """Yields each slice and those of the slices directly beside it that show the same things."""
    before: Described | None = None
    beside: list[Described] = []
    for current in slices:
        beside_current = []
        if before is not None:
            if current.number == before.number + 1 and are_related(
                before.features[0], current.features[0], gap
            ):
                beside.append(current)
                beside_current = [before]
            yield before, beside
        before, beside = current, beside_current
    if before is not None:
        yield before, beside


def _with_nan(of: Described, rows: slice) -> Array:
    """Returns rows of the features of a slice, with NaN at the pixels that have no data."""
    part = of.features[:, rows]
    return part if of.inside is None else np.where(of.inside[rows], part, np.nan)


def _with_data(share: Array, of: Described) -> Array:
    """Sets ``share`` to 0 at the pixels where a slice has no data."""
    return share if of.inside is None else share * of.inside
