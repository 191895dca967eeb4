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
    """Writes labels as a one-channel PNG without palette: the grey value is the label.

    Args:
        path: The PNG to write. An existing file is replaced as a whole.
        labels: ``(H, W)`` integer or bool array of values from 0 to 65535.
        bits: Bit depth, 8 or 16. If it is 8 and a value is above 255, 16 bits are written.

    Raises:
        InputError: If the labels are not such an array, or ``path`` does not end in .png or cannot
            be written.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "bui" or labels.ndim != 2 or labels.size == 0:
        raise InputError(
            f"labels: {labels.dtype} of shape {labels.shape} cannot be written; "
            "give a non-empty (H, W) integer array."
        )
    if labels.min() < 0:
        raise InputError(f"labels: the smallest is {labels.min()}; give labels of 0 or more.")
    if labels.max() > 65535:
        raise InputError(
            f"labels: the largest is {labels.max()}, but a PNG holds at most 65535; renumber the "
            "labels without gaps, or use numpy.save."
        )
    is_small = bits == 8 and labels.max() < 256
    _write_png(path, labels.astype(np.uint8 if is_small else np.uint16))


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Writes a grey or RGB image as an 8-bit PNG.

    Args:
        path: The PNG to write. An existing file is replaced as a whole.
        image: ``(1, H, W)`` or ``(3, H, W)`` array of uint8, or of floats in [0, 1].

    Raises:
        InputError: If the image is not such an array, or ``path`` does not end in .png or cannot
            be written.
    """
    image = np.asarray(image)
    is_float = image.dtype.kind == "f"
    is_image = image.ndim == 3 and image.shape[0] in (1, 3) and image.size > 0
    if not is_image or not (is_float or image.dtype == np.uint8):
        raise InputError(
            f"image: {image.dtype} of shape {image.shape} cannot be written; "
            "give a non-empty (1, H, W) or (3, H, W) array, uint8 or float in [0, 1]."
        )
    if is_float and not (image.min() >= 0 and image.max() <= 1):  # NaN fails both
        raise InputError(
            f"image: the values range from {image.min()} to {image.max()}; scale them to [0, 1]."
        )
    pixels = np.rint(image * 255).astype(np.uint8) if is_float else image
    _write_png(path, pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def read_labels(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a label map from a one-channel integer PNG or TIFF, or from a .npy file.

    The labels are the grey values as stored (not scaled to 8 bits, even if the PNG has 1, 2 or 4),
    or the palette indices. Floats that are whole numbers, as Fiji writes them, are labels too.

    Args:
        path: The label file. The format is detected from the content, not from the name.

    Returns:
        ``(H, W)`` int64 array. Negative values of a TIFF or .npy file are kept.

    Raises:
        InputError: If the file is missing, empty, damaged or of another format, or does not hold
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
            f"{path}: holds {array.dtype} of shape {array.shape}, not a label map; "
            "save a non-empty (H, W) integer array."
        )
    return array.astype(np.int64)


def as_whole(path: str | os.PathLike[str], array: np.ndarray) -> np.ndarray:
    """Converts labels that are stored as floats to integers.

    Args:
        path: The file, for the message.
        array: The labels, an array of floats.

    Returns:
        An int64 array of the same shape.

    Raises:
        InputError: A value is not a whole number, or is so large that floats are not exact.
    """
    whole = np.isfinite(array) & (np.abs(array) <= _LARGEST) & (np.rint(array) == array)
    if not whole.all():
        raise InputError(
            f"{path}: holds {array[~whole].flat[0]:g}, which is not the number of a label; give "
            "labels, not an image of grey values or probabilities."
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
    """Makes the error for a file that holds colours instead of labels."""
    return InputError(
        f"{path}: has {channels} channels, so it holds colours and not labels; "
        "save one channel with an integer label for each pixel."
    )


def _write_png(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Writes a uint8 or uint16 array as PNG, whole or not at all."""
    from PIL import Image

    if Path(path).suffix.lower() != ".png":
        raise InputError(f"{path}: the name does not end in .png; rename the file.")
    with atomic_write(path) as temporary:
        Image.fromarray(array).save(temporary, format="PNG")
