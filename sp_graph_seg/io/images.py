"""Image files as ``(C, H, W)`` float32 arrays: Pillow and tifffile decode, this module scales."""

import math
import os
from typing import Literal

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.decoding import TIFF_MAGICS, decoding, read_header
from sp_graph_seg.io.pillow import decode_pillow
from sp_graph_seg.io.tiff import decode_tiff

FloatRange = Literal["image"] | tuple[float, float] | None


def read_image(path: str | os.PathLike[str], float_range: FloatRange = "image") -> np.ndarray:
    """Read one image: PNG, JPEG, TIFF, or any other format that Pillow reads.

    Channels: grey gives C=1 and colour C=3; a palette, CMYK or YCbCr becomes RGB. Alpha is not a
    feature: it is dropped whatever it holds (RGBA to RGB, LA to L), the colours stay as stored.
    A TIFF may have any number of channels: the samples of its pixels, or up to 16 pages.
    `tifffile.imwrite` marks four samples as RGBA by itself; write a four-channel image with
    ``photometric="minisblack"``. The EXIF or TIFF orientation is applied.

    Scale: an unsigned integer is divided by the largest value of its bits (8-bit by 255, 16-bit by
    65535), a bool is 0 or 1. A float or a signed integer is a measurement in its own units and is
    mapped by ``float_range``. Of a TIFF with several series or resolutions, the first series is
    read at full resolution.

    Pillow's limit on decompression bombs holds at twice `PIL.Image.MAX_IMAGE_PIXELS` (179 million
    pixels); below that, a huge image is read without a warning. TIFF has no limit.

    Args:
        path: The image file; its content tells the format, not its name.
        float_range: The values of a float or signed image that become 0 and 1. ``"image"``
            (default): its own minimum and maximum, unless all values lie in [0, 1] already (they
            stay; a constant image becomes 0). ``(low, high)``: these, without clipping.
            ``None``: the values stay as they are.

    Returns:
        ``(C, H, W)`` float32 array, C-contiguous and finite.

    Raises:
        InputError: The file is missing, empty, damaged or not an image; it is a volume or an
            animation; it holds NaN or infinite values; or ``float_range`` is not a range.
    """
    float_range = _as_range(float_range)
    header = read_header(path)
    with decoding(path):
        array, full = (
            decode_tiff(path, header)
            if header.startswith(TIFF_MAGICS)
            else decode_pillow(path, header)
        )
    return _scale(path, array, full, float_range)


def _as_range(float_range: FloatRange) -> FloatRange:
    """Give "image", None or a pair of floats, low < high, or refuse."""
    if float_range is None or (isinstance(float_range, str) and float_range == "image"):
        return float_range
    try:
        low, high = map(float, float_range)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (low < high and math.isfinite(high - low)):
        raise InputError(
            f"float_range: {float_range!r} is no range; "
            'give "image", None or (low, high) with low < high'
        )
    return low, high


def _scale(
    path: str | os.PathLike[str], array: np.ndarray, full: int | None, float_range: FloatRange
) -> np.ndarray:
    """Scale decoded values to contiguous float32 as `read_image` says."""
    if full is not None:
        return np.ascontiguousarray(array, dtype=np.float32) / np.float32(full)
    if array.dtype.kind not in "if":
        raise InputError(f"{path}: holds {array.dtype} values; save real numbers")
    bad = array.size - np.count_nonzero(np.isfinite(array))
    if bad:
        raise InputError(
            f"{path}: {bad} of {array.size} values are NaN or infinite; replace them by numbers"
        )
    low, high = float_range if isinstance(float_range, tuple) else (0.0, 1.0)
    if float_range == "image" and (array.min() < 0 or array.max() > 1):
        low, high = float(array.min()), float(array.max())
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (array.astype(np.float64) - low) / ((high - low) or 1.0)
        scaled = np.ascontiguousarray(scaled, dtype=np.float32)
    if not np.isfinite(scaled).all():
        raise InputError(f"{path}: holds values too large for float32; rescale them")
    return scaled
