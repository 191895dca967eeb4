"""The proposal of labels to merge because their grey values are similar."""

from collections.abc import Mapping

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.greys import Grey

#: Labels whose means differ by less than this many of their standard deviations are proposed to be
#: merged: with normal distributions of equal width, a threshold between them errs in 31 %.
ALIKE = 1.0


def propose_merges(
    greys: Mapping[int, Grey], num_labels: int | None = None
) -> dict[int, list[int]]:
    """Proposes to merge labels that have similar grey values.

    Labels are merged two at a time. By Ward's method (1963), each step merges the two labels for
    which the variance of the grey values within labels increases least. The method cannot
    distinguish labels that differ only in texture, so a person must check the proposal.

    Args:
        greys: Statistics of the grey values of each label.
        num_labels: Number of labels to keep. By default, labels are merged until the means of every
            two labels differ by at least their common standard deviation. (default: :obj:`None`)

    Returns:
        For each target label, the labels to merge into it, as in ``Relabel.merge``. In each group
        of merged labels, the target is the label with the most pixels.

    Raises:
        InputError: If ``num_labels`` is below 1 or above the number of labels.
    """
    if num_labels is not None and not 1 <= num_labels <= len(greys):
        raise InputError(
            f"num_labels: {num_labels} is not between 1 and {len(greys)}, the number of labels; "
            f"give 1 to {len(greys)}."
        )
    groups = {label: ([label], grey) for label, grey in greys.items() if grey.size}
    while len(groups) > (num_labels or 1):
        labels = sorted(groups)
        pairs = [(a, b) for i, a in enumerate(labels) for b in labels[i + 1 :]]
        if num_labels is None:
            pairs = [(a, b) for a, b in pairs if _apart(groups[a][1], groups[b][1]) < ALIKE]
        if not pairs:
            break
        a, b = min(pairs, key=lambda pair: _added_variance(groups[pair[0]][1], groups[pair[1]][1]))
        members, grey = groups.pop(b)
        groups[a] = (groups[a][0] + members, _joined(groups[a][1], grey))
    found = {}
    for members, _ in groups.values():
        kept = max(members, key=lambda label: greys[label].size)
        if len(members) > 1:
            found[kept] = sorted(label for label in members if label != kept)
    return dict(sorted(found.items()))


def _apart(one: Grey, other: Grey) -> float:
    """Returns the difference between two means, divided by the common standard deviation."""
    variance = (one.size * one.std**2 + other.size * other.std**2) / (one.size + other.size)
    difference = abs(one.mean - other.mean)
    return difference / np.sqrt(variance) if variance else np.inf * difference if difference else 0


def _added_variance(one: Grey, other: Grey) -> float:
    return one.size * other.size / (one.size + other.size) * (one.mean - other.mean) ** 2


def _joined(one: Grey, other: Grey) -> Grey:
    size = one.size + other.size
    mean = (one.size * one.mean + other.size * other.mean) / size
    squares = one.size * one.std**2 + other.size * other.std**2 + _added_variance(one, other)
    std = float(np.sqrt(squares / size))
    return Grey(size, mean, std, min(one.low, other.low), max(one.high, other.high))
