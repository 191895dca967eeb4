"""Volume: slices of a stack, a folder, an array or a video, read when they are asked for."""

import dataclasses
import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.fingerprint import fingerprint, stamp
from sp_graph_seg.volumes.selection import VIEWS
from sp_graph_seg.volumes.source import Region, Source, Spacing, reader_of

BLOCK_BYTES = 2**28
"""Largest block that `Volume.blocks` suggests, unless one slice alone is larger."""


@dataclass(frozen=True, repr=False)
class Volume:
    """A stack of slices or frames that is read when it is asked for; `open_volume` makes it.

    It is a description and holds no values. It can be pickled and used by threads and processes:
    each thread opens the file for itself when it first reads, and keeps the last four files open.
    It also is a sequence of its slices: ``len(volume)``, ``volume[-1]``, ``for slice in volume``.

    Attributes:
        source: The file, as it is stored.
        name: Name of the file or folder without its ending, for the names of results.
        axis: "z", "y" or "x": the stored axis along which the slices follow one another.
        slices: Numbers of the slices read along that axis.
        rows: Rows read of each slice: along y, or along z for the axes y and x.
        columns: Columns read of each slice: along x, or along y for the axis x.
        picked: Numbers of the channels read.
        binning: How many slices, rows and columns are averaged into one.
        fill: What NaN and infinite values are read as; None: as they are.
    """

    source: Source
    name: str
    axis: str
    slices: range
    rows: range
    columns: range
    picked: tuple[int, ...]
    binning: tuple[int, int, int]
    fill: float | None

    @property
    def path(self) -> str:
        """The path as the user gave it."""
        return self.source.path

    @property
    def num_slices(self) -> int:
        """The number of slices."""
        return len(self.slices) // self.binning[0]

    @property
    def channels(self) -> int:
        """C, the number of channels."""
        return len(self.picked)

    @property
    def height(self) -> int:
        """H, the number of rows."""
        return len(self.rows) // self.binning[1]

    @property
    def width(self) -> int:
        """W, the number of columns."""
        return len(self.columns) // self.binning[2]

    @property
    def dtype(self) -> np.dtype:
        """The type of the values: as stored, float32 after binning."""
        return np.dtype(np.float32) if max(self.binning) > 1 else self.source.dtype

    @property
    def spacing(self) -> Spacing | None:
        """Distances of slices, rows and columns: (z, y, x) for the axis z; None if not stored."""
        if self.source.spacing is None:
            return None
        stored = dict(zip("zyx", self.source.spacing, strict=True))
        steps = (self.slices.step, 1, 1)
        slices, rows, columns = (
            stored[axis] * step * factor
            for axis, step, factor in zip(VIEWS[self.axis], steps, self.binning, strict=True)
        )
        return slices, rows, columns

    @property
    def spacing_unit(self) -> str | None:
        """The unit of the spacing: "micrometer", or None if the file does not tell it."""
        return self.source.unit

    @property
    def frame_rate(self) -> float | None:
        """Frames a second of a video, on average and of the frames read; else None."""
        if self.source.frame_rate is None or self.axis != "z":
            return None
        return self.source.frame_rate / (self.slices.step * self.binning[0])

    @property
    def frame_times(self) -> tuple[float, ...] | None:
        """When each frame of a video is shown, in seconds after its first; else None."""
        times = self.source.frame_times
        if times is None or self.axis != "z":
            return None
        count, bin_size = self.num_slices, self.binning[0]
        return tuple(times[self.slices[i * bin_size]] for i in range(count))

    def __len__(self) -> int:
        return self.num_slices

    def __getitem__(self, index: int) -> np.ndarray:
        """Read one slice, ``(C, H, W)``; a negative index counts from the end."""
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"slice {number} of {len(self)} in {self.path}")
        number %= len(self)
        return self.read(number, number + 1)[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Read slice after slice, in the blocks that are cheapest to read."""
        for start, stop in self.blocks():
            block = self.read(start, stop)
            for image in block:  # a copy: a view would keep its block beside the next one
                yield image if len(block) == 1 else image.copy()
            del block, image

    def __repr__(self) -> str:
        size = f"{self.channels} x {self.height} x {self.width}"
        return f"Volume({self.path}: {self.num_slices} slices of {size} {self.dtype})"

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read consecutive slices; any number of threads may do so at a time.

        Args:
            start: The first slice, 0 or more.
            stop: The slice behind the last one.

        Returns:
            ``(stop - start, C, H, W)`` array, C-contiguous, of type `dtype`.

        Raises:
            InputError: The slices do not exist or cannot be decoded; the message names the file
                and, where it has some, the page.
        """
        if not 0 <= start < stop <= self.num_slices:
            raise InputError(
                f"{self.path}: slices {start} to {stop} were asked for; give a start below its "
                f"stop within 0 and {self.num_slices}"
            )
        slices, rows, columns = self.binning
        parts = (
            self.slices[start * slices : stop * slices],
            self.rows[: self.height * rows],
            self.columns[: self.width * columns],
        )
        axes = dict(zip(VIEWS[self.axis], parts, strict=True))
        first, last = min(self.picked), max(self.picked)
        region = Region(axes["z"], range(first, last + 1), axes["y"], axes["x"])
        stored = [region._fields.index(axis) for axis in VIEWS[self.axis]]
        order = (stored[0], 1, stored[1], stored[2])  # of z, c, y, x in the result
        block = np.empty([region.shape[axis] for axis in order], self.source.dtype)
        reader_of(self.source).read_into(region, block.transpose(np.argsort(order)))
        if self.picked != tuple(region.c):
            block = block[:, [channel - first for channel in self.picked]]
        has_fill = self.fill is not None and block.dtype.kind == "f"
        if has_fill:
            block[~np.isfinite(block)] = np.nan  # so that a bin that holds one is none either
        block = np.ascontiguousarray(self._binned(block))
        if has_fill:
            block[np.isnan(block)] = self.fill
        return block

    def with_nan(self) -> "Volume":
        """The same volume, with NaN instead of its ``fill`` where there is no data."""
        return self if self.fill is None else dataclasses.replace(self, fill=math.nan)

    def _binned(self, block: np.ndarray) -> np.ndarray:
        """Average bins of slices, rows and columns to float32."""
        if max(self.binning) == 1:
            return block
        slices, rows, columns = self.binning
        total = np.zeros((len(block) // slices, self.channels, self.height, self.width))
        for i in range(slices):
            for j in range(rows):
                for k in range(columns):  # strided sums hold one float64 copy of the result
                    total += block[i::slices, :, j::rows, k::columns]
        return (total / (slices * rows * columns)).astype(np.float32)

    def blocks(self, max_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, int]]:
        """Divide the slices into blocks that read each stored chunk as few times as possible.

        What is decoded together (a page, a chunk) is read together, as far as memory allows: one
        slice at a time where each slice is a page; as many as fit where slices cross all pages.

        Args:
            max_bytes: Bound on the stored values of a block.

        Yields:
            ``(start, stop)`` for `read`, in order.
        """
        stored = len(self.rows) * len(self.columns) * self.channels * self.source.dtype.itemsize
        bins = self.binning[0]
        chunk = self.source.chunks["zyx".index(self.axis)] // self.slices.step
        count = max(1, min(-(-chunk // bins), max_bytes // (stored * bins)))
        for start in range(0, self.num_slices, count):
            yield start, min(start + count, self.num_slices)

    def part(self, rows: slice, columns: slice) -> "Volume":
        """Describe the same slices with some of their rows and columns, to read no more.

        Args:
            rows: Rows of this volume, counted after binning, without a step.
            columns: Columns, likewise.
        """
        _, high, wide = self.binning
        top, bottom, _ = rows.indices(self.height)
        left, right, _ = columns.indices(self.width)
        return replace(
            self,
            rows=self.rows[top * high : bottom * high],
            columns=self.columns[left * wide : right * wide],
        )

    def check(self, quick: bool = False) -> list[tuple[int, str]]:
        """Make sure, before long work starts, that every slice can be read and is like the others.

        Holds one slice or chunk at a time. Chunks that a Zarr store lacks are its fill value, not
        a fault.

        Args:
            quick: Look at headers and lengths only, and decode nothing.

        Returns:
            ``(slice, reason)`` of each slice that cannot be used, none if all is well. The slice
            is the index in this volume for the axis z, else the number of the stored slice (page,
            file) that the volume's slices cross. The reason names the file and page.
        """
        stored = self.slices if self.axis == "z" else self.rows
        found = dict(reader_of(self.source).problems(stored, quick))
        if self.axis != "z":
            return sorted(found.items())
        numbers = {self.slices.index(z) // self.binning[0]: why for z, why in found.items()}
        return sorted((n, why) for n, why in numbers.items() if n < self.num_slices)

    def fingerprint(self) -> str:
        """Identify the content and the options, to refuse mixing results of different volumes.

        Made from sizes and times of change of the files, shape, type and options, not from the
        values, nor from the path: it survives moving the files, and not rewriting or copying them
        without their times.

        Returns:
            32 hexadecimal digits.
        """
        return fingerprint(
            files=[stamp(file) for file in self.source.files()],
            stored=[self.source.sizes, self.source.dtype.str, self.source.identity()],
            axis=self.axis,
            parts=(self.slices, self.rows, self.columns),
            channels=self.picked,
            binning=self.binning,
            fill=self.fill,
        )
