"""Reads image files as ``(C, H, W)`` arrays, in the units of the file."""

import os

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.decoding import TIFF_MAGICS, decoding, read_header
from sp_graph_seg.io.pillow import decode_pillow
from sp_graph_seg.io.tiff import decode_tiff


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads one image from a file: PNG, JPEG, TIFF or any other format that Pillow can read.

    Channels: A grey image has C=1 and a colour image has C=3. Palettes, CMYK and YCbCr are
    converted to RGB. Alpha is dropped, and this does not change the colours. A TIFF may have any
    number of channels. They are stored either as the values of each pixel, or as up to 16 pages. By
    default, `tifffile.imwrite` marks four channels as RGBA, so this function drops the fourth
    channel. To keep it, write the image with ``photometric="minisblack"``.

    Orientation: The image is turned upright by its EXIF or TIFF orientation.

    Series: If a TIFF holds several series, the first series is read. If it has several resolutions,
    the full resolution is read.

    Units: The values are in the units of the file, such as 0 to 255 for 8 bits. A volume that is
    opened from the same file has the same values. `Segmenter` scales the values by the intensity
    range of its model. `ToRAG` expects values in [0, 1], so divide 8-bit values by 255 for `ToRAG`.

    Limits: Pillow refuses an image with more than twice `PIL.Image.MAX_IMAGE_PIXELS` pixels (179
    million) as a decompression bomb. Smaller images are read without a warning. TIFF files have no
    limit.

    Args:
        path: The image file. The format is detected from the content, not from the name.

    Returns:
        A C-contiguous float32 array ``(C, H, W)``. NaN values, which mark pixels without data, are
        kept.

    Raises:
        InputError: The file is missing, empty or damaged, or it holds a volume or an animation
            instead of one image, or some of its values are infinite or too large for float32.
    """
    array = decode_image(path)
    with np.errstate(over="ignore"):
        image = np.ascontiguousarray(array, dtype=np.float32)
    if array.dtype.kind == "f" and np.isinf(image).any():
        bad = int(np.isinf(array).sum())
        raise InputError(
            f"{path}: {bad} of {array.size} values are infinite; replace them by finite numbers, "
            "or by NaN to mark pixels without data."
            if bad
            else f"{path}: holds values too large for float32; scale the values down."
        )
    return image


def decode_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads one image like `read_image`, but keeps the type in which the values are stored.

    Returns:
        An array ``(C, H, W)`` of real numbers in native byte order.
    """
    header = read_header(path)
    decode = decode_tiff if header.startswith(TIFF_MAGICS) else decode_pillow
    with decoding(path):
        array = decode(path, header)
    if array.dtype.kind not in "buif":
        raise InputError(f"{path}: holds {array.dtype} values; save it as integers or floats.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
