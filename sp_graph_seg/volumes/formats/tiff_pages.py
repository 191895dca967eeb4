"""Reads TIFF stacks whose pages must be decoded one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.decoding import orient
from sp_graph_seg.io.tiff_chain import check_strips
from sp_graph_seg.volumes.axes import Layout
from sp_graph_seg.volumes.source import PlaneReader, Reader, Source, reading

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffFrame, TiffPage


@dataclass(frozen=True, kw_only=True)
class PagedTiffSource(Source):
    """A TIFF stack that cannot be mapped to memory, for example because it is compressed.

    Attributes:
        series: Number of the series to read, or None to read all pages except thumbnails.
        layout: The axes of the series.
        leading: The number of axes at the start of ``layout`` that count pages. The other axes
            are stored inside each page.
        orientation: The value of the TIFF tag Orientation, from 1 to 8.
        invert: The largest possible value if 0 is stored as white, else None. To invert the
            image, each value is subtracted from this number.
    """

    series: int | None
    layout: Layout
    leading: int
    orientation: int = 1
    invert: int | None = None

    def identity(self) -> tuple[object, ...]:
        """Returns the number of the series and its axes."""
        return self.series, self.layout.order

    def open(self) -> Reader:
        """Opens the TIFF file and returns a reader of its pages."""
        return _PageReader(self)


class _PageReader(PlaneReader):
    """A reader that decodes the pages of each slice."""

    def __init__(self, source: PagedTiffSource) -> None:
        from tifffile import TiffFile

        self.source: PagedTiffSource = source
        layout, leading = source.layout, source.leading
        self._outer = Layout(layout.order[:leading], layout.shape[:leading])
        self._inner = Layout(layout.order[leading:], layout.shape[leading:])
        with reading(source.path):
            self._tif = TiffFile(source.file)
            self._pages = pages_of(self._tif, source.series)

    def plane(self, z: int, channels: range) -> np.ndarray:
        """Decodes the given channels of slice z from its pages. Returns ``(c, Y, X)``."""
        if "c" not in self._outer.order:
            samples = self._samples(self._number(z, 0), z)
            return self._upright(samples[channels.start : channels.stop])
        pages = [self._samples(self._number(z, c), z) for c in channels]
        return self._upright(np.concatenate(pages))

    def problem(self, z: int, quick: bool) -> str | None:
        """Returns why slice z cannot be used, or None if it can be used.

        The slice is decoded. With ``quick``, nothing is decoded. It is then only checked that the
        data of the slice lie inside the file.
        """
        if not quick:
            return super().problem(z, quick)
        channels = range(self.source.sizes[1] if "c" in self._outer.order else 1)
        for number in (self._number(z, c) for c in channels):
            try:
                page = self._page(number)
            except InputError as error:
                return str(error)
            ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
            if max(ends) > self._tif.filehandle.size:
                name = self._name(number)
                return f"{name}: lies beyond the end of the file; copy the file again."
        return None

    def close(self) -> None:
        """Closes the TIFF file."""
        if hasattr(self, "_tif"):
            self._tif.close()

    def _number(self, z: int, c: int) -> int:
        """Returns the number of the page that holds channel c of slice z."""
        places = {"z": z, "c": c, "-": 0}
        index = [places[axis] for axis in self._outer.order]
        return int(np.ravel_multi_index(index, self._outer.shape)) if index else 0

    def _name(self, number: int) -> str:
        return f"{self.source.path}: page {number} (of 0 to {len(self._pages) - 1})"

    def _page(self, number: int) -> "TiffPage | TiffFrame":
        with reading(self.source.path):  # damaged tags may promise more pages
            page = self._pages[number]
        if page is None or not any(page.databytecounts):
            raise InputError(f"{self._name(number)}: holds no data; export the file again.")
        check_strips(self._name(number), page)
        return page

    def _samples(self, number: int, z: int) -> np.ndarray:
        """Decodes a page and returns slice z, ``(C, Y, X)``. Does not invert or rotate it."""
        page = self._page(number)
        with reading(self._name(number), "export the file again, or leave the page out"):
            array = page.asarray().reshape(self._inner.shape)
        volume = self._inner.arrange(array)
        return volume[z if "z" in self._inner.order else 0]

    def _upright(self, plane: np.ndarray) -> np.ndarray:
        source = self.source
        if source.invert is not None:
            plane = source.dtype.type(source.invert) - plane
        return orient(plane, source.orientation)


def pages_of(tif: "TiffFile", series: int | None) -> Sequence["TiffPage | TiffFrame | None"]:
    """Lists the pages of a series. If ``series`` is None, lists all pages except thumbnails."""
    if series is not None:
        pages: Sequence[TiffPage | TiffFrame | None] = tif.series[series].pages
        return pages
    return [page for page in tif.pages if not page.is_reduced]
