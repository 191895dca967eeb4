"""Converts images to the colour spaces in which over-segmentations and cues compare colours."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Colors = NDArray[np.float64]
ColorSpace = Literal["rgb", "lab", "hsv"]


def color_space(image: NDArray, space: ColorSpace) -> Colors:
    """Converts an image ``(C, *size)`` in [0, 1] to colours ``(*size, 3)`` of about that range.

    Three channels are taken as RGB. CIELAB is divided by 100. The hue of HSV is an angle that jumps
    at red, so hue and saturation are converted to a vector of two components. One channel takes the
    place of lightness, and the other two are 0. For any other number of channels, the first three
    principal components take the places of lightness, a and b. ``space`` matters for RGB only.
    """
    from skimage import color

    if len(image) != 3:
        return _principal_components(image)
    values = np.moveaxis(image, 0, -1)
    if space == "rgb":
        return values
    if space == "lab":
        return color.rgb2lab(values) / 100
    h, s, v = np.moveaxis(color.rgb2hsv(values), -1, 0)
    chroma, angle = 0.5 * s * v, 2 * np.pi * h
    return np.stack([chroma * np.cos(angle), chroma * np.sin(angle), v], axis=-1)


def _principal_components(image: NDArray) -> Colors:
    """Converts ``(C, *size)`` to ``(*size, 3)``; C equal channels give the same as one."""
    values = image.reshape(len(image), -1).astype(np.float64)
    middle = values.mean(axis=1, keepdims=True)
    values = values - middle
    axes = np.linalg.eigh(values @ values.T)[1][:, :-4:-1].T  # the largest three first
    axes = axes * np.where(axes.sum(axis=1, keepdims=True) < 0, -1, 1)  # bright stays bright
    shares = axes @ values / np.sqrt(len(image))
    colors = np.zeros((*image.shape[1:], 3))
    colors.reshape(-1, 3)[:, : len(axes)] = shares.T
    colors[..., 0] += middle.mean()
    return colors
