"""Proposes which labels to merge, from their grey values alone."""

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
    """Proposes labels to merge because their grey values are similar.

    By Ward's method (1963), the two labels whose merger adds least to the variance are merged
    first. Labels that differ only in texture look the same to this method, so a person must check
    the proposal.

    Args:
        greys: Sizes, means and standard deviations of the labels.
        num_labels: Number of labels to keep. (default: merge until the means of all labels differ
            by at least one standard deviation)

    Returns:
        For each label that is kept, the labels that are merged into it, as in ``Relabel.merge``.
        Of the labels that are merged, the largest is kept.

    Raises:
        InputError: If ``num_labels`` is below 1 or above the number of labels.
    """
    if num_labels is not None and not 1 <= num_labels <= len(greys):
        raise InputError(
            f"num_labels: {num_labels} cannot be kept of {len(greys)} labels; give 1 to "
            f"{len(greys)}."
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
    """Returns the difference of the means in units of the common standard deviation."""
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
