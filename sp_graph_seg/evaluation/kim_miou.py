"""The mean intersection over union (mIoU) of Kim, Kanezaki and Tanaka.

The score is described in IEEE TIP 2020, doi 10.1109/TIP.2020.3011269.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sp_graph_seg.evaluation.contingency import check_pair, contingency_table
from sp_graph_seg.evaluation.region_scores import best_overlaps

ANNOTATOR_SETS = ("all", "fine", "coarse")
"""All annotators, the one with the most regions, and the one with the fewest."""


def kim_ious(labels: ArrayLike, truths: Sequence[ArrayLike]) -> dict[str, NDArray[np.float64]]:
    """Computes the best intersection over union (IoU) of every truth region.

    The best IoU of a truth region is its largest IoU with a connected component of a label. Any
    label counts, whatever its number. Several truth regions may have the same best component.

    The components are 4-connected. According to the authors (issue 2 of their repository), they
    split labels with ``relabelConnectedSuperpixels`` of superpixel-benchmark, which does not use
    8-connectivity. The truth regions are not split.

    The mIoU of an image is the mean of the best IoU of its truth regions. The mIoU of a data set is
    the mean over all truth regions of all images, and not the mean over images. To compute the mIoU
    of a data set, concatenate the arrays of its images and take the mean.

    For a segmentation of BSDS with a single label, the authors report 0.046 for ``"all"``, 0.025
    for ``"fine"`` and 0.100 for ``"coarse"`` (issue 6 of their repository). A mean over images
    would be higher than these values.

    Args:
        labels: Integer labels, ``(H, W)`` or ``(D, H, W)``. Negative pixels are unlabelled. The
            components of a volume are connected through faces.
        truths: The label map of each annotator, of the same shape.

    Returns:
        Three arrays. ``"all"`` has the best IoU of every region of every annotator. ``"fine"`` has
        the values of the annotator with the most regions. ``"coarse"`` has the values of the
        annotator with the fewest regions. In a tie, the first annotator is taken.

    Raises:
        InputError: In the same cases as :func:`~sp_graph_seg.evaluation.score_segmentation`.
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
    """Numbers the 4-connected components of the labels from 0. Unlabelled pixels become -1."""
    from skimage.measure import label

    signed = labels.astype(np.int64)
    return label(np.maximum(signed, -1), background=-1, connectivity=1).astype(np.int64) - 1
