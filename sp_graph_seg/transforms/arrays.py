"""Functions that check and convert images, for all parts of the library."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.errors import InputError


def as_image(
    image: Tensor | ArrayLike, name: str = "image", mask: Tensor | ArrayLike | None = None
) -> NDArray[np.float32]:
    """Converts an image or a volume to float32, and scales unsigned integers to [0, 1].

    Args:
        image: ``(C, H, W)`` or ``(C, D, H, W)``. Unsigned integers are divided by the largest
            value of their type. Signed integers and floating-point values are not scaled. They
            should lie in [0, 1], but this is not checked.
        name: Name of the image in error messages.
        mask: True for the pixels that count. All other pixels become 0, even if they are NaN.

    Raises:
        InputError: If :func:`as_native` refuses the image, :func:`as_mask` refuses the mask, or a
            value is NaN.
    """
    image = as_array(image, name)
    if mask is not None and image.ndim in (3, 4):
        image = np.where(as_mask(mask, image.shape[1:]), image, np.zeros_like(image, shape=()))
    array = as_native(image, name)
    if image.dtype.kind == "u":
        return array / np.float32(np.iinfo(image.dtype).max)
    bad = np.count_nonzero(np.isnan(array)) if image.dtype.kind == "f" else 0
    if bad:
        raise InputError(f"{name}: {bad} values are NaN or Inf; replace them, for example by 0.")
    return array


def as_native(image: Tensor | ArrayLike, name: str = "image") -> NDArray[np.float32]:
    """Converts an image or a volume to float32 without scaling its values.

    NaN values are kept, because they mark pixels without data.

    Args:
        image: ``(C, H, W)`` or ``(C, D, H, W)``, real numbers in any units.
        name: Name of the image in error messages.

    Raises:
        InputError: If the number of axes is wrong, the image is empty, its values are not real
            numbers, or a value is Inf. The error is also raised if the channels seem to be the last
            axis: the first axis is longer than 16, and the last axis is not.
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
            "(C, D, H, W); move the channels to the front with numpy.moveaxis(image, -1, 0)."
        )
    if array.size == 0:
        raise InputError(
            f"{name}: the image of shape {array.shape} is empty; give an image with at least one "
            "pixel."
        )
    if array.dtype.kind not in "buif":
        raise InputError(
            f"{name}: values of type {array.dtype} are not real numbers; convert them to float32."
        )
    with np.errstate(over="ignore"):  # values beyond float32 become Inf, refused below
        array = np.ascontiguousarray(array, dtype=np.float32)
    bad = np.count_nonzero(np.isinf(array))
    if bad:
        bad = array.size - np.count_nonzero(np.isfinite(array))
        raise InputError(f"{name}: {bad} values are NaN or Inf; replace them, for example by 0.")
    return array


def as_array(values: Tensor | ArrayLike, name: str = "array") -> NDArray:
    """Converts an array-like object, or a tensor on any device, to a NumPy array.

    Raises:
        InputError: If a NumPy masked array has masked elements.
    """
    if np.ma.is_masked(values):
        raise InputError(
            f"{name}: some elements of the NumPy masked array are masked; give array.filled(0), "
            "and mask=~array.mask if the function has a parameter mask."
        )
    if not isinstance(values, Tensor):
        return np.asarray(values)
    if values.dtype == torch.bfloat16:  # NumPy has no such type
        values = values.float()
    return values.detach().cpu().numpy()


def as_mask(mask: Tensor | ArrayLike, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Converts a mask to a boolean array.

    Raises:
        InputError: If the mask does not have the given size, or none of its pixels is true.
    """
    inside = as_array(mask, "mask").astype(bool)
    if inside.shape != size:
        raise InputError(
            f"mask: size {inside.shape} differs from the image size {size}; resize the mask."
        )
    if not inside.any():
        raise InputError("mask: no pixel is true; give a mask that is true where there is data.")
    return inside


def fill_outside(image: NDArray, inside: NDArray[np.bool_]) -> NDArray:
    """Returns a copy of an image in which all pixels outside a mask have the mean colour.

    The mean is taken over the pixels inside the mask, separately for each channel. If no pixel is
    inside the mask, all values of the copy are 0.
    """
    if not inside.any():
        return np.zeros_like(image)
    filled = image.copy()
    for channel in filled:
        channel[~inside] = channel[inside].mean(dtype=np.float64)
    return filled
