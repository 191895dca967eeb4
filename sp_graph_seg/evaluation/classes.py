"""Scores of each class of the truth, after labels have been assigned to classes."""

from typing import NamedTuple

import numpy as np

from sp_graph_seg.evaluation.contingency import Contingency


class ClassScore(NamedTuple):
    """How well one class of the truth is found. 1 is best, 0 is worst."""

    row: int
    """The class, as a row of the table."""
    column: int | None
    """The label assigned to it, as a column of the table; None if no unassigned label overlaps."""
    iou: float
    """Intersection over union (Jaccard index)."""
    dice: float
    """Twice the intersection over the sum of both (F1)."""
    precision: float
    """Share of the label that is of this class."""
    recall: float
    """Share of the class that has this label."""


def score_classes(contingency: Contingency) -> list[ClassScore]:
    """Assigns each class of the truth a label of its own, and scores how well they agree.

    The assignment is the one with the largest sum of IoU (Kuhn 1955, "The Hungarian method for the
    assignment problem"). Labels that are left over belong to no class, and their pixels count as
    missed. If there are more labels than classes, merge labels first.

    Args:
        contingency: The table of the labels and the truth.

    Returns:
        A score for each row of the table.

    Example:
        >>> from sp_graph_seg.evaluation import contingency_table
        >>> first, second = score_classes(contingency_table([1, 1, 1, 0], [0, 0, 1, 1]))
        >>> first.column, round(first.iou, 3), second.dice
        (1, 0.667, 0.6666666666666666)
    """
    from scipy.optimize import linear_sum_assignment

    shared = contingency.table.toarray()
    classes, labels = contingency.region_sizes, contingency.label_sizes
    union = classes[:, np.newaxis] + labels - shared
    iou = shared / union
    assigned = dict(zip(*(side.tolist() for side in linear_sum_assignment(-iou)), strict=True))
    scores = []
    for row, size in enumerate(classes.tolist()):
        column = assigned.get(row)
        if column is None or not shared[row, column]:
            scores.append(ClassScore(row, None, 0.0, 0.0, 0.0, 0.0))
            continue
        both, label = int(shared[row, column]), int(labels[column])
        overlap, dice = float(iou[row, column]), 2 * both / (size + label)
        scores.append(ClassScore(row, column, overlap, dice, both / label, both / size))
    return scores
