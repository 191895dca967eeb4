"""Files that hold one array: ``.npy``, and what uncompressed TIFF, HDF5 and Zarr build on."""

import itertools
import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.fingerprint import stamp
from sp_graph_seg.volumes.axes import Layout, resolve_axes
from sp_graph_seg.volumes.source import Reader, Region, Source, reading, real_dtype

_CHECK_BYTES = 2**24
_MAPPED_BYTES = 2**26


class ArrayReader(Reader):
    """Reads regions of anything that numpy's slices index, and leaves nothing open.

    Args:
        source: What is read.
        opened: Opens the array for one read.
        layout: The axes of the array.
    """

    def __init__(
        self,
        source: Source,
        opened: Callable[[], AbstractContextManager[Any]],
        layout: Layout,
    ) -> None:
        self._source, self._opened, self._layout = source, opened, layout

    def read_into(self, region: Region, block: np.ndarray) -> None:
        """Read the region; one with a step index by index, as HDF5 is slow at strides."""
        with reading(self._source.path), self._opened() as array:
            for target, part in _unstepped(region):
                stored = np.asarray(array[self._layout.index(part)])
                block[target] = self._layout.arrange(stored)

    def problems(self, slices: range, quick: bool) -> Iterator[tuple[int, str]]:
        """Read everything, chunk by chunk; size and type hold for the whole array (quick)."""
        _, c, y, x = self._source.sizes
        deep, high, _ = self._source.chunks
        slab = deep * c * high * x * self._source.dtype.itemsize
        high *= max(1, _CHECK_BYTES // slab)
        for z in () if quick else range(slices.start, slices.stop, deep):
            part = range(z, min(z + deep, slices.stop))
            for row in range(0, y, high):
                region = Region(part, range(c), range(row, min(row + high, y)), range(x))
                try:
                    self.read_into(region, np.empty(region.shape, self._source.dtype))
                except InputError as error:
                    yield from ((i, str(error)) for i in part)
                    break


@dataclass(frozen=True, kw_only=True)
class MappedSource(Source):
    """An array that lies in one piece in a file, uncompressed.

    The file is mapped to memory for each read anew: pages that were read do not stay resident, as
    they would in a map that is kept, and nothing is left open.

    Attributes:
        layout: Axes of the array.
        stored: Its type with the byte order of the file.
        offset: Where it begins in the file, in bytes.
        order: "C" or "F".
    """

    layout: Layout
    stored: np.dtype
    offset: int
    order: Literal["C", "F"] = "C"

    def open(self) -> Reader:
        """Map the file at each read."""
        return _MappedReader(self, self.map, self.layout)

    def identity(self) -> tuple[object, ...]:
        """Tell the array and its axes."""
        return self.offset, self.order, self.layout.order

    def map(self) -> AbstractContextManager[np.ndarray]:
        """Map the file to memory."""
        return nullcontext(
            np.memmap(self.file, self.stored, "r", self.offset, self.layout.shape, self.order)
        )

    def slowest(self) -> tuple[str, int]:
        """Give the axis of z, c, y, x whose neighbours lie farthest apart, and how many bytes."""
        axes = [
            (axis, length)
            for axis, length in zip(self.layout.order, self.layout.shape, strict=True)
            if axis != "-"
        ]
        axis, length = axes[0 if self.order == "C" else -1]
        return axis, math.prod(self.layout.shape) * self.stored.itemsize // length


class _MappedReader(ArrayReader):
    """Maps the file anew for every few megabytes of it, so that no more of it is resident."""

    _source: MappedSource

    def read_into(self, region: Region, block: np.ndarray) -> None:
        """Read the region in pieces along the slowest axis."""
        axis, stride = self._source.slowest()
        place = region._fields.index(axis)
        whole = region[place]
        count = max(1, _MAPPED_BYTES // (stride * whole.step))
        for first in range(0, len(whole), count):
            part = region._replace(**{axis: whole[first : first + count]})
            target = (slice(None),) * place + (slice(first, first + count),)
            super().read_into(part, block[target])


def _unstepped(region: Region) -> Iterator[tuple[tuple[slice, ...], Region]]:
    """Split a region into parts without a step: where each belongs in it, and the part."""
    whole = [[(slice(None), axis)] for axis in region]
    split = [
        [(slice(n, n + 1), range(i, i + 1)) for n, i in enumerate(axis)]
        if axis.step != 1
        else parts
        for axis, parts in zip(region, whole, strict=True)
    ]
    for parts in itertools.product(*split):
        yield tuple(target for target, _ in parts), Region(*(part for _, part in parts))


def open_npy(path: str, file: Path, axes: str | None) -> Source:
    """Describe the array in a ``.npy`` file."""
    with reading(path, "save it again with numpy.save"), open(file, "rb") as stream:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, is_fortran, dtype = read(stream)
        offset = stream.tell()
    native = real_dtype(path, dtype)
    check_length(path, file, offset, shape, dtype)
    layout = resolve_axes(path, shape, axes, None)
    return MappedSource(
        path=path,
        file=file,
        sizes=layout.sizes,
        dtype=native,
        chunks=layout.runs("F" if is_fortran else "C"),
        stamp=stamp(file),
        layout=layout,
        stored=dtype,
        offset=offset,
        order="F" if is_fortran else "C",
    )


def check_length(
    path: str, file: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype
) -> None:
    """Refuse a file that is too short for its array."""
    needed = offset + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    present = os.path.getsize(file)
    if present < needed:
        raise InputError(
            f"{path}: is cut off: {present} of {needed} bytes are there; copy or export it again"
        )
