"""Image files as ``(C, H, W)`` arrays, in the units of the file: Pillow and tifffile decode."""

import os

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.decoding import TIFF_MAGICS, decoding, read_header
from sp_graph_seg.io.pillow import decode_pillow
from sp_graph_seg.io.tiff import decode_tiff


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one image: PNG, JPEG, TIFF, or any other format that Pillow reads.

    Channels: grey gives C=1 and colour C=3; a palette, CMYK or YCbCr becomes RGB. Alpha is not a
    feature: it is dropped whatever it holds (RGBA to RGB, LA to L), the colours stay as stored.
    A TIFF may have any number of channels: the samples of its pixels, or up to 16 pages.
    `tifffile.imwrite` marks four samples as RGBA by itself; write a four-channel image with
    ``photometric="minisblack"``. The EXIF or TIFF orientation is applied. Of a TIFF with several
    series or resolutions, the first series is read at full resolution.

    Units: the values are those of the file, such as 0 to 255 for 8 bits, the same as in a slice
    that a volume reads from that file. `Segmenter` scales them by the range of its model;
    `ToRAG` wants them in [0, 1]: divide those of 8 bits by 255.

    Pillow's limit on decompression bombs holds at twice `PIL.Image.MAX_IMAGE_PIXELS` (179 million
    pixels); below that, a huge image is read without a warning. TIFF has no limit.

    Args:
        path: The image file; its content tells the format, not its name.

    Returns:
        ``(C, H, W)`` float32 array, C-contiguous. NaN, which marks pixels that are no data, stays.

    Raises:
        InputError: The file is missing, empty, damaged or not an image; it is a volume or an
            animation; or it holds infinite values.
    """
    array = decode_image(path)
    with np.errstate(over="ignore"):
        image = np.ascontiguousarray(array, dtype=np.float32)
    if array.dtype.kind == "f" and np.isinf(image).any():
        bad = int(np.isinf(array).sum())
        raise InputError(
            f"{path}: {bad} of {array.size} values are infinite; replace them by numbers, or by NaN"
            " where there is no data"
            if bad
            else f"{path}: holds values too large for float32; rescale them"
        )
    return image


def decode_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one image in the type in which it is stored; else as `read_image`.

    Returns:
        ``(C, H, W)`` array of real numbers, in native byte order.
    """
    header = read_header(path)
    decode = decode_tiff if header.startswith(TIFF_MAGICS) else decode_pillow
    with decoding(path):
        array = decode(path, header)
    if array.dtype.kind not in "buif":
        raise InputError(f"{path}: holds {array.dtype} values; save real numbers")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
