"""Readers of stored arrays: ``.npy`` files, uncompressed TIFF, HDF5 and Zarr."""

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
from sp_graph_seg.volumes.geometry import Geometry
from sp_graph_seg.volumes.sidecar import geometry_in_note
from sp_graph_seg.volumes.source import Reader, Source, StoredCrop, reading, real_dtype

_CHECK_BYTES = 2**24
_MAPPED_BYTES = 2**26


class ArrayReader(Reader):
    """Reads crops of any array that can be indexed with slices.

    Args:
        source: The description of the array.
        opened: Opens the array for a single read.
        layout: The axes of the array.
    """

    def __init__(
        self,
        source: Source,
        opened: Callable[[], AbstractContextManager[Any]],
        layout: Layout,
    ) -> None:
        self._source, self._opened, self._layout = source, opened, layout

    def read_into(self, crop: StoredCrop, out: np.ndarray) -> None:
        """Reads the crop; with a step, one index at a time, as strided reads of HDF5 are slow."""
        with reading(self._source.path), self._opened() as array:
            for target, part in _unstepped(crop):
                stored = np.asarray(array[self._layout.index(part)])
                out[target] = self._layout.arrange(stored)

    def problems(self, slices: range, quick: bool) -> Iterator[tuple[int, str]]:
        """Reads all slices, chunk by chunk. ``quick`` finds nothing: all have one size and type."""
        _, c, y, x = self._source.sizes
        deep, high, _ = self._source.chunks
        slab = deep * c * high * x * self._source.dtype.itemsize
        high *= max(1, _CHECK_BYTES // slab)
        for z in () if quick else range(slices.start, slices.stop, deep):
            part = range(z, min(z + deep, slices.stop))
            for row in range(0, y, high):
                crop = StoredCrop(part, range(c), range(row, min(row + high, y)), range(x))
                try:
                    self.read_into(crop, np.empty(crop.shape, self._source.dtype))
                except InputError as error:
                    yield from ((i, str(error)) for i in part)
                    break


@dataclass(frozen=True, kw_only=True)
class MappedSource(Source):
    """An uncompressed array that is stored in one piece in a file.

    The file is mapped to memory anew for each read, because what is read through a map stays in
    memory as long as the map exists.

    Attributes:
        layout: Axes of the array.
        stored: Type of the values, in the byte order of the file.
        offset: Position of the first value in the file, in bytes.
        order: "C" if the values along the last axis are adjacent in the file, "F" if those along
            the first axis are.
    """

    layout: Layout
    stored: np.dtype
    offset: int
    order: Literal["C", "F"] = "C"

    def open(self) -> Reader:
        """Makes a reader that maps the file at each read."""
        return _MappedReader(self, self.map, self.layout)

    def identity(self) -> tuple[object, ...]:
        """Returns the position of the array in the file, its order and its axes."""
        return self.offset, self.order, self.layout.order

    def map(self) -> AbstractContextManager[np.ndarray]:
        """Maps the file to memory."""
        return nullcontext(
            np.memmap(self.file, self.stored, "r", self.offset, self.layout.shape, self.order)
        )

    def slowest(self) -> tuple[str, int]:
        """Returns the axis whose neighbours are farthest apart, and their distance in bytes."""
        axes = [
            (axis, length)
            for axis, length in zip(self.layout.order, self.layout.shape, strict=True)
            if axis != "-"
        ]
        axis, length = axes[0 if self.order == "C" else -1]
        return axis, math.prod(self.layout.shape) * self.stored.itemsize // length


class _MappedReader(ArrayReader):
    """Maps the file anew for every few megabytes, so that no more than these stay in memory."""

    _source: MappedSource

    def read_into(self, crop: StoredCrop, out: np.ndarray) -> None:
        """Reads the crop in pieces along the slowest axis."""
        axis, stride = self._source.slowest()
        place = crop._fields.index(axis)
        whole = crop[place]
        count = max(1, _MAPPED_BYTES // (stride * whole.step))
        for first in range(0, len(whole), count):
            part = crop._replace(**{axis: whole[first : first + count]})
            target = (slice(None),) * place + (slice(first, first + count),)
            super().read_into(part, out[target])


def _unstepped(crop: StoredCrop) -> Iterator[tuple[tuple[slice, ...], StoredCrop]]:
    """Splits a crop into parts without a step, each with its place in the crop."""
    whole = [[(slice(None), axis)] for axis in crop]
    split = [
        [(slice(n, n + 1), range(i, i + 1)) for n, i in enumerate(axis)]
        if axis.step != 1
        else parts
        for axis, parts in zip(crop, whole, strict=True)
    ]
    for parts in itertools.product(*split):
        yield tuple(target for target, _ in parts), StoredCrop(*(part for _, part in parts))


def open_npy(path: str, file: Path, axes: str | None) -> Source:
    """Describes the array in a ``.npy`` file."""
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
    noted = None if axes else _noted(file, offset + dtype.itemsize * math.prod(shape))
    layout = resolve_axes(path, shape, axes, noted.order if noted else None, may_be_one=True)
    return MappedSource(
        path=path,
        file=file,
        sizes=layout.sizes,
        dtype=native,
        chunks=layout.runs("F" if is_fortran else "C"),
        stamp=stamp(file),
        axes=noted.sorted().stored() if noted else layout.unmeasured(),
        axis_order=layout.spatial,
        layout=layout,
        stored=dtype,
        offset=offset,
        order="F" if is_fortran else "C",
    )


def _noted(file: Path, end: int) -> Geometry | None:
    """Returns the geometry in the text that this library saves after an array of labels."""
    with open(file, "rb") as stream:
        stream.seek(end)
        try:
            text = np.lib.format.read_array(stream, allow_pickle=False)
        except (ValueError, EOFError):
            return None
    return geometry_in_note(str(text))


def check_length(
    path: str, file: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype
) -> None:
    """Refuses a file that is too short for its array."""
    needed = offset + dtype.itemsize * math.prod(shape)
    present = os.path.getsize(file)
    if present < needed:
        raise InputError(
            f"{path}: is cut off: it has {present} of {needed} bytes; copy or export it again."
        )
