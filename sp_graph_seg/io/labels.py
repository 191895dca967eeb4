"""Reads and writes label maps, and writes images."""

import os
from pathlib import Path
from typing import Literal

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.decoding import PNG_MAGIC, TIFF_MAGICS, decoding, read_header
from sp_graph_seg.io.files import atomic_write
from sp_graph_seg.io.tiff import tiff_samples
from sp_graph_seg.io.tiff_chain import check_chain

NPY_MAGIC = b"\x93NUMPY"

#: Floats of 32 bits hold all whole numbers up to this one.
_LARGEST = 2**24


def write_labels(
    path: str | os.PathLike[str], labels: np.ndarray, bits: Literal[8, 16] = 8
) -> None:
    """Writes a label map as a grey PNG, in which the grey value of a pixel is its label.

    Args:
        path: The PNG file to write. An existing file is replaced.
        labels: The label map, an integer or bool array ``(H, W)`` with values from 0 to 65535.
        bits: The number of bits for each pixel, 8 or 16. If a label is above 255, 16 bits are
            always written.

    Raises:
        InputError: ``labels`` has another type, shape or range, ``path`` does not end in .png, or
            the file cannot be written.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "bui" or labels.ndim != 2 or labels.size == 0:
        raise InputError(
            f"labels: a {labels.dtype} array of shape {labels.shape} is not a label map; "
            "give a non-empty integer array (H, W)."
        )
    if labels.min() < 0:
        raise InputError(f"labels: the smallest label is {labels.min()}; give labels of 0 or more.")
    if labels.max() > 65535:
        raise InputError(
            f"labels: the largest label is {labels.max()}, but a PNG holds at most 65535; renumber "
            "the labels without gaps, or save them with numpy.save."
        )
    is_small = bits == 8 and labels.max() < 256
    _write_png(path, labels.astype(np.uint8 if is_small else np.uint16))


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Writes a grey or RGB image as an 8-bit PNG.

    Args:
        path: The PNG file to write. An existing file is replaced.
        image: An array ``(1, H, W)`` or ``(3, H, W)`` of uint8 values, or of floats in [0, 1].

    Raises:
        InputError: ``image`` has another type, shape or range, ``path`` does not end in .png, or
            the file cannot be written.
    """
    image = np.asarray(image)
    is_float = image.dtype.kind == "f"
    is_image = image.ndim == 3 and image.shape[0] in (1, 3) and image.size > 0
    if not is_image or not (is_float or image.dtype == np.uint8):
        raise InputError(
            f"image: a {image.dtype} array of shape {image.shape} is not a grey or RGB image; give "
            "a non-empty array (1, H, W) or (3, H, W) of uint8 values, or of floats in [0, 1]."
        )
    if is_float and not (image.min() >= 0 and image.max() <= 1):  # NaN fails both
        raise InputError(
            f"image: the values range from {image.min()} to {image.max()}; scale them to [0, 1]."
        )
    pixels = np.rint(image * 255).astype(np.uint8) if is_float else image
    _write_png(path, pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def read_labels(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a label map from a one-channel PNG or TIFF, or from a .npy file.

    The labels are the stored grey values. If the image has a palette, the labels are the palette
    indices. Grey values of 1, 2 or 4 bits are not scaled to 8 bits. Floating-point values are
    accepted if they are whole numbers, because Fiji can save labels as such values.

    Args:
        path: The label file. The format is detected from the content, not from the name.

    Returns:
        An int64 array ``(H, W)``. Negative values of a TIFF or .npy file are kept.

    Raises:
        InputError: The file is missing, empty, damaged or in another format, or it does not hold
            one integer for each pixel.
    """
    header = read_header(path)
    with decoding(path):
        if header.startswith(PNG_MAGIC):
            array = _read_png(path, header)
        elif header.startswith(TIFF_MAGICS):
            array = _read_tiff(path)
        elif header.startswith(NPY_MAGIC):
            array = np.load(path, allow_pickle=False)
        else:
            raise InputError(f"{path}: is not a label file; give a PNG, TIFF or .npy file.")
    if array.dtype.kind == "f":
        array = as_whole(path, array)
    if array.ndim != 2 or array.dtype.kind not in "bui" or array.size == 0:
        raise InputError(
            f"{path}: holds a {array.dtype} array of shape {array.shape}, not a label map; "
            "save a non-empty integer array (H, W)."
        )
    return array.astype(np.int64)


def as_whole(path: str | os.PathLike[str], array: np.ndarray) -> np.ndarray:
    """Converts labels that are stored as floats to integers.

    Args:
        path: The file that holds the labels. The error message names it.
        array: The labels, an array of floats.

    Returns:
        An int64 array of the same shape.

    Raises:
        InputError: A value is not a whole number, or it is so large (above 2**24) that 32-bit
            floats are not exact.
    """
    whole = np.isfinite(array) & (np.rint(array) == array)
    if whole.all() and array.size and np.abs(array).max() > _LARGEST:
        raise InputError(
            f"{path}: holds the float {array.flat[np.abs(array).argmax()]:.9g}, which is too large "
            f"for a label (above {_LARGEST}); store the labels as integers."
        )
    if not whole.all():
        raise InputError(
            f"{path}: holds {array[~whole].flat[0]:g}, which is not the number of a label "
            "(a whole number); give a file of labels, not of grey values or probabilities."
        )
    return array.astype(np.int64)


def _read_png(path: str | os.PathLike[str], header: bytes) -> np.ndarray:
    """Reads the grey values or palette indices of a PNG as they are stored."""
    from PIL import Image

    with Image.open(path) as image:
        if image.mode not in ("1", "L", "P", "I") and not image.mode.startswith("I;16"):
            raise _colours(path, len(image.getbands()))
        array = np.asarray(image)
    bits = header[24]
    # Pillow scales grey values of 2 and 4 bits to 0 to 255.
    return array // {2: 85, 4: 17}[bits] if image.mode == "L" and bits in (2, 4) else array


def _read_tiff(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads the values or palette indices of a one-channel TIFF."""
    from tifffile import TiffFile

    check_chain(path)
    with TiffFile(path) as tif:
        array = tiff_samples(path, tif)
    if len(array) > 1:
        raise _colours(path, len(array))
    return array[0]


def _colours(path: str | os.PathLike[str], channels: int) -> InputError:
    """Returns the error for a file that holds colours instead of labels."""
    return InputError(
        f"{path}: has {channels} channels, so it holds colours and not labels; "
        "save an image with one channel that holds the label of each pixel."
    )


def _write_png(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Writes a uint8 or uint16 array as a PNG, completely or not at all."""
    from PIL import Image

    if Path(path).suffix.lower() != ".png":
        raise InputError(f"{path}: the name does not end in .png; give a name that does.")
    with atomic_write(path) as temporary:
        Image.fromarray(array).save(temporary, format="PNG")
