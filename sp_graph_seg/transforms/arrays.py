"""What counts as an image: the one check that every entry to the library shares."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.errors import InputError


def as_image(
    image: Tensor | ArrayLike, name: str = "image", mask: Tensor | ArrayLike | None = None
) -> NDArray[np.float32]:
    """An image or a volume as a float32 array, channels first, with values meant to be in [0, 1].

    Args:
        image: ``(C, H, W)`` or ``(C, D, H, W)``. Unsigned integers are divided by the largest
            value of their type; signed ones and floating-point values are kept.
        name: What an error calls the image.
        mask: True for the pixels that count; the others become 0, whatever they hold.

    Raises:
        InputError: As :func:`as_native`, and if there is a NaN.
    """
    image = as_array(image, name)
    if mask is not None and image.ndim in (3, 4):
        image = np.where(as_mask(mask, image.shape[1:]), image, np.zeros_like(image, shape=()))
    array = as_native(image, name)
    if image.dtype.kind == "u":
        return array / np.float32(np.iinfo(image.dtype).max)
    bad = np.count_nonzero(np.isnan(array)) if image.dtype.kind == "f" else 0
    if bad:
        raise InputError(f"{name}: {bad} values are NaN or Inf; replace them, by 0 for instance.")
    return array


def as_native(image: Tensor | ArrayLike, name: str = "image") -> NDArray[np.float32]:
    """An image or a volume as a float32 array, channels first, its values as they are.

    NaN, which marks pixels that are no data, is kept.

    Args:
        image: ``(C, H, W)`` or ``(C, D, H, W)``, real numbers in any units.
        name: What an error calls the image.

    Raises:
        InputError: If it has another number of axes, no pixel, no real numbers, or Inf, or if it
            looks channels-last: over 16 in the first axis and up to 16 in the last.
    """
    array = as_array(image, name)
    if array.ndim not in (3, 4):
        raise InputError(
            f"{name}: shape {array.shape} must be (C, H, W), or (C, D, H, W) for a volume; "
            "add the channel axis of a grey image with image[None]."
        )
    if array.shape[-1] <= 16 < array.shape[0]:
        raise InputError(
            f"{name}: shape {array.shape} looks channels-last but must be (C, H, W) or "
            "(C, D, H, W); move the axis with numpy.moveaxis(image, -1, 0)."
        )
    if array.size == 0:
        raise InputError(f"{name}: shape {array.shape} holds no pixel; give a larger one.")
    if array.dtype.kind not in "buif":
        raise InputError(f"{name}: values of type {array.dtype} are no real numbers; convert them.")
    with np.errstate(over="ignore"):  # what does not fit is Inf and refused
        array = np.ascontiguousarray(array, dtype=np.float32)
    bad = np.count_nonzero(np.isinf(array))
    if bad:
        bad = array.size - np.count_nonzero(np.isfinite(array))
        raise InputError(f"{name}: {bad} values are NaN or Inf; replace them, by 0 for instance.")
    return array


def as_array(values: Tensor | ArrayLike, name: str = "array") -> NDArray:
    """A tensor or an array as an array, wherever it lies; masked elements are refused."""
    if np.ma.is_masked(values):
        raise InputError(
            f"{name}: some elements of the masked array are masked; give array.filled(0), and "
            "mask=~array.mask where a mask is taken."
        )
    if not isinstance(values, Tensor):
        return np.asarray(values)
    if values.dtype == torch.bfloat16:  # NumPy has no such type
        values = values.float()
    return values.detach().cpu().numpy()


def as_mask(mask: Tensor | ArrayLike, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask as booleans, checked to have the image's size and a pixel that is set."""
    inside = as_array(mask, "mask").astype(bool)
    if inside.shape != size:
        raise InputError(f"mask: size {inside.shape} is not that of the image, {size}; resize it.")
    if not inside.any():
        raise InputError("mask: no pixel is set; give a mask that is true where to segment.")
    return inside


def fill_outside(image: NDArray, inside: NDArray[np.bool_]) -> NDArray:
    """A copy of an image whose pixels outside have the mean of those inside, in each channel."""
    if not inside.any():
        return np.zeros_like(image)
    filled = image.copy()
    for channel in filled:
        channel[~inside] = channel[inside].mean(dtype=np.float64)
    return filled
