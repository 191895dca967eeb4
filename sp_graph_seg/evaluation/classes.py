"""Scores of each class of the truth, after each class has been assigned to a label."""

from typing import NamedTuple

import numpy as np

from sp_graph_seg.evaluation.contingency import Contingency


class ClassScore(NamedTuple):
    """The scores of one class of the truth. 1 is best and 0 is worst."""

    row: int
    """The class, as a row of the table."""
    column: int | None
    """The label of the class, as a column of the table. None if no label is left for the class."""
    iou: float
    """Intersection over union (Jaccard index)."""
    dice: float
    """Twice the intersection, divided by the sum of both sizes (F1)."""
    precision: float
    """Share of the pixels of the label that belong to this class."""
    recall: float
    """Share of the pixels of the class that have this label."""


def score_classes(contingency: Contingency) -> list[ClassScore]:
    """Assigns each class of the truth to a different label, and scores how well both agree.

    Of all possible assignments, the one with the largest sum of intersections over union (IoU) is
    used (Kuhn 1955, "The Hungarian method for the assignment problem"). A label that is left over
    belongs to no class, and its pixels count as missed. If there are more labels than classes,
    merge labels first.

    Args:
        contingency: The contingency table of the labels and the truth.

    Returns:
        The scores of each class, in the order of the rows of the table.

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
