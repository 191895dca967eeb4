"""Decodes TIFF files with tifffile, and interprets their axes, colours and bit depths."""

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.decoding import (
    ORIENTATION_TAG,
    TIFF_MAGICS,
    orient,
    read_header,
)
from sp_graph_seg.io.pillow import decode_pillow
from sp_graph_seg.io.tiff_chain import check_chain, check_strips

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

MAX_PAGES_AS_CHANNELS = 16
"""Up to this many pages are the channels of an image; more are the slices of a volume."""


def decode_tiff(path: str | os.PathLike[str], header: bytes) -> np.ndarray:
    """Decodes a TIFF to an array ``(C, H, W)`` in the type in which it is stored."""
    from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, TiffFile

    check_chain(path)
    with TiffFile(path) as tif:
        array = tiff_samples(path, tif)
        page = main_series(tif)[0].keyframe
    lab = (PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB, PHOTOMETRIC.ITULAB)
    if page.photometric in (PHOTOMETRIC.SEPARATED, *lab) or (
        page.photometric == PHOTOMETRIC.YCBCR
        and page.compression not in (COMPRESSION.OJPEG, COMPRESSION.JPEG)  # decoded to RGB
    ):
        return decode_pillow(path, header)
    if page.photometric == PHOTOMETRIC.PALETTE and len(array) == 1:
        return page.colormap[:, array[0]]
    if page.photometric == PHOTOMETRIC.MINISWHITE and array.dtype.kind in "bu":
        full = 2 ** int(page.bitspersample) - 1  # a uint16 TIFF may use, say, 12 bits
        array = ~array if array.dtype.kind == "b" else full - array
    alphas = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
    if len(array) == page.samplesperpixel and set(alphas) & set(page.extrasamples):
        colours = len(array) - len(page.extrasamples)
        extras = enumerate(page.extrasamples, start=colours)
        array = array[[*range(colours), *(i for i, extra in extras if extra not in alphas)]]
    return array


def tiff_samples(path: str | os.PathLike[str], tif: "TiffFile") -> np.ndarray:
    """Reads the main series of a TIFF, and turns it upright.

    The main series is the first one that is not a thumbnail.

    The values are returned as they are stored. For example, a palette is not applied.

    Args:
        path: The file. Error messages name it.
        tif: The open TIFF.

    Returns:
        An array ``(C, H, W)`` of the type in which the values are stored.

    Raises:
        InputError: The TIFF holds no image, is damaged, or holds a stack of images.
    """
    if not tif.series:
        raise InputError(f"{path}: holds no readable image and may be cut off; export it again.")
    series = main_series(tif)[0]
    axes, shape = _true_axes(series)
    if 0 in shape:
        raise InputError(f"{path}: has no pixels (shape {series.shape}); export it again.")
    channel = _channel_axis(path, axes, shape)
    check_strips(os.fspath(path), series.keyframe)
    array = series.asarray().reshape(shape)
    array = array[np.newaxis] if channel is None else np.moveaxis(array, channel, 0)
    return orient(array, series.keyframe.tags.valueof(ORIENTATION_TAG, default=1))


def main_series(tif: "TiffFile") -> "list[TiffPageSeries]":
    """Returns the series of a TIFF that are not thumbnails, or all series if all are thumbnails."""
    series = list(tif.series)
    return [one for one in series if not one.keyframe.is_reduced] or series


def is_tiff_stack(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file is a TIFF that holds a volume instead of one image."""
    if not read_header(path).startswith(TIFF_MAGICS):
        return False
    from tifffile import TiffFile, TiffFileError

    try:
        check_chain(path)
        with TiffFile(path) as tif:
            axes, shape = _true_axes(main_series(tif)[0])
    except (TiffFileError, IndexError, ValueError, OSError):
        return False  # reading it will say what is wrong
    others = [(axis, n) for axis, n in zip(axes, shape, strict=True) if axis not in "YX"]
    return len(axes) - len(others) == 2 and bool(others) and not _are_channels(others)


def _true_axes(series: "TiffPageSeries") -> tuple[str, list[int]]:
    """Returns the names and lengths of the axes. Leaves out axes of length 1, except Y and X."""
    kept = [
        (axis, n)
        for axis, n in zip(series.axes, series.shape, strict=True)
        if n != 1 or axis in "YX"
    ]
    return "".join(axis for axis, _ in kept), [n for _, n in kept]


def _are_channels(others: Sequence[tuple[str, int]]) -> bool:
    """Returns whether the axes other than Y and X are the channels of one image.

    The samples of a pixel are always channels. Pages are channels if there are at most 16.
    """
    (axis, length), *more = others
    return not more and (axis == "S" or (axis in "QIC" and length <= MAX_PAGES_AS_CHANNELS))


def _channel_axis(path: str | os.PathLike[str], axes: str, shape: list[int]) -> int | None:
    """Returns the position of the channel axis, or None if there is one channel.

    A TIFF that holds a stack is refused.
    """
    if [axis for axis in axes if axis in "YX"] != ["Y", "X"]:
        raise InputError(
            f"{path}: has the axes {axes}, but an image has the axes C, Y, X; save it as (C, H, W)."
        )
    others = [i for i, axis in enumerate(axes) if axis not in "YX"]
    if not others:
        return None
    if _are_channels([(axes[i], shape[i]) for i in others]):
        return others[0]
    slices = math.prod(n for axis, n in zip(axes, shape, strict=True) if axis not in "YXS")
    height, width = shape[axes.index("Y")], shape[axes.index("X")]
    raise InputError(
        f"{path}: is a volume of {slices} slices of {height} x {width} pixels (axes {axes}), not "
        "one image; open it as a volume (open_volume), or give one slice."
    )
