"""All scores of a segmentation against one or several annotators."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation.clustering_scores import CLUSTERING_SCORES, score_clustering
from sp_graph_seg.evaluation.contingency import contingency_tables
from sp_graph_seg.evaluation.kim_miou import ANNOTATOR_SETS, kim_ious
from sp_graph_seg.evaluation.region_scores import REGION_SCORES, score_regions

Truth = Literal["mean", "first", "best"]
"""How the clustering scores of several annotators become one figure."""

SCORE_NAMES = (
    *(*CLUSTERING_SCORES, *REGION_SCORES),
    *(f"miou_{which}" for which in ANNOTATOR_SETS),
    "num_labels",
)
"""The scores of :func:`score_segmentation`, in their order."""

#: Scores that a data set pools, and what each image weighs in them; the others are plain means.
_WEIGHTS = {
    "covering": "annotated_pixels",
    **{f"miou_{which}": f"regions_{which}" for which in ANNOTATOR_SETS},
}


def score_segmentation(
    labels: ArrayLike, truths: Sequence[ArrayLike], truth: Truth = "mean"
) -> dict[str, float]:
    """All scores of a segmentation against all its annotators.

    ``truth`` combines the six clustering scores only: the region scores and mIoU are defined over
    all annotators.

    Args:
        labels: ``(H, W)`` integer labels; negative: unlabelled, left out.
        truths: One array of the same shape for each annotator, at least one.
        truth: ``"mean"``: mean over annotators, ``"first"``: the first annotator, ``"best"``: the
            annotator with the highest V-measure, the same one for all six. (default: ``"mean"``)

    Returns:
        The scores by name, between 0 and 1 with 1 the best unless another range is named:

        * those of :func:`~sp_graph_seg.evaluation.score_clustering`;
        * those of :func:`~sp_graph_seg.evaluation.score_regions`;
        * ``miou_all``, ``miou_fine``, ``miou_coarse``: see
          :func:`~sp_graph_seg.evaluation.kim_ious`;
        * ``num_labels``: how many different labels there are;
        * ``annotated_pixels``, ``regions_all``, ``regions_fine``, ``regions_coarse``: what the
          image weighs in ``covering`` and in each mIoU of a data set, see :func:`mean_scores`.

    Raises:
        InputError: The shapes differ, an array holds no integers, everything is unlabelled, there
            is no truth, or ``truth`` is unknown.

    Example:
        >>> scores = score_segmentation([[0, 0, 1]], [[[0, 0, 1]], [[0, 1, 1]]], truth="best")
        >>> scores["v"], scores["pri"], scores["num_labels"]
        (1.0, 0.6666666666666666, 2)
    """
    return score_in_detail(labels, truths, truth)[0]


def score_annotators(labels: ArrayLike, truths: Sequence[ArrayLike]) -> list[dict[str, float]]:
    """The six clustering scores against each annotator, in their order.

    Args:
        labels: As :func:`score_segmentation`.
        truths: As :func:`score_segmentation`.

    Returns:
        ``rand``, ``ami``, ``fm``, ``h``, ``c`` and ``v`` for each annotator; :func:`combine` makes
        one figure each of them.

    Raises:
        InputError: As :func:`score_segmentation`.
    """
    return [score_clustering(table) for table in contingency_tables(labels, truths)]


def combine(annotators: Sequence[Mapping[str, float]], truth: Truth = "mean") -> dict[str, float]:
    """One figure for each clustering score of several annotators.

    Args:
        annotators: What :func:`score_annotators` returns, at least one.
        truth: As :func:`score_segmentation`. (default: ``"mean"``)

    Returns:
        The scores by name.

    Raises:
        InputError: There is no annotator, or ``truth`` is unknown.
    """
    _check_truth(truth)
    if not annotators:
        raise InputError("annotators: is empty; score at least one annotator.")
    if truth == "first":
        return dict(annotators[0])
    if truth == "best":
        return dict(max(annotators, key=lambda scores: scores["v"]))
    return {name: float(np.mean([a[name] for a in annotators])) for name in annotators[0]}


def score_in_detail(
    labels: ArrayLike, truths: Sequence[ArrayLike], truth: Truth = "mean"
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """What :func:`score_segmentation` and :func:`score_annotators` return, counted once."""
    _check_truth(truth)
    tables = contingency_tables(labels, truths)
    annotators = [score_clustering(table) for table in tables]
    ious = kim_ious(labels, truths)
    array = np.asarray(labels)
    scores: dict[str, float] = {
        **combine(annotators, truth),
        **score_regions(tables),
        **{f"miou_{which}": float(regions.mean()) for which, regions in ious.items()},
        "num_labels": np.unique(array[array >= 0]).size,
        "annotated_pixels": sum(table.num_pixels for table in tables),
        **{f"regions_{which}": regions.size for which, regions in ious.items()},
    }
    return scores, annotators


def mean_scores(images: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The scores of a data set.

    Plain means over images, with two exceptions that follow their sources: ``covering`` pools the
    annotated pixels as the Berkeley benchmark does, and ``miou_*`` pool the regions as Kim et al.
    do, so that an image with more of them weighs more.

    Args:
        images: What :func:`score_segmentation` returned for each image.

    Returns:
        The scores by name, without the weights.

    Raises:
        InputError: There is no image.
    """
    if not images:
        raise InputError("images: is empty; score at least one image.")

    def mean(name: str) -> float:
        weights = [image[_WEIGHTS[name]] for image in images] if name in _WEIGHTS else None
        return float(np.average([image[name] for image in images], weights=weights))

    return {name: mean(name) for name in SCORE_NAMES}


def _check_truth(truth: str) -> None:
    if truth not in get_args(Truth):
        choices = ", ".join(map(repr, get_args(Truth)))
        raise InputError(f"truth={truth!r} is unknown: use one of {choices}.")
