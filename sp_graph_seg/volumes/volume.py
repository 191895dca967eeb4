"""The class `Volume`, a stack of slices or frames that are read on request."""

import dataclasses
import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.fingerprint import fingerprint, stamp
from sp_graph_seg.io.labels import as_whole
from sp_graph_seg.volumes.geometry import Geometry, Spacing
from sp_graph_seg.volumes.selection import VIEWS
from sp_graph_seg.volumes.source import Source, StoredCrop, reader_of

READ_BYTES = 2**28
"""The largest number of bytes in a run of `Volume.read_runs`, unless one slice is larger."""


@dataclass(frozen=True, repr=False)
class Volume:
    """A stack of slices or frames that are read on request. Use `open_volume` to make a volume.

    A volume describes what to read, and holds no values. It can be pickled, and used by several
    threads and processes. Each thread opens the file when it first reads. A thread keeps its last
    four files open. A volume is also a sequence of its slices: ``len(volume)``, ``volume[-1]`` and
    ``for image in volume`` work.

    Attributes:
        source: The description of the stored file.
        name: The name of the file or folder without its suffix. Results are named after it.
        axis: "z", "y" or "x": the stored axis that counts the slices.
        slices: The numbers of the slices to read along this axis.
        rows: The rows to read of each slice. They are counted along y if ``axis`` is "z", else
            along z.
        columns: The columns to read of each slice. They are counted along y if ``axis`` is "x",
            else along x.
        picked: The numbers of the channels to read.
        binning: How many slices, rows and columns are averaged into one.
        fill: The number that replaces NaN and infinite values. None keeps them.
        are_labels: Whether the values are labels. If so, floats are read as integers.
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
    are_labels: bool = False

    @property
    def path(self) -> str:
        """The path that the user gave."""
        return self.source.path

    @property
    def num_slices(self) -> int:
        """The number of slices after all options."""
        return len(self.slices) // self.binning[0]

    @property
    def channels(self) -> int:
        """The number C of channels that are read."""
        return len(self.picked)

    @property
    def height(self) -> int:
        """The number H of rows of a slice after all options."""
        return len(self.rows) // self.binning[1]

    @property
    def width(self) -> int:
        """The number W of columns of a slice after all options."""
        return len(self.columns) // self.binning[2]

    @property
    def dtype(self) -> np.dtype:
        """The type of the values: int64 for labels, float32 after binning, else the stored type."""
        if self.are_labels:
            return np.dtype(np.int64)
        return np.dtype(np.float32) if max(self.binning) > 1 else self.source.dtype

    @property
    def geometry(self) -> Geometry:
        """The positions of the voxels after all options, and the axis order of the file."""
        stored = dict(zip("zyx", self.source.axes, strict=True))
        parts = (self.slices, self.rows, self.columns)
        slices, rows, columns = (
            stored[axis].part(part, binning)
            for axis, part, binning in zip(VIEWS[self.axis], parts, self.binning, strict=True)
        )
        order = "".join(stored[axis].name for axis in self.source.axis_order)
        return Geometry((slices, rows, columns), order, self.part_read)

    @property
    def part_read(self) -> dict[str, Any]:
        """The part of the stored volume that is read, as JSON values.

        ``slices``, ``rows`` and ``columns`` each hold the first index, the end and the step.
        ``axes`` holds the names of the stored axes that slices, rows and columns are counted along.
        ``binning`` and ``channels`` hold the attributes ``binning`` and ``picked``.
        """
        names = dict(zip("zyx", (axis.name for axis in self.source.axes), strict=True))
        parts = {"slices": self.slices, "rows": self.rows, "columns": self.columns}
        return {
            "axes": [names[axis] for axis in VIEWS[self.axis]],
            **{name: [part.start, part.stop, part.step] for name, part in parts.items()},
            "binning": list(self.binning),
            "channels": list(self.picked),
        }

    @property
    def spacing(self) -> Spacing | None:
        """The distances between neighbouring slices, rows and columns.

        If ``axis`` is "z", these are the distances along z, y and x. None if a distance is
        unknown, or if the distances have different units.
        """
        return self.geometry.spacing

    @property
    def spacing_unit(self) -> str | None:
        """The unit of the spacing: "micrometer", or None if the unit or the spacing is unknown."""
        return self.geometry.unit

    @property
    def noun(self) -> str:
        """The word for its images: "frames" if they are of a video, else "slices".

        Images of three channels are taken for the frames of a video.
        """
        first = self.geometry.axes[0].name
        return "frames" if first == "t" or (first == "z" and self.channels == 3) else "slices"

    @property
    def elements(self) -> str:
        """The word for what its images consist of: "pixels" of frames, or "voxels" of slices."""
        return "pixels" if self.noun == "frames" else "voxels"

    def named(self, *numbers: int) -> str:
        """Names some of its images, such as "slice 3" or "frames 3, 5"."""
        noun = self.noun.removesuffix("s") if len(numbers) == 1 else self.noun
        return f"{noun} {', '.join(map(str, numbers))}"

    @property
    def frame_rate(self) -> float | None:
        """The mean number of slices per second of a video. None if slices are not frames."""
        if self.source.frame_rate is None or self.axis != "z":
            return None
        return self.source.frame_rate / (self.slices.step * self.binning[0])

    @property
    def frame_times(self) -> tuple[float, ...] | None:
        """The time of each slice in seconds after frame 0. None if slices are not frames."""
        times = self.source.frame_times
        if times is None or self.axis != "z":
            return None
        count, bin_size = self.num_slices, self.binning[0]
        return tuple(times[self.slices[i * bin_size]] for i in range(count))

    def __len__(self) -> int:
        return self.num_slices

    def __getitem__(self, index: int) -> np.ndarray:
        """Reads one slice, ``(C, H, W)``. A negative index counts from the end."""
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(
                f"{self.path}: {self.named(number)} does not exist; give a number from "
                f"{-len(self)} to {len(self) - 1}."
            )
        number %= len(self)
        return self.read(number, number + 1)[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields slice after slice. Reads several slices at once if this is faster."""
        for start, stop in self.read_runs():
            images = self.read(start, stop)
            for image in images:  # a view would keep the whole run in memory
                yield image if len(images) == 1 else image.copy()
            del images, image

    def __repr__(self) -> str:
        size = f"{self.channels} x {self.height} x {self.width}"
        return f"Volume({self.path}: {self.num_slices} slices of {size} {self.dtype})"

    def read(self, start: int, stop: int) -> np.ndarray:
        """Reads consecutive slices. Any number of threads may read at once.

        Args:
            start: The first slice, 0 or more.
            stop: The slice after the last one.

        Returns:
            An array ``(stop - start, C, H, W)`` of type `dtype`, in C order.

        Raises:
            InputError: The slices do not exist or cannot be decoded. The message names the file,
                and the page if there is one.
        """
        if not 0 <= start < stop <= self.num_slices:
            raise InputError(
                f"{self.path}: slices {start}:{stop} do not exist; give a start and a larger stop "
                f"from 0 to {self.num_slices}."
            )
        slices, rows, columns = self.binning
        parts = (
            self.slices[start * slices : stop * slices],
            self.rows[: self.height * rows],
            self.columns[: self.width * columns],
        )
        axes = dict(zip(VIEWS[self.axis], parts, strict=True))
        first, last = min(self.picked), max(self.picked)
        crop = StoredCrop(axes["z"], range(first, last + 1), axes["y"], axes["x"])
        stored = [crop._fields.index(axis) for axis in VIEWS[self.axis]]
        order = (stored[0], 1, stored[1], stored[2])  # of z, c, y, x in the result
        values = np.empty([crop.shape[axis] for axis in order], self.source.dtype)
        reader_of(self.source).read_into(crop, values.transpose(np.argsort(order)))
        if self.picked != tuple(crop.c):
            values = values[:, [channel - first for channel in self.picked]]
        has_fill = self.fill is not None and values.dtype.kind == "f"
        if has_fill:
            values[~np.isfinite(values)] = np.nan  # so that bins with such a value become NaN too
        values = np.ascontiguousarray(self._binned(values))
        if has_fill:
            values[np.isnan(values)] = self.fill
        return as_whole(self.path, values) if self.are_labels else values

    def with_nan(self) -> "Volume":
        """Returns the same volume, but its pixels without data are NaN.

        In this volume, such pixels have the value ``fill``. If ``fill`` is None, this volume is
        returned unchanged.
        """
        return self if self.fill is None else dataclasses.replace(self, fill=math.nan)

    def _binned(self, values: np.ndarray) -> np.ndarray:
        """Averages the values in each bin as float32. Without binning, they stay unchanged."""
        if max(self.binning) == 1:
            return values
        slices, rows, columns = self.binning
        total = np.zeros((len(values) // slices, self.channels, self.height, self.width))
        for i in range(slices):
            for j in range(rows):
                for k in range(columns):  # strided sums need only one float64 copy of the result
                    total += values[i::slices, :, j::rows, k::columns]
        return (total / (slices * rows * columns)).astype(np.float32)

    def read_runs(
        self, max_bytes: int = READ_BYTES, first: int = 0, last: int | None = None
    ) -> Iterator[tuple[int, int]]:
        """Divides slices into runs that are read at once, so that few chunks are decoded twice.

        Slices in the same chunk are put into the same run, as far as ``max_bytes`` allows. If each
        slice is stored as one page, a run is one slice. If each slice crosses all pages, a run is
        as long as possible.

        Args:
            max_bytes: The largest number of bytes of stored values in a run. A run has at least
                one slice, even if this slice is larger.
            first: The first slice.
            last: The slice after the last one. (default: the number of slices)

        Yields:
            The arguments ``(start, stop)`` of `read` for each run, in order.
        """
        stored = len(self.rows) * len(self.columns) * self.channels * self.source.dtype.itemsize
        bins = self.binning[0]
        chunk = self.source.chunks["zyx".index(self.axis)] // self.slices.step
        count = max(1, min(-(-chunk // bins), max_bytes // (stored * bins)))
        last = self.num_slices if last is None else last
        for start in range(first, last, count):
            yield start, min(start + count, last)

    def part(self, rows: slice, columns: slice) -> "Volume":
        """Returns the same volume with only some of its rows and columns.

        Args:
            rows: The rows to keep, without a step. They are counted after binning.
            columns: The columns to keep, without a step. They are counted after binning.
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
        """Checks that every slice can be read, and has the same size and type as the others.

        Call it before long work starts. Only one slice or chunk is in memory at a time. A chunk
        that is missing in a Zarr store does not count as a problem, because Zarr reads it as the
        fill value of the array.

        Args:
            quick: Check only headers and lengths, and decode nothing.

        Returns:
            A list of ``(slice, reason)`` for the slices that cannot be used. If ``axis`` is "z",
            the slice is an index into this volume. For other axes, it is the number of a stored
            slice, such as a page or file. The reason names the file and page.
        """
        stored = self.slices if self.axis == "z" else self.rows
        found = dict(reader_of(self.source).problems(stored, quick))
        if self.axis != "z":
            return sorted(found.items())
        numbers = {self.slices.index(z) // self.binning[0]: why for z, why in found.items()}
        return sorted((n, why) for n, why in numbers.items() if n < self.num_slices)

    def fingerprint(self) -> str:
        """Returns a text that tells this volume from others, and from changed versions of itself.

        Results are stored with the fingerprint of their volume, so that results of different
        volumes are never mixed. The fingerprint is computed from the sizes and modification times
        of the files, and from the shape, the type and the options of the volume. To save time, no
        values are read. The path does not matter, so moved files keep their fingerprint. It
        changes if the files are rewritten, or copied without their modification times.

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
