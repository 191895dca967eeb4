"""The boundary displacement error, a distance between the boundaries of two segmentations."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt

from sp_graph_seg.evaluation.contingency import check_pair
from sp_graph_seg.transforms.adjacency import find_boundary


def boundary_displacement(labels: ArrayLike, truths: Sequence[ArrayLike]) -> float:
    """Computes the boundary displacement error, a mean distance in pixels. 0 is best.

    For each boundary pixel of one segmentation, the distance to the nearest boundary pixel of the
    other segmentation is computed. The mean is taken over the pixels, then over both directions
    (Freixenet et al., ECCV 2002), and then over the annotators. A boundary pixel shares a face with
    a pixel of another label. If a segmentation has no boundary pixels, the pixels at the border of
    the image are used instead, as in the evaluation code of Yang et al. (CVIU 2008).

    Args:
        labels: Integer labels, ``(H, W)`` or ``(D, H, W)``. Pixels with a negative label are left
            out.
        truths: The label map of each annotator, of the same shape.

    Raises:
        InputError: In the same cases as :func:`~sp_graph_seg.evaluation.score_segmentation`.
    """
    labels, truths = check_pair(labels, truths)
    return float(np.mean([_displacement(labels, truth) for truth in truths]))


def _displacement(labels: NDArray[np.integer], truth: NDArray[np.integer]) -> float:
    counted = (labels >= 0) & (truth >= 0)
    one, other = (
        boundary_pixels(np.where(counted, ids.astype(np.int64), -1)) for ids in (labels, truth)
    )
    to_one, to_other = distance_transform_edt(~one), distance_transform_edt(~other)
    return float((to_other[one].mean() + to_one[other].mean()) / 2)


def boundary_pixels(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Marks the pixels that share a face with a pixel of another label.

    If there are no such pixels, the pixels at the border of the image are marked.
    """
    first, second, _ = find_boundary(labels)
    found = np.zeros(labels.size, dtype=bool)
    found[first] = found[second] = True
    if found.any():
        return found.reshape(labels.shape)
    inner = tuple(slice(1, length - 1) for length in labels.shape)
    rim = np.ones(labels.shape, dtype=bool)
    rim[inner] = False
    return rim
