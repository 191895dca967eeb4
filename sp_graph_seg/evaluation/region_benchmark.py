"""ODS, OIS and best: region scores at several settings of a method, over a data set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation.contingency import Contingency, check_pair, contingency_tables
from sp_graph_seg.evaluation.region_scores import (
    best_overlaps,
    probabilistic_rand_index,
    variation_of_information,
)


@dataclass(frozen=True)
class SettingScores:
    """Region scores of one image at S settings, such as thresholds of a hierarchy.

    Attributes:
        covered: ``(S,)``, sum over all truth regions of size times best overlap.
        covered_at_best: The same sum with the best overlap of each region at any setting.
        annotated: Labelled pixels of all annotators together, the upper limit of ``covered``.
        pri: ``(S,)``, probabilistic Rand index.
        vi: ``(S,)``, variation of information in bits.
    """

    covered: NDArray[np.float64]
    covered_at_best: float
    annotated: int
    pri: NDArray[np.float64]
    vi: NDArray[np.float64]


@dataclass(frozen=True)
class RegionBenchmark:
    """Scores of the Berkeley benchmark over a data set.

    ODS (optimal data set scale) uses the one setting that is best for all images, OIS (optimal
    image scale) the best setting of each image, and "best" the best setting of each region.

    Attributes:
        covering: ``(S,)``, Covering over all images at each setting.
        pri: ``(S,)``, probabilistic Rand index, mean over images.
        vi: ``(S,)``, variation of information in bits, mean over images.
        covering_ods: Largest of ``covering``.
        covering_ois: Covering with the best setting of each image.
        covering_best: Covering with the best setting of each region.
        pri_ods: Largest of ``pri``.
        pri_ois: Mean over images of their largest PRI.
        vi_ods: Smallest of ``vi``.
        vi_ois: Mean over images of their smallest VI.
    """

    covering: NDArray[np.float64]
    pri: NDArray[np.float64]
    vi: NDArray[np.float64]
    covering_ods: float
    covering_ois: float
    covering_best: float
    pri_ods: float
    pri_ois: float
    vi_ods: float
    vi_ois: float


def score_settings(
    segmentations: Sequence[ArrayLike], truths: Sequence[ArrayLike]
) -> SettingScores:
    """Scores the segmentations of one image at several settings.

    Args:
        segmentations: ``(H, W)`` integer labels for each of S settings, without unlabelled pixels.
        truths: One array of the same shape for each annotator. Negative pixels are unlabelled.

    Returns:
        The scores of the image, from which :func:`benchmark_regions` makes those of a data set.

    Raises:
        InputError: If ``segmentations`` is empty, one of them has an unlabelled pixel, or
            :func:`~sp_graph_seg.evaluation.score_segmentation` would refuse the arrays.
    """
    if len(segmentations) == 0:
        raise InputError(
            "segmentations: the list is empty; give the labels of at least one setting."
        )
    tables = [_tables(labels, truths, k) for k, labels in enumerate(segmentations)]
    sizes = np.concatenate([table.region_sizes for table in tables[0]])
    # (S, regions of all annotators)
    overlaps = np.stack([np.concatenate([best_overlaps(t) for t in row]) for row in tables])
    return SettingScores(
        covered=overlaps @ sizes,
        covered_at_best=float(overlaps.max(axis=0) @ sizes),
        annotated=int(sizes.sum()),
        pri=np.array([probabilistic_rand_index(row) for row in tables]),
        vi=np.array([np.mean([variation_of_information(t) for t in row]) for row in tables]),
    )


def benchmark_regions(images: Sequence[SettingScores]) -> RegionBenchmark:
    """Combines the images of a data set as the Berkeley benchmark does (Arbelaez et al. 2011).

    Covering pools the pixels, so that an image with more annotators or more pixels weighs more. PRI
    and VI are plain means over images.

    Args:
        images: Scores of each image, all at the same settings.

    Returns:
        The scores of the data set.

    Raises:
        InputError: If ``images`` is empty or the numbers of settings differ.
    """
    counts = sorted({image.covered.size for image in images})
    if len(counts) != 1:
        raise InputError(
            f"images: the numbers of settings are {counts}, but must be one number; "
            "give at least one image, and score all images at the same settings."
        )
    annotated = sum(image.annotated for image in images)
    covering = np.sum([image.covered for image in images], axis=0) / annotated
    pri = np.mean([image.pri for image in images], axis=0)
    vi = np.mean([image.vi for image in images], axis=0)
    return RegionBenchmark(
        covering=covering,
        pri=pri,
        vi=vi,
        covering_ods=float(covering.max()),
        covering_ois=sum(float(image.covered.max()) for image in images) / annotated,
        covering_best=sum(image.covered_at_best for image in images) / annotated,
        pri_ods=float(pri.max()),
        pri_ois=float(np.mean([image.pri.max() for image in images])),
        vi_ods=float(vi.min()),
        vi_ois=float(np.mean([image.vi.min() for image in images])),
    )


def ucm2_labels(ucm2: ArrayLike, threshold: float) -> NDArray[np.int64]:
    """Cuts an ultrametric contour map at a threshold.

    The map is stored at double size, ``(2 H + 1, 2 W + 1)``. The pixels lie at odd rows and columns
    (counted from 0), the strengths of the contours between them at all others. Labels are the
    8-connected components of the doubled map where the strength is at most the threshold.

    Args:
        ucm2: ``(2 H + 1, 2 W + 1)`` contour strengths.
        threshold: Contours above it separate labels. The benchmark uses k / (n + 1), k = 1 to n.

    Returns:
        ``(H, W)`` labels from 0.

    Raises:
        InputError: If the map has an even side, or a pixel lies above the threshold.
    """
    from skimage.measure import label

    strength = np.asarray(ucm2)
    if strength.ndim != 2 or not all(side % 2 and side > 2 for side in strength.shape):
        raise InputError(
            f"ucm2: shape {strength.shape} is not (2 H + 1, 2 W + 1); give the doubled contour map."
        )
    labels = label(strength <= threshold, connectivity=2)[1::2, 1::2].astype(np.int64) - 1
    if labels.min() < 0:
        raise InputError(
            f"threshold={threshold}: a pixel of ucm2 lies above it; use a higher one, above 0."
        )
    return labels


def _tables(labels: ArrayLike, truths: Sequence[ArrayLike], setting: int) -> list[Contingency]:
    """Makes the tables of fully labelled maps, so that all settings have the same truth regions."""
    array, _ = check_pair(labels, truths)
    if array.min() < 0:
        raise InputError(
            f"segmentations[{setting}]: some pixels are unlabelled; label every pixel."
        )
    return contingency_tables(labels, truths)
