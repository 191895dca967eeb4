"""The region scores of a data set at several settings of a method: ODS, OIS and best."""

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

    The best overlap of a truth region is its largest intersection over union with a label.

    Attributes:
        covered: ``(S,)``, the sum over all truth regions of the size of the region times its best
            overlap, at each setting.
        covered_at_best: The same sum, but each truth region is counted at the setting at which its
            best overlap is largest.
        annotated: Number of labelled pixels of all annotators together. ``covered`` cannot be
            larger.
        pri: ``(S,)``, probabilistic Rand index at each setting.
        vi: ``(S,)``, variation of information in bits at each setting.
    """

    covered: NDArray[np.float64]
    covered_at_best: float
    annotated: int
    pri: NDArray[np.float64]
    vi: NDArray[np.float64]


@dataclass(frozen=True)
class RegionBenchmark:
    """Scores of a data set at S settings, as in the Berkeley benchmark.

    ODS (optimal data set scale) uses the same setting for all images. This setting gives the data
    set its best score. OIS (optimal image scale) uses the best setting of each image.
    "Best" uses the best setting of each truth region.

    Attributes:
        covering: ``(S,)``, Covering of all images at each setting.
        pri: ``(S,)``, probabilistic Rand index (PRI) at each setting, the mean over images.
        vi: ``(S,)``, variation of information (VI) in bits at each setting, the mean over images.
        covering_ods: Largest value of ``covering``.
        covering_ois: Covering with the best setting of each image.
        covering_best: Covering with the best setting of each truth region.
        pri_ods: Largest value of ``pri``.
        pri_ois: Mean over images of the largest PRI of each image.
        vi_ods: Smallest value of ``vi``.
        vi_ois: Mean over images of the smallest VI of each image.
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
        segmentations: Integer labels ``(H, W)`` for each of S settings. No pixel may be unlabelled.
        truths: The label map of each annotator, of the same shape. Negative pixels are unlabelled.

    Returns:
        The scores of the image. :func:`benchmark_regions` combines the scores of several images.

    Raises:
        InputError: If ``segmentations`` is empty, a segmentation has an unlabelled pixel, or
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
    """Combines the scores of the images of a data set, as in the Berkeley benchmark.

    Covering is a mean over the annotated pixels of all images, so an image with more annotators or
    more pixels has a larger weight. PRI and VI are plain means over the images (Arbelaez et al.
    2011).

    Args:
        images: Scores of each image. All images are scored at the same settings.

    Returns:
        The scores of the data set.

    Raises:
        InputError: If ``images`` is empty, or the images have different numbers of settings.
    """
    counts = sorted({image.covered.size for image in images})
    if not counts:
        raise InputError("images: is empty; give at least one image.")
    if len(counts) != 1:
        raise InputError(
            f"images: were scored at different numbers of settings, {counts}; score all images at "
            "the same settings."
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
    """Makes labels from an ultrametric contour map, by cutting it at a threshold.

    The map of an image ``(H, W)`` has the shape ``(2 H + 1, 2 W + 1)``. The pixels of the image lie
    at odd rows and columns, counted from 0. All other places hold the strengths of the contours
    between the pixels. The labels are the 8-connected components of the places where the strength
    is not above the threshold.

    Args:
        ucm2: The ultrametric contour map, ``(2 H + 1, 2 W + 1)``.
        threshold: Contours with a strength above this value separate labels. To score n settings,
            the benchmark uses the thresholds k / (n + 1) for k from 1 to n.

    Returns:
        Labels from 0, ``(H, W)``.

    Raises:
        InputError: If the map has an even number of rows or columns, or its value at a pixel is
            above the threshold.
    """
    from skimage.measure import label

    strength = np.asarray(ucm2)
    if strength.ndim != 2 or not all(side % 2 and side > 2 for side in strength.shape):
        raise InputError(
            f"ucm2: the shape {strength.shape} is not (2 H + 1, 2 W + 1) for an image (H, W); give "
            "the contour map in double size."
        )
    labels = label(strength <= threshold, connectivity=2)[1::2, 1::2].astype(np.int64) - 1
    if labels.min() < 0:
        raise InputError(
            f"threshold={threshold}: ucm2 has a value above this threshold at a pixel of the image "
            "(an odd row and column), so this pixel is in no region; give a higher threshold."
        )
    return labels


def _tables(labels: ArrayLike, truths: Sequence[ArrayLike], setting: int) -> list[Contingency]:
    """Makes the contingency tables of one setting. Raises an error if a pixel is unlabelled.

    The contingency table leaves out unlabelled pixels. If they were allowed, the sizes of the truth
    regions could differ from setting to setting.
    """
    array, _ = check_pair(labels, truths)
    if array.min() < 0:
        raise InputError(
            f"segmentations[{setting}]: some pixels are unlabelled; label every pixel."
        )
    return contingency_tables(labels, truths)
