"""The mIoU of Kim, Kanezaki and Tanaka, IEEE TIP 2020 (doi 10.1109/TIP.2020.3011269)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sp_graph_seg.evaluation.contingency import check_pair, contingency_table
from sp_graph_seg.evaluation.region_scores import best_overlaps

ANNOTATOR_SETS = ("all", "fine", "coarse")
"""All annotators, the one with the most regions, and the one with the fewest."""


def kim_ious(labels: ArrayLike, truths: Sequence[ArrayLike]) -> dict[str, NDArray[np.float64]]:
    """Computes the best IoU of every truth region. The mIoU is their mean.

    Each truth region takes its largest intersection over union with a connected component of a
    label. The number of the label does not matter, and a component may be taken several times. The
    components are 4-connected: according to the authors (issue 2 of their repository), labels are
    split with superpixel-benchmark's ``relabelConnectedSuperpixels``, which does not use
    8-connectivity. Truth regions are used as the annotator numbered them.

    The mIoU of a data set is the mean over all regions of all images, not over images. Only then
    do blank segmentations of BSDS score as low as the authors report (issue 6: 0.046 all, 0.025
    fine, 0.100 coarse). Concatenate the arrays of the images before taking the mean.

    Args:
        labels: ``(H, W)`` or ``(D, H, W)`` integer labels. Negative pixels are unlabelled. The
            components of a volume are connected through faces.
        truths: One such array of the same shape for each annotator.

    Returns:
        ``"all"`` has the IoU of every region of every annotator, ``"fine"`` those of the annotator
        with the most regions, ``"coarse"`` those of the annotator with the fewest. Ties go to the
        first annotator.

    Raises:
        InputError: As in :func:`~sp_graph_seg.evaluation.score_segmentation`.
    """
    labels, truths = check_pair(labels, truths)
    pieces = components(labels)
    ious = [best_overlaps(contingency_table(pieces, truth)) for truth in truths]
    counts = [regions.size for regions in ious]
    return {
        "all": np.concatenate(ious),
        "fine": ious[int(np.argmax(counts))],
        "coarse": ious[int(np.argmin(counts))],
    }


def components(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Numbers the 4-connected components of equal labels from 0; -1 where unlabelled."""
    from skimage.measure import label

    signed = labels.astype(np.int64)
    return label(np.maximum(signed, -1), background=-1, connectivity=1).astype(np.int64) - 1
