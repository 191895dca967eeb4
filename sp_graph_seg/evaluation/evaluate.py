"""All scores of a segmentation against one or more annotators."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation.boundary_scores import boundary_displacement
from sp_graph_seg.evaluation.clustering_scores import CLUSTERING_SCORES, score_clustering
from sp_graph_seg.evaluation.contingency import contingency_tables
from sp_graph_seg.evaluation.kim_miou import ANNOTATOR_SETS, kim_ious
from sp_graph_seg.evaluation.region_scores import REGION_SCORES, score_regions

Combine = Literal["mean", "first", "best"]
"""How the clustering scores against several annotators become one number."""

SCORE_NAMES = (
    *(*CLUSTERING_SCORES, *REGION_SCORES),
    "bde",
    *(f"miou_{which}" for which in ANNOTATOR_SETS),
    "num_labels",
)
"""The scores of :func:`score_segmentation`, in their order."""

#: Scores that are pooled over a data set, with the weight of each image; all others are means.
_WEIGHTS = {
    "covering": "annotated_pixels",
    **{f"miou_{which}": f"regions_{which}" for which in ANNOTATOR_SETS},
}


def score_segmentation(
    labels: ArrayLike, truths: Sequence[ArrayLike], combine: Combine = "mean"
) -> dict[str, float]:
    """Computes all scores of a segmentation against all its annotators.

    ``combine`` applies to the six clustering scores only. The region scores and mIoU are defined
    over all annotators.

    Args:
        labels: ``(H, W)`` integer labels. Negative pixels are unlabelled and left out.
        truths: One array of the same shape for each annotator, at least one.
        combine: How the annotators are combined. ``"mean"`` takes the mean over them, ``"first"``
            the first one, and ``"best"`` the one with the highest V-measure for all six
            scores. (default: ``"mean"``)

    Returns:
        The scores by name. They lie between 0 and 1, and 1 is best, unless stated otherwise:

        * those of :func:`~sp_graph_seg.evaluation.score_clustering`;
        * those of :func:`~sp_graph_seg.evaluation.score_regions`;
        * ``bde``: see :func:`~sp_graph_seg.evaluation.boundary_displacement`; 0 is best;
        * ``miou_all``, ``miou_fine``, ``miou_coarse``: see
          :func:`~sp_graph_seg.evaluation.kim_ious`;
        * ``num_labels``: number of different labels;
        * ``annotated_pixels``, ``regions_all``, ``regions_fine``, ``regions_coarse``: the weights
          of the image in ``covering`` and in each mIoU of a data set, see :func:`mean_scores`.

    Raises:
        InputError: If the shapes differ, an array does not hold integers, every pixel is
            unlabelled, ``truths`` is empty, or ``combine`` is unknown.

    Example:
        >>> scores = score_segmentation([[0, 0, 1]], [[[0, 0, 1]], [[0, 1, 1]]], combine="best")
        >>> scores["v"], scores["pri"], scores["num_labels"]
        (1.0, 0.6666666666666666, 2)
    """
    return score_in_detail(labels, truths, combine)[0]


def score_annotators(labels: ArrayLike, truths: Sequence[ArrayLike]) -> list[dict[str, float]]:
    """Computes the six clustering scores against each annotator, in their order.

    Args:
        labels: As in :func:`score_segmentation`.
        truths: As in :func:`score_segmentation`.

    Returns:
        ``rand``, ``ami``, ``fm``, ``h``, ``c`` and ``v`` for each annotator. Use
        :func:`combine_annotators` to reduce them to one number each.

    Raises:
        InputError: As in :func:`score_segmentation`.
    """
    return [score_clustering(table) for table in contingency_tables(labels, truths)]


def combine_annotators(
    annotators: Sequence[Mapping[str, float]], combine: Combine = "mean"
) -> dict[str, float]:
    """Combines the clustering scores against several annotators into one number each.

    Args:
        annotators: Result of :func:`score_annotators`, not empty.
        combine: As in :func:`score_segmentation`. (default: ``"mean"``)

    Returns:
        The scores by name.

    Raises:
        InputError: If ``annotators`` is empty or ``combine`` is unknown.
    """
    _check_combine(combine)
    if not annotators:
        raise InputError("annotators: the list is empty; score at least one annotator.")
    if combine == "first":
        return dict(annotators[0])
    if combine == "best":
        return dict(max(annotators, key=lambda scores: scores["v"]))
    return {name: float(np.mean([a[name] for a in annotators])) for name in annotators[0]}


def score_in_detail(
    labels: ArrayLike, truths: Sequence[ArrayLike], combine: Combine = "mean"
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Returns the results of :func:`score_segmentation` and :func:`score_annotators` together."""
    _check_combine(combine)
    tables = contingency_tables(labels, truths)
    annotators = [score_clustering(table) for table in tables]
    ious = kim_ious(labels, truths)
    array = np.asarray(labels)
    scores: dict[str, float] = {
        **combine_annotators(annotators, combine),
        **score_regions(tables),
        "bde": boundary_displacement(labels, truths),
        **{f"miou_{which}": float(regions.mean()) for which, regions in ious.items()},
        "num_labels": np.unique(array[array >= 0]).size,
        "annotated_pixels": sum(table.num_pixels for table in tables),
        **{f"regions_{which}": regions.size for which, regions in ious.items()},
    }
    return scores, annotators


def mean_scores(images: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Averages the scores of the images of a data set.

    The scores are plain means over images, with two exceptions that follow their sources:
    ``covering`` pools the annotated pixels as the Berkeley benchmark does, and ``miou_*`` pool the
    truth regions as Kim et al. do. An image with more of them weighs more.

    Args:
        images: Result of :func:`score_segmentation` for each image.

    Returns:
        The scores by name, without the weights.

    Raises:
        InputError: If ``images`` is empty.
    """
    if not images:
        raise InputError("images: the list is empty; score at least one image.")

    def mean(name: str) -> float:
        weights = [image[_WEIGHTS[name]] for image in images] if name in _WEIGHTS else None
        return float(np.average([image[name] for image in images], weights=weights))

    return {name: mean(name) for name in SCORE_NAMES}


def _check_combine(combine: str) -> None:
    if combine not in get_args(Combine):
        choices = ", ".join(map(repr, get_args(Combine)))
        raise InputError(f"combine={combine!r} is unknown; use one of {choices}.")
