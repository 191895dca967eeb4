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

    ``combine`` applies only to the six clustering scores. All other scores always use all
    annotators.

    Args:
        labels: Integer labels ``(H, W)``. Negative pixels are unlabelled, and are left out.
        truths: The label map of each annotator, of the same shape. At least one is needed.
        combine: How the scores of several annotators are combined. ``"mean"`` takes the mean over
            the annotators. ``"first"`` takes the scores of the first annotator. ``"best"`` takes
            all six scores of the annotator with the highest V-measure. (default: ``"mean"``)

    Returns:
        The scores by name. They lie between 0 and 1, and 1 is best, unless stated otherwise:

        * the scores of :func:`~sp_graph_seg.evaluation.score_clustering`;
        * the scores of :func:`~sp_graph_seg.evaluation.score_regions`;
        * ``bde``: see :func:`~sp_graph_seg.evaluation.boundary_displacement`. 0 is best;
        * ``miou_all``, ``miou_fine``, ``miou_coarse``: the means of the three arrays of
          :func:`~sp_graph_seg.evaluation.kim_ious`;
        * ``num_labels``: number of different labels;
        * ``annotated_pixels``: the weight of this image for ``covering`` in :func:`mean_scores`;
        * ``regions_all``, ``regions_fine``, ``regions_coarse``: the weights of this image for
          ``miou_all``, ``miou_fine`` and ``miou_coarse`` in :func:`mean_scores`.

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
    """Computes the six clustering scores of a segmentation against each annotator.

    Args:
        labels: As in :func:`score_segmentation`.
        truths: As in :func:`score_segmentation`.

    Returns:
        For each annotator, in the order of ``truths``, the scores ``rand``, ``ami``, ``fm``, ``h``,
        ``c`` and ``v``. Use :func:`combine_annotators` to get one number for each score.

    Raises:
        InputError: As in :func:`score_segmentation`.
    """
    return [score_clustering(table) for table in contingency_tables(labels, truths)]


def combine_annotators(
    annotators: Sequence[Mapping[str, float]], combine: Combine = "mean"
) -> dict[str, float]:
    """Combines the clustering scores of several annotators into one number for each score.

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
        raise InputError(
            "annotators: the list is empty; give the scores of at least one annotator."
        )
    if combine == "first":
        return dict(annotators[0])
    if combine == "best":
        return dict(max(annotators, key=lambda scores: scores["v"]))
    return {name: float(np.mean([a[name] for a in annotators])) for name in annotators[0]}


def score_in_detail(
    labels: ArrayLike, truths: Sequence[ArrayLike], combine: Combine = "mean"
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Returns the results of both :func:`score_segmentation` and :func:`score_annotators`."""
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

    Most scores are plain means over the images. For ``covering``, the mean is taken over the
    annotated pixels of all images, as in the Berkeley benchmark. For the three mIoU scores, the
    mean is taken over the truth regions of all images, as in Kim et al. For these four scores, an
    image with more annotated pixels or more truth regions has a larger weight.

    Args:
        images: Result of :func:`score_segmentation` for each image.

    Returns:
        The mean scores by name, without the weights of the images.

    Raises:
        InputError: If ``images`` is empty.
    """
    if not images:
        raise InputError("images: the list is empty; give the scores of at least one image.")

    def mean(name: str) -> float:
        weights = [image[_WEIGHTS[name]] for image in images] if name in _WEIGHTS else None
        return float(np.average([image[name] for image in images], weights=weights))

    return {name: mean(name) for name in SCORE_NAMES}


def _check_combine(combine: str) -> None:
    if combine not in get_args(Combine):
        choices = ", ".join(map(repr, get_args(Combine)))
        raise InputError(f"combine={combine!r} is unknown; use one of {choices}.")
