"""Draws labels over an image."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot.colors import as_flat_image, numbered_colors
from sp_graph_seg.transforms import as_array
from sp_graph_seg.transforms.prepare import find_data, measure_intensity_range, normalize

if TYPE_CHECKING:
    from matplotlib.typing import ColorType

#: Pixels that are tinted at one time, as they take 100 bytes each meanwhile.
_STRIP_PIXELS = 1 << 18


def overlay_labels(
    image: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    alpha: float = 0.5,
    intensity_range: tuple[float, float] | None = None,
    colors: "Mapping[int, ColorType] | None" = None,
) -> NDArray[np.uint8]:
    """Tints an image with the colours of its labels, and draws the outlines of the labels.

    The colour of a label depends only on its number, so that it is the same in every picture, see
    :func:`~sp_graph_seg.io.colors.label_colors`.

    Args:
        image: The image, ``(C, H, W)``. The mean over its channels is shown in grey, so that every
            colour stands for a label.
        labels: Integers ``(H, W)``. Pixels with negative values are unlabelled and not tinted.
        alpha: Weight of the colours of labels against the image, from 0 to 1. (default: :obj:`0.5`)
        intensity_range: The values that are shown darkest and brightest. Use the same range for all
            frames of a video to avoid flicker. (default: the range of the labelled pixels)
        colors: Colours of some labels, in any form that Matplotlib knows, such as
            :attr:`Relabel.colors <sp_graph_seg.labels.relabel.Relabel>`. The other labels
            get colours far from these.

    Returns:
        The picture ``(H, W, 3)``, uint8.

    Raises:
        InputError: If the image is not ``(C, H, W)``, the labels are not integers of the same
            size, alpha is not in [0, 1], or the range is not increasing.
    """
    from matplotlib.colors import to_rgba_array
    from skimage.segmentation import find_boundaries

    image, labels = as_flat_image(image), as_array(labels)
    if labels.shape != image.shape[1:] or labels.dtype.kind not in "bui":
        raise InputError(
            f"labels: an array of {labels.dtype} with shape {labels.shape} does not fit the image; "
            f"give integers with shape {image.shape[1:]}."
        )
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha={alpha} is out of range; use 0 to 1.")
    has_label = find_data(image, None, labels)
    low, high = intensity_range or measure_intensity_range([image], [has_label])
    if not low < high:
        raise InputError(
            f"intensity_range={intensity_range} is not increasing; use (low, high) with low < high."
        )
    table = to_rgba_array(list(numbered_colors(max(labels.max(), 0) + 1, colors).values()))[:, :3]
    picture = np.empty((*labels.shape, 3), dtype=np.uint8)
    for rows, grown, inner in _strips(*labels.shape):
        grey = normalize(image[:, rows], low, high).mean(axis=0)
        outline = find_boundaries(labels[grown].astype(np.int64), mode="inner", background=-1)
        picture[rows] = _tint(grey, labels[rows].astype(np.int64), outline[inner], table, alpha)
    return picture


def _tint(
    grey: NDArray, labels: NDArray, outline: NDArray[np.bool_], table: NDArray, alpha: float
) -> NDArray[np.uint8]:
    """Tints grey values in [0, 1] with the colours of a table, except pixels without a label."""
    picture = 0.25 + 0.75 * grey[..., np.newaxis]  # a tint is invisible on black
    tint = table[np.maximum(labels, 0)]
    tinted = np.where((labels < 0)[..., np.newaxis], picture, (1 - alpha) * picture + alpha * tint)
    return np.rint(255 * np.where(outline[..., np.newaxis], tint, tinted)).astype(np.uint8)


def _strips(height: int, width: int) -> Iterator[tuple[slice, slice, slice]]:
    """Yields the rows of each strip of a picture, these with one row more on each side where there
    is one, and where the strip lies in the latter.
    """
    count = max(1, _STRIP_PIXELS // width)
    for start in range(0, height, count):
        stop, above = min(start + count, height), min(start, 1)
        yield slice(start, stop), slice(start - above, stop + 1), slice(above, above + stop - start)
