"""Label images in and out, and pictures for people to look at."""

import os
from pathlib import Path

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.decoding import PNG_MAGIC, TIFF_MAGICS, decoding, read_header
from sp_graph_seg.io.files import atomic_write
from sp_graph_seg.io.tiff import tiff_samples

NPY_MAGIC = b"\x93NUMPY"


def write_labels(path: str | os.PathLike[str], labels: np.ndarray) -> None:
    """Write labels as a one-channel PNG without palette: the grey value is the label.

    Args:
        path: The PNG to write, replaced whole if it exists.
        labels: ``(H, W)`` integer (or bool) array of values 0 to 65535; it is written with 8 bits
            if they are all below 256, else with 16.

    Raises:
        InputError: The labels are not such an array, or ``path`` is no PNG or cannot be written.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "bui" or labels.ndim != 2 or labels.size == 0:
        raise InputError(
            f"labels: {labels.dtype} of shape {labels.shape} cannot be written; "
            "give a non-empty (H, W) integer array"
        )
    if labels.min() < 0:
        raise InputError(f"labels: the smallest is {labels.min()}; give labels from 0 up")
    if labels.max() > 65535:
        raise InputError(
            f"labels: the largest, {labels.max()}, does not fit a PNG's 65535; renumber them "
            "without gaps, or use numpy.save"
        )
    _write_png(path, labels.astype(np.uint8 if labels.max() < 256 else np.uint16))


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write a colour picture as PNG.

    Args:
        path: The PNG to write, replaced whole if it exists.
        image: ``(H, W, 3)`` array, uint8, or float in [0, 1], which is rounded to 8 bits.

    Raises:
        InputError: The image is not such an array, or ``path`` is no PNG or cannot be written.
    """
    image = np.asarray(image)
    is_float = image.dtype.kind == "f"
    if not (is_float or image.dtype == np.uint8) or image.shape[2:] != (3,) or image.size == 0:
        raise InputError(
            f"image: {image.dtype} of shape {image.shape} cannot be written; "
            "give a non-empty (H, W, 3) array, uint8 or float in [0, 1]"
        )
    if is_float and not (image.min() >= 0 and image.max() <= 1):  # NaN fails both
        raise InputError(
            f"image: its values span {image.min()} to {image.max()}; scale them to [0, 1]"
        )
    _write_png(path, np.rint(image * 255).astype(np.uint8) if is_float else image)


def read_labels(path: str | os.PathLike[str]) -> np.ndarray:
    """Read labels from a one-channel integer PNG or TIFF, or from a .npy file.

    A palette is ignored: the labels are its indices. Grey values are the labels as they are
    stored, also in PNGs of 1, 2 or 4 bits.

    Args:
        path: The label file; its content tells the format, not its name.

    Returns:
        ``(H, W)`` int64 array. Negative values, which a TIFF or .npy may hold, are kept.

    Raises:
        InputError: The file is missing, empty, damaged or of another format, or it holds anything
            but one integer a pixel (such as colours).
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
            raise InputError(f"{path}: is no label file; give a PNG, TIFF or .npy file")
    if array.ndim != 2 or array.dtype.kind not in "bui" or array.size == 0:
        raise InputError(
            f"{path}: {array.dtype} of shape {array.shape} is not one label a pixel; "
            "save a non-empty (H, W) integer array"
        )
    return array.astype(np.int64)


def _read_png(path: str | os.PathLike[str], header: bytes) -> np.ndarray:
    """Read the grey values or palette indices of a PNG as they are stored."""
    from PIL import Image

    with Image.open(path) as image:
        if image.mode not in ("1", "L", "P", "I") and not image.mode.startswith("I;16"):
            raise _colours(path, len(image.getbands()))
        array = np.asarray(image)
    bits = header[24]
    # Pillow spreads grey values of 2 and 4 bits over 0 to 255.
    return array // {2: 85, 4: 17}[bits] if image.mode == "L" and bits in (2, 4) else array


def _read_tiff(path: str | os.PathLike[str]) -> np.ndarray:
    """Read the values or palette indices of a TIFF of one channel."""
    from tifffile import TiffFile

    with TiffFile(path) as tif:
        array = tiff_samples(path, tif)
    if len(array) > 1:
        raise _colours(path, len(array))
    return array[0]


def _colours(path: str | os.PathLike[str], channels: int) -> InputError:
    """Say that a file holds colours where labels are wanted."""
    return InputError(
        f"{path}: has {channels} channels, it shows colours and not labels; "
        "save one integer label a pixel in one channel"
    )


def _write_png(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write a uint8 or uint16 array as PNG, whole or not at all."""
    from PIL import Image

    if Path(path).suffix.lower() != ".png":
        raise InputError(f"{path}: would hold a PNG; end its name in .png")
    with atomic_write(path) as temporary:
        Image.fromarray(array).save(temporary, format="PNG")
