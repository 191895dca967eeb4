"""Opens TIFF, BigTIFF, ImageJ and OME-TIFF stacks. Finds the slices and chooses a reader."""

import itertools
import math
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.decoding import ORIENTATION_TAG
from sp_graph_seg.io.fingerprint import stamp
from sp_graph_seg.io.tiff import main_series
from sp_graph_seg.io.tiff_chain import check_chain
from sp_graph_seg.volumes.axes import resolve_axes
from sp_graph_seg.volumes.formats.arrays import MappedSource, check_length
from sp_graph_seg.volumes.formats.tiff_pages import PagedTiffSource, pages_of
from sp_graph_seg.volumes.geometry import Axes
from sp_graph_seg.volumes.source import Source, reading, real_dtype
from sp_graph_seg.volumes.spacing import imagej_axes, ome_axes, plain_axes

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffFrame, TiffPage

_PLAIN = ("uniform", "generic", "shaped")
_UNDECLARED = "iq"  # in tifffile: a sequence of pages; an axis without a name


def open_tiff(path: str, file: Path, inner: str | None, axes: str | None) -> Source:
    """Returns a description of the stack in a TIFF file.

    Args:
        path: The path that the user gave, for messages.
        file: The TIFF file.
        inner: The number of a series as text, or None to choose the main series.
        axes: The axis letters that the user gave, or None.

    Returns:
        The description. The array is mapped to memory if possible, else decoded page by page.

    Raises:
        InputError: The file is damaged or cut off. Its pages differ in size or type. It does not
            hold a volume. Or its colours are neither grey nor RGB.
    """
    from tifffile import TiffFile

    check_chain(file)
    with reading(path), TiffFile(file) as tif:
        _check_last_page(path, tif)
        number = _choose_series(path, tif, inner)
        if number is None:
            pages = pages_of(tif, None)
            page: TiffPage = tif.pages.first
            shape, letters = (len(pages), *page.shape), "i" + page.axes.lower()
            offset = None
        else:
            series = tif.series[number]
            pages, page = series.pages, series.keyframe
            shape, letters, offset = series.shape, series.axes.lower(), series.dataoffset
            _check_imagej_length(path, tif, shape)
        stored = np.dtype(page.dtype).newbyteorder(tif.byteorder)
        layout = resolve_axes(path, shape, axes, _declared(letters, shape))
        _check_colours(path, page, has_lookup_table=tif.is_imagej or tif.is_ome)
        turned = page.tags.valueof(ORIENTATION_TAG, default=1)
        measured = tiff_axes(tif, number or 0, layout.slices)
        length = tif.filehandle.size
    invert = _white_is_zero(page, stored)
    z, c, y, x = layout.sizes
    common: dict[str, Any] = {
        "path": path,
        "file": file,
        "sizes": (z, c - _alphas(page), *((x, y) if turned in (5, 6, 7, 8) else (y, x))),
        "dtype": real_dtype(path, stored),
        "stamp": stamp(file),
        "axes": measured,
        "axis_order": layout.spatial,
        "layout": layout,
    }
    leading = len(shape) - len(page.shape)
    are_pages = math.prod(shape[:leading]) == len(pages)
    if offset is None or invert is not None or turned != 1:
        can_map = False
    else:  # a file that is cut off is read page by page, to name the missing pages
        can_map = not are_pages or length >= offset + stored.itemsize * math.prod(shape)
    if offset is not None and can_map:
        check_length(path, file, offset, shape, stored)
        return MappedSource(chunks=layout.runs(), stored=stored, offset=offset, **common)
    if not are_pages:
        raise InputError(
            f"{path}: has fewer pages than its shape {shape} needs; copy or export it again."
        )
    return PagedTiffSource(
        chunks=(1, y, x),
        series=number,
        leading=leading,
        orientation=turned,
        invert=invert,
        **common,
    )


def _check_last_page(path: str, tif: "TiffFile") -> None:
    """Raises an InputError if the last page points beyond the end of the file.

    In this case, the file was cut off.
    """
    count, last = len(tif.pages), tif.pages[-1]
    numbers, tags = tif.tiff.tagnoformat, tif.tiff.tagsize
    stream = tif.filehandle
    stream.seek(last.offset)
    (entries,) = struct.unpack(numbers, stream.read(tif.tiff.tagnosize))
    stream.seek(last.offset + tif.tiff.tagnosize + entries * tags)
    pointer = stream.read(tif.tiff.offsetsize)
    if len(pointer) < tif.tiff.offsetsize or (
        struct.unpack(tif.tiff.offsetformat, pointer)[0] >= stream.size
    ):
        raise InputError(
            f"{path}: is cut off after page {count - 1} (counted from 0); copy or export it again."
        )


def _check_imagej_length(path: str, tif: "TiffFile", shape: tuple[int, ...]) -> None:
    """Raises an InputError if an ImageJ stack has fewer images than it declares."""
    promised = (tif.imagej_metadata or {}).get("images", 1)
    if tif.is_imagej and math.prod(shape[:-2]) < promised:
        raise InputError(
            f"{path}: is cut off: it declares {promised} images but has only "
            f"{math.prod(shape[:-2])}; copy or export it again."
        )


def _choose_series(path: str, tif: "TiffFile", inner: str | None) -> int | None:
    """Returns the number of the series to read, or None if every page is a slice."""
    count = len(tif.series)
    if inner is not None:
        name = inner.strip("/")
        if not (name.isdecimal() and int(name) < count):
            raise InputError(
                f"{path}: has no series {name!r}; give a number from 0 to {count - 1} after "
                "the colon."
            )
        return int(name)
    full = main_series(tif)
    if len(full) == 1:
        return tif.series.index(full[0])
    if tif.series[0].kind not in _PLAIN:
        series = ", ".join(f"{i} ({s.axes} {s.shape})" for i, s in enumerate(tif.series[:8]))
        raise InputError(
            f"{path}: holds {count} series: {series}; add the number of one series after a colon, "
            f"such as {path}:0."
        )
    _check_alike(path, [page for page in tif.pages if not page.is_reduced])
    return None


def _check_alike(path: str, pages: Sequence["TiffPage | TiffFrame"]) -> None:
    """Raises an InputError if a page differs from most other pages in size or type."""
    kinds = [(page.shape, page.dtype) for page in pages]
    (usual, _), *others = Counter(kinds).most_common()
    if others:
        odd = next(page for page, kind in zip(pages, kinds, strict=True) if kind != usual)
        raise InputError(
            f"{path}: page {odd.index} (counted from 0) has the type {odd.dtype} and the shape "
            f"{odd.shape}, but most pages have the type {usual[1]} and the shape {usual[0]}; "
            "export all slices with one size and type."
        )


def _declared(letters: str, shape: tuple[int, ...]) -> str | None:
    """Returns the axis letters that a TIFF declares, or None if they are ambiguous.

    If exactly one axis has no declared meaning, this axis is taken to count the slices.
    """
    unknown = [i for i, a in enumerate(letters) if a in _UNDECLARED and shape[i] > 1]
    if len(unknown) > 1 or (unknown and set("zt") & set(letters)):
        return None
    slices = "".join("z" if a in _UNDECLARED else a for a in letters)
    return slices if len(set(slices)) == len(slices) else None


def _check_colours(path: str, page: "TiffPage", has_lookup_table: bool) -> None:
    """Raises an InputError if the colours are not grey, RGB or separate channels."""
    from tifffile import COMPRESSION, PHOTOMETRIC

    refused = {
        PHOTOMETRIC.SEPARATED: "CMYK",
        PHOTOMETRIC.CIELAB: "Lab",
        PHOTOMETRIC.ICCLAB: "Lab",
        PHOTOMETRIC.ITULAB: "Lab",
    }
    if not has_lookup_table:  # such a palette is only for display
        refused[PHOTOMETRIC.PALETTE] = "palette"
    if page.compression not in (COMPRESSION.OJPEG, COMPRESSION.JPEG):  # decoded to RGB
        refused[PHOTOMETRIC.YCBCR] = "YCbCr"
    if page.photometric in refused:
        name = refused[page.photometric]
        raise InputError(
            f"{path}: has {name} colours, which cannot be read; convert it to grey or RGB."
        )


def _white_is_zero(page: "TiffPage", dtype: np.dtype) -> int | None:
    """Returns the largest possible value if 0 is stored as white, else None.

    To invert the image, each value is subtracted from this number.
    """
    from tifffile import PHOTOMETRIC

    is_inverted = page.photometric == PHOTOMETRIC.MINISWHITE and dtype.kind == "u"
    return 2 ** int(page.bitspersample) - 1 if is_inverted else None


def _alphas(page: "TiffPage") -> int:
    """Counts the alpha channels of a page. They are not read."""
    from tifffile import EXTRASAMPLE

    alphas = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
    return len(list(itertools.takewhile(lambda s: s in alphas, reversed(page.extrasamples))))


def tiff_axes(tif: "TiffFile", series: int, slices: str) -> Axes:
    """Returns the axes of slices, rows and columns with the spacing that a TIFF declares.

    Args:
        tif: The open TIFF file.
        series: The number of the series.
        slices: "z", or "t" if the slices are frames.
    """
    if tif.is_ome:
        return ome_axes(tif.ome_metadata, series, slices)
    tags = main_series(tif)[0].keyframe.tags
    resolution = [tags.valueof(name, default=None) for name in ("YResolution", "XResolution")]
    if tif.is_imagej:
        return imagej_axes(tif.imagej_metadata, resolution, slices)
    return plain_axes(resolution, tags.valueof("ResolutionUnit", default=2), slices)
