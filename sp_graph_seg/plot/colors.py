"""The colours of labels, and images as RGB."""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.arrays import as_native
from sp_graph_seg.transforms.prepare import normalize

#: Number of label colours. Further labels start again with the first colour.
NUM_COLORS = 64


def as_flat_image(image: ArrayLike | Tensor) -> NDArray[np.float32]:
    """Converts to an array ``(C, H, W)`` in its own units and refuses volumes."""
    array = as_native(image)
    if array.ndim != 3:
        raise InputError(
            f"image: the shape {array.shape} is that of a volume; give one slice, (C, H, W)."
        )
    return array


def to_rgb(image: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Converts ``(C, H, W)`` to ``(H, W, 3)`` in [0, 1], with ``low`` as 0 and ``high`` as 1."""
    channels = normalize(image, low, high)
    if len(channels) != 3:
        channels = np.broadcast_to(channels.mean(axis=0), (3, *channels.shape[1:]))
    return channels.transpose(1, 2, 0)


@cache
def label_colors() -> NDArray[np.float64]:
    """Returns colours ``(NUM_COLORS, 3)``, each the farthest in CIELAB from all before it."""
    from skimage.color import rgb2lab

    steps = np.linspace(0, 1, 16)
    rgb = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    lab = rgb2lab(rgb)
    lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    # Not dark, pale, grey or glaring.
    usable = (lightness > 45) & (lightness < 92) & (chroma > 35) & (chroma < 95)
    rgb, lab = rgb[usable], lab[usable]
    lab[:, 0] *= 0.7  # the image below changes lightness more than hue

    blue = (0.0, 0.47, 0.87)
    chosen = [int(np.abs(rgb - blue).sum(axis=1).argmin())]
    distance = np.full(len(lab), np.inf)
    while len(chosen) < NUM_COLORS:
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return rgb[chosen]
