"""Reads parts of stored arrays, and opens ``.npy`` files.

The readers here are also used for HDF5, Zarr, NRRD, VTK and uncompressed TIFF.
"""

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
    """A reader of crops of any array that supports NumPy indexing.

    Args:
        source: The description of the array.
        opened: A function that returns a context manager. At each read, this context manager
            opens the array, and closes it after the read.
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
        """Reads a crop into ``out``.

        A crop with a step is read one index at a time, because reading HDF5 with a step is slow.
        """
        with reading(self._source.path), self._opened() as array:
            for target, part in _unstepped(crop):
                stored = np.asarray(array[self._layout.index(part)])
                out[target] = self._layout.arrange(stored)

    def problems(self, slices: range, quick: bool) -> Iterator[tuple[int, str]]:
        """Yields the number of each slice that cannot be read, and the reason.

        The slices are read chunk by chunk. With ``quick``, nothing is checked, because all slices
        of an array have the same size and type.
        """
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

    Each read maps the file to memory again. If one map were used for all reads, all values read
    would stay in memory.

    Attributes:
        layout: The axes of the array.
        stored: The type of the values, in the byte order of the file.
        offset: Position of the first value in the file, in bytes.
        order: "C" if the values along the last axis are adjacent in the file, "F" if the values
            along the first axis are adjacent.
    """

    layout: Layout
    stored: np.dtype
    offset: int
    order: Literal["C", "F"] = "C"

    def open(self) -> Reader:
        """Returns a reader that maps the file to memory at each read."""
        return _MappedReader(self, self.map, self.layout)

    def identity(self) -> tuple[object, ...]:
        """Returns the position of the array in the file, the order of its values and its axes."""
        return self.offset, self.order, self.layout.order

    def map(self) -> AbstractContextManager[np.ndarray]:
        """Maps the array in the file to memory."""
        return nullcontext(
            np.memmap(self.file, self.stored, "r", self.offset, self.layout.shape, self.order)
        )

    def slowest(self) -> tuple[str, int]:
        """Finds the axis along which neighbouring values are farthest apart in the file.

        Returns:
            The letter of the axis, and the distance of neighbouring values along it in bytes.
        """
        axes = [
            (axis, length)
            for axis, length in zip(self.layout.order, self.layout.shape, strict=True)
            if axis != "-"
        ]
        axis, length = axes[0 if self.order == "C" else -1]
        return axis, math.prod(self.layout.shape) * self.stored.itemsize // length


class _MappedReader(ArrayReader):
    """A reader that maps the file again for each piece of about 64 MB.

    So only one piece of the file is in memory at a time.
    """

    _source: MappedSource

    def read_into(self, crop: StoredCrop, out: np.ndarray) -> None:
        """Reads a crop into ``out``, in pieces along the axis of `MappedSource.slowest`."""
        axis, stride = self._source.slowest()
        place = crop._fields.index(axis)
        whole = crop[place]
        count = max(1, _MAPPED_BYTES // (stride * whole.step))
        for first in range(0, len(whole), count):
            part = crop._replace(**{axis: whole[first : first + count]})
            target = (slice(None),) * place + (slice(first, first + count),)
            super().read_into(part, out[target])


def _unstepped(crop: StoredCrop) -> Iterator[tuple[tuple[slice, ...], StoredCrop]]:
    """Splits a crop into parts without a step. Yields the place of each part, and the part."""
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
    """Returns a description of the array in a ``.npy`` file."""
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
    """Returns the geometry that this library saved after an array of labels, or None."""
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
    """Raises an InputError if a file is too short for its array."""
    needed = offset + dtype.itemsize * math.prod(shape)
    present = os.path.getsize(file)
    if present < needed:
        raise InputError(
            f"{path}: is cut off: it has {present} of {needed} bytes; copy or export it again."
        )
