"""Colours of labels, and conversion of images to RGB."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.colors import label_colors
from sp_graph_seg.transforms.arrays import as_native
from sp_graph_seg.transforms.prepare import normalize

if TYPE_CHECKING:
    from matplotlib.typing import ColorType


def as_flat_image(image: ArrayLike | Tensor) -> NDArray[np.float32]:
    """Converts an image to an array ``(C, H, W)`` without scaling it. Volumes raise an error."""
    array = as_native(image)
    if array.ndim != 3:
        raise InputError(f"image: is a volume of shape {array.shape}; give one slice, (C, H, W).")
    return array


def to_rgb(image: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Converts an image ``(C, H, W)`` to colours ``(H, W, 3)``.

    The value ``low`` becomes 0, and ``high`` becomes 1. If there are not three channels, their mean
    is shown in grey.
    """
    channels = normalize(image, low, high)
    if len(channels) != 3:
        channels = np.broadcast_to(channels.mean(axis=0), (3, *channels.shape[1:]))
    return channels.transpose(1, 2, 0)


def numbered_colors(count: int, given: "Mapping[int, ColorType] | None" = None) -> dict[int, str]:
    """Chooses colours for the labels 0 to ``count - 1``, as ``"#rrggbb"``.

    Args:
        count: Number of labels.
        given: Colours of some labels, in any form that Matplotlib knows. The other labels get
            colours far from these.

    Raises:
        InputError: If a given colour is invalid.
    """
    from matplotlib.colors import is_color_like, to_hex

    for label, color in (given or {}).items():
        if not is_color_like(color):
            raise InputError(
                f"colors: {color!r} of label {label} is not a colour; use a colour such as 'red' "
                "or '#ffa500'."
            )
    named = {label: to_hex(color) for label, color in (given or {}).items()}
    return label_colors(range(count), named)
