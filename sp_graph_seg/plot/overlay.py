"""Labels over an image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot.pictures import NUM_COLORS, as_flat_image, label_colors
from sp_graph_seg.transforms import as_array
from sp_graph_seg.transforms.prepare import find_data, measure_intensity_range, normalize

if TYPE_CHECKING:
    from matplotlib.typing import ColorType


def overlay_labels(
    image: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    alpha: float = 0.5,
    intensity_range: tuple[float, float] | None = None,
    colors: "Mapping[int, ColorType] | None" = None,
) -> NDArray[np.uint8]:
    """Tints an image with its labels and outlines their regions.

    The colour of a label depends on its number alone: it means the same in every picture.

    Args:
        image: ``(C, H, W)``, shown in grey, so that colours tell labels alone: the mean of the
            channels.
        labels: ``(H, W)``, integers; pixels of negative ones have no label and no tint.
        alpha: Weight of the tint, from 0 to 1. (default: :obj:`0.5`)
        intensity_range: Values shown dark and bright; the same for all frames of a video, which
            would flicker else. (default: the range of the pixels that have a label)
        colors: Colours of labels that do not have their own, any that Matplotlib knows, such as
            :attr:`Relabel.colors <sp_graph_seg.labels.relabel.Relabel>`.

    Returns:
        ``(H, W, 3)``.

    Raises:
        InputError: If the image is not ``(C, H, W)``, the labels are not integers of its
            size, alpha is not a share, or the range does not ascend.
    """
    from matplotlib.colors import to_rgb
    from skimage.segmentation import find_boundaries

    image, labels = as_flat_image(image), as_array(labels)
    if labels.shape != image.shape[1:] or labels.dtype.kind not in "bui":
        raise InputError(
            f"labels: {labels.dtype} of shape {labels.shape} do not suit the image; "
            f"give integers of shape {image.shape[1:]}."
        )
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha={alpha} is a share: use 0 to 1.")
    has_label = find_data(image, None, labels)
    low, high = intensity_range or measure_intensity_range([image], [has_label])
    if not low < high:
        raise InputError(f"intensity_range={intensity_range} must ascend: use (low, high).")
    picture = normalize(image, low, high).mean(axis=0)[..., np.newaxis]
    picture = 0.25 + 0.75 * picture  # black would swallow the tint
    labels = labels.astype(np.int64)
    table = label_colors()[np.arange(max(labels.max(), 0) + 1) % NUM_COLORS]
    for label, color in (colors or {}).items():
        if label < len(table):
            table[label] = to_rgb(color)
    tint = table[np.maximum(labels, 0)]
    tinted = np.where((labels < 0)[..., np.newaxis], picture, (1 - alpha) * picture + alpha * tint)
    outline = find_boundaries(labels, mode="inner", background=-1)
    return np.rint(255 * np.where(outline[..., np.newaxis], tint, tinted)).astype(np.uint8)
