"""Image files as ``(C, H, W)`` float32 arrays: Pillow and tifffile decode, this module scales."""

import logging
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from sp_graph_seg.errors import InputError

if TYPE_CHECKING:
    from PIL import Image
    from tifffile import TiffFile

FloatRange = Literal["image"] | tuple[float, float] | None

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF
ORIENTATION_TAG = 0x0112
MAX_PAGES_AS_CHANNELS = 16
"""More pages than this are the slices of a volume, fewer the channels of an image."""


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
            _decode_tiff(path, header)
            if header.startswith(TIFF_MAGICS)
            else _decode_pillow(path, header)
        )
    return _scale(path, array, full, float_range)


def read_header(path: str | os.PathLike[str]) -> bytes:
    """Read the first 32 bytes of a file, which tell its format.

    Args:
        path: The file.

    Returns:
        Its first bytes, at least one.

    Raises:
        InputError: The file is missing, a folder, empty, or cannot be opened.
    """
    if Path(path).is_dir():
        raise InputError(f"{path}: is a folder; give a file in it")
    try:
        with open(path, "rb") as file:
            header = file.read(32)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror}); check the path") from error
    if not header:
        raise InputError(f"{path}: is empty (0 bytes); copy or export it again")
    return header


@contextmanager
def decoding(path: str | os.PathLike[str]) -> Iterator[None]:
    """Decode a file in the block: quietly, with every failure an `InputError`.

    Decoders meet damaged files with exceptions of many kinds, with warnings and (tifffile) with
    log records; the user needs one line.

    Args:
        path: The file that the block decodes, for the message.

    Yields:
        None.

    Raises:
        InputError: The block raised.
    """

    def mute(_: logging.LogRecord) -> bool:
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(mute)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}: cannot be decoded ({reason}); export it again, best as TIFF"
        ) from error
    finally:
        logger.removeFilter(mute)


def tiff_samples(path: str | os.PathLike[str], tif: "TiffFile") -> np.ndarray:
    """Read the samples of a TIFF's first series as they are stored, turned upright.

    Args:
        path: The file, for the messages.
        tif: The open TIFF.

    Returns:
        ``(C, H, W)`` array of the file's own dtype.

    Raises:
        InputError: The TIFF holds no image, or a stack of them.
    """
    if not tif.series:
        raise InputError(f"{path}: holds no readable image, it may be cut off; export it again")
    series = tif.series[0]
    # Axes of length 1 say nothing; Y and X are kept to have two in any case.
    kept = [
        (axis, n)
        for axis, n in zip(series.axes, series.shape, strict=True)
        if n != 1 or axis in "YX"
    ]
    axes = "".join(axis for axis, _ in kept)
    shape = [n for _, n in kept]
    if 0 in shape:
        raise InputError(f"{path}: has no pixels (shape {series.shape}); export it again")
    channel = _channel_axis(path, axes, shape)
    array = series.asarray().reshape(shape)
    array = array[np.newaxis] if channel is None else np.moveaxis(array, channel, 0)
    return orient(array, series.keyframe.tags.valueof(ORIENTATION_TAG, default=1))


def orient(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an image upright.

    Args:
        array: ``(C, H, W)`` image as stored.
        orientation: Its EXIF or TIFF orientation, 1 (upright) to 8; other values count as 1.

    Returns:
        ``(C, H, W)`` or, for the orientations 5 to 8, ``(C, W, H)`` view of the array.
    """
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(1, 2)
    if orientation in (3, 4, 7, 8):
        array = array[:, ::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, :, ::-1]
    return array


def _channel_axis(path: str | os.PathLike[str], axes: str, shape: list[int]) -> int | None:
    """Find the channels among a TIFF's axes (None: there is one channel), or refuse a stack."""
    if [axis for axis in axes if axis in "YX"] != ["Y", "X"]:
        raise InputError(f"{path}: has the axes {axes}, not an image's; save it as (C, H, W)")
    others = [i for i, axis in enumerate(axes) if axis not in "YX"]
    if not others:
        return None
    axis, length = axes[others[0]], shape[others[0]]
    # Samples of a pixel are channels by declaration; pages are channels only when they are few.
    if len(others) == 1 and (axis == "S" or (axis in "QIC" and length <= MAX_PAGES_AS_CHANNELS)):
        return others[0]
    slices = math.prod(n for axis, n in zip(axes, shape, strict=True) if axis not in "YXS")
    height, width = shape[axes.index("Y")], shape[axes.index("X")]
    raise InputError(
        f"{path}: is a volume of {slices} slices of {height} x {width} pixels (axes {axes}), not "
        "one image; split it into single slices and pass one slice as an image"
    )


def _decode_tiff(path: str | os.PathLike[str], header: bytes) -> tuple[np.ndarray, int | None]:
    """Decode a TIFF to ``(C, H, W)`` and its full scale (None: a measurement, without one)."""
    from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, TiffFile

    with TiffFile(path) as tif:
        array = tiff_samples(path, tif)
        page = tif.series[0].keyframe
    lab = (PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB, PHOTOMETRIC.ITULAB)
    if page.photometric in (PHOTOMETRIC.SEPARATED, *lab) or (
        page.photometric == PHOTOMETRIC.YCBCR
        and page.compression not in (COMPRESSION.OJPEG, COMPRESSION.JPEG)  # decoded to RGB
    ):
        return _decode_pillow(path, header)
    if page.photometric == PHOTOMETRIC.PALETTE and len(array) == 1:
        return page.colormap[:, array[0]], _full_scale(page.colormap.dtype)
    full = _full_scale(array.dtype)
    if full is not None:
        full = 2 ** int(page.bitspersample) - 1  # a TIFF may have, say, 12 bits in its uint16
        if page.photometric == PHOTOMETRIC.MINISWHITE:
            array = full - array
    alphas = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
    if len(array) == page.samplesperpixel and set(alphas) & set(page.extrasamples):
        colours = len(array) - len(page.extrasamples)
        extras = enumerate(page.extrasamples, start=colours)
        array = array[[*range(colours), *(i for i, extra in extras if extra not in alphas)]]
    return array, full


def _decode_pillow(path: str | os.PathLike[str], header: bytes) -> tuple[np.ndarray, int | None]:
    """Decode any other format to ``(C, H, W)`` and its full scale (None: a measurement)."""
    from PIL import Image, UnidentifiedImageError

    # Opened by its name, Pillow would map the file to memory and scramble a rotated CMYK TIFF.
    with open(path, "rb") as file:
        try:
            image = Image.open(file)
        except UnidentifiedImageError as error:
            raise InputError(
                f"{path}: is not an image of a known format; give a PNG, JPEG or TIFF file"
            ) from error
        # The further pictures of a phone's MPO and the layers of a PSD are no frames.
        frames = 1 if image.format in ("MPO", "PSD") else getattr(image, "n_frames", 1)
        if frames > 1:
            raise InputError(f"{path}: is an animation of {frames} frames; save one frame as PNG")
        image.load()
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
        is_deep_png = header.startswith(PNG_MAGIC) and header[24] == 16  # bits a sample
        array = _deep_png(path) if is_deep_png else np.asarray(_grey_or_rgb(image))
        # The 16 bits of a PGM are the one unsigned kind that Pillow reads as int32.
        full = 65535 if (image.format, image.mode) == ("PPM", "I") else _full_scale(array.dtype)
    return orient(np.atleast_3d(array).transpose(2, 0, 1), orientation), full


def _grey_or_rgb(image: "Image.Image") -> "Image.Image":
    """Drop the alpha and convert the colours that are not RGB."""
    if image.mode in ("1", "L", "I", "F") or image.mode.startswith("I;16"):
        return image
    return image.convert("L" if image.mode in ("LA", "La") else "RGB")


def _deep_png(path: str | os.PathLike[str]) -> np.ndarray:
    """Decode a PNG of 16 bits a sample, which Pillow cuts to 8, to ``(H, W[, 3])`` uint16."""
    import imagecodecs

    array = imagecodecs.png_decode(Path(path).read_bytes())
    has_alpha = array.ndim == 3 and array.shape[2] in (2, 4)
    return array[:, :, :-1] if has_alpha else array


def _full_scale(dtype: np.dtype) -> int | None:
    """Give the value that becomes 1: the largest of an unsigned type, None for the others."""
    if dtype.kind == "b":
        return 1
    return int(np.iinfo(dtype).max) if dtype.kind == "u" else None


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
