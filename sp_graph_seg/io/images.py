"""Reads image files as ``(C, H, W)`` arrays, in the units of the file."""

import os

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.decoding import TIFF_MAGICS, decoding, read_header
from sp_graph_seg.io.pillow import decode_pillow
from sp_graph_seg.io.tiff import decode_tiff


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads one image: PNG, JPEG, TIFF, or any other format that Pillow reads.

    Channels: a grey image has C=1 and a colour image C=3; palettes, CMYK and YCbCr are converted to
    RGB. Alpha is always dropped (RGBA to RGB, LA to L); the colours stay as stored. A TIFF may have
    any number of channels: one for each value of a pixel, or one for each of up to 16
    pages. By default, `tifffile.imwrite` marks four channels as RGBA, and the fourth is dropped
    here; so write a four-channel image with ``photometric="minisblack"``. The EXIF or TIFF
    orientation is applied. If a TIFF has several series or resolutions, the first series is read at
    full resolution.

    Units: the values are those of the file, such as 0 to 255 for 8 bits. A slice of a volume
    that is read from the same file has the same values. `Segmenter` scales the values by the
    intensity range of its model. `ToRAG` expects values in [0, 1]: divide 8-bit values by 255.

    Pillow refuses images of more than twice `PIL.Image.MAX_IMAGE_PIXELS` (179 million pixels) as
    decompression bombs. Smaller images are read without a warning. For TIFF there is no limit.

    Args:
        path: The image file. The format is detected from the content, not from the name.

    Returns:
        ``(C, H, W)`` float32 array, C-contiguous. NaN, which marks pixels without data, is kept.

    Raises:
        InputError: The file is missing, empty, damaged, or not one image (such as a volume or an
            animation), or holds infinite values or values too large for float32.
    """
    array = decode_image(path)
    with np.errstate(over="ignore"):
        image = np.ascontiguousarray(array, dtype=np.float32)
    if array.dtype.kind == "f" and np.isinf(image).any():
        bad = int(np.isinf(array).sum())
        raise InputError(
            f"{path}: {bad} of {array.size} values are infinite; replace them by numbers, or by NaN"
            " to mark pixels without data."
            if bad
            else f"{path}: holds values too large for float32; rescale them."
        )
    return image


def decode_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads one image like `read_image`, but in the type in which it is stored.

    Returns:
        ``(C, H, W)`` array of real numbers, in native byte order.
    """
    header = read_header(path)
    decode = decode_tiff if header.startswith(TIFF_MAGICS) else decode_pillow
    with decoding(path):
        array = decode(path, header)
    if array.dtype.kind not in "buif":
        raise InputError(f"{path}: holds {array.dtype} values; save it as integers or floats.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
