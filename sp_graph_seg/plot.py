"""Every picture: labels over an image, its graph, and the course of a training."""

import math
import os
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.inference.prepare import measure_intensity_range, normalize
from sp_graph_seg.io import atomic_write
from sp_graph_seg.transforms import as_array, as_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch_geometric.data import Data

    from sp_graph_seg.training import History

#: Number of colours; the labels beyond them start again with the first.
_COLORS = 64


def overlay_labels(
    image: ArrayLike | Tensor, labels: ArrayLike | Tensor, alpha: float = 0.5
) -> NDArray[np.uint8]:
    """Tints an image with its labels; each region has an outline, one pixel wide, in full colour.

    The colour of a label depends on its number alone, so that it means the same in every picture.

    Args:
        image: ``(C, H, W)``. Three channels are RGB; of any other number the mean is shown in grey.
            The 0.1 and 99.9 percentiles of its values become black and white.
        labels: ``(H, W)``, integers from 0.
        alpha: Weight of the tint, 0 (image alone) to 1 (labels alone).

    Returns:
        ``(H, W, 3)``.

    Raises:
        InputError: If the image is not ``(C, H, W)``, the labels have another size or are no
            integers from 0, or alpha is not in [0, 1].
    """
    from skimage.segmentation import find_boundaries

    picture = _to_rgb(_flat_image(image))
    labels = as_array(labels)
    if labels.shape != picture.shape[:2] or labels.dtype.kind not in "bui" or labels.min() < 0:
        raise InputError(
            f"labels: {labels.dtype} of shape {labels.shape} do not fit the image; "
            f"give integers from 0, of shape {picture.shape[:2]}."
        )
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha={alpha} is a share: use 0 to 1.")
    tint = _label_colors()[labels.astype(np.int64) % _COLORS]
    outline = find_boundaries(labels, mode="inner", background=-1)
    weight = np.where(outline, max(alpha, 0.9), alpha)[..., np.newaxis]
    return np.rint(255 * (weight * tint + (1 - weight) * picture)).astype(np.uint8)
@cache
def _label_colors():
    from skimage.color import rgb2lab
    steps = np.linspace(0, 1, 16)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = rgb2lab(rgb)
    rgb, lab = rgb[ok := (lab[:, 0] > 30) & (lab[:, 0] < 90) & (np.hypot(lab[:, 1], lab[:, 2]) > 30)], lab[ok]
    lab = lab * [WL,1,1]
    chosen = [int(np.argmin(np.linalg.norm(rgb - [0.0, 0.45, 0.9], axis=1)))]
    distance = np.full(len(rgb), np.inf)
    while len(chosen) < _COLORS:
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return rgb[chosen]
WL=1.
def _flat_image(image): return as_image(image)
def _to_rgb(image, low=None, high=None):
    image = normalize(image, *measure_intensity_range([image]))
    channels = image if len(image) == 3 else image.mean(axis=0, keepdims=True)
    return np.repeat(channels, 3 // len(channels), axis=0).transpose(1, 2, 0)
