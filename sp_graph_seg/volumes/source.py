"""The interface of the formats: descriptions of stored volumes, and readers of their files.

A description holds no values and no open file, so it can be pickled.
"""

import logging
import os
import threading
import warnings
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes.geometry import UNKNOWN, Axes

MAX_OPEN = 4
"""The number of files that a thread keeps open. It closes the least recently used file first."""


class StoredCrop(NamedTuple):
    """A part of a stored volume, as one range of indices for each axis.

    At most one range has a step other than 1.
    """

    z: range
    c: range
    y: range
    x: range

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The size (Z, C, Y, X) of the crop."""
        return len(self.z), len(self.c), len(self.y), len(self.x)


class Reader(ABC):
    """A reader of one open file. Only one thread uses it."""

    @abstractmethod
    def read_into(self, crop: StoredCrop, out: np.ndarray) -> None:
        """Reads a crop into the array ``out``, ``(Z, C, Y, X)``.

        ``out`` may be a transposed view of another array.
        """

    @abstractmethod
    def problems(self, slices: range, quick: bool) -> Iterator[tuple[int, str]]:
        """Yields the number of each stored slice that cannot be used, and the reason.

        With ``quick``, nothing is decoded, and fewer problems are found.
        """

    def close(self) -> None:  # noqa: B027 (most readers have nothing to close)
        """Closes the file."""

    def __del__(self) -> None:
        self.close()


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """The description of a stored volume. Its axes are in the order z, c, y, x.

    Attributes:
        path: The path that the user gave, for messages.
        file: The file or folder at this path.
        sizes: The lengths Z, C, Y, X of the axes.
        dtype: Type of a voxel, in native byte order.
        chunks: Size along z, y and x of a chunk, whose voxels are decoded together.
        axes: The axes z (or t), y and x, with the positions of the voxels along them.
        axis_order: The letters z, y and x in the order of the stored array.
        skips_slices: Whether slices are missing between the stored slices.
        stamp: Size and modification time of the file, so that a changed file is opened again.
        frame_rate: Mean number of frames per second of a video.
        frame_times: When each frame of a video is shown, in seconds after the first frame.
    """

    path: str
    file: Path
    sizes: tuple[int, int, int, int]
    dtype: np.dtype
    chunks: tuple[int, int, int]
    axes: Axes = UNKNOWN
    axis_order: str = "zyx"
    skips_slices: bool = False
    stamp: tuple[int, int] = (0, 0)
    frame_rate: float | None = None
    frame_times: tuple[float, ...] | None = field(default=None, compare=False)

    @abstractmethod
    def open(self) -> Reader:
        """Opens the file and returns a reader for the calling thread."""

    def identity(self) -> tuple[object, ...]:
        """Returns values that distinguish this volume from other volumes in the same files."""
        return ()

    def files(self) -> list[Path]:
        """Lists the files that hold the values of the volume."""
        return [self.file]


class PlaneReader(Reader):
    """A reader of files that store whole slices, such as TIFF pages or frames of a video."""

    source: Source

    @abstractmethod
    def plane(self, z: int, channels: range) -> np.ndarray:
        """Decodes the given channels of slice z. Returns ``(c, Y, X)``.

        Error messages name the file and the slice.
        """

    def read_into(self, crop: StoredCrop, out: np.ndarray) -> None:
        """Reads a crop into ``out``. Holds only one slice in memory besides ``out``."""
        for i, z in enumerate(crop.z):
            out[i] = self.plane(z, crop.c)[:, as_slice(crop.y), as_slice(crop.x)]

    def problems(self, slices: range, quick: bool) -> Iterator[tuple[int, str]]:
        """Yields the number of each slice that cannot be used, and the reason."""
        for z in slices:
            reason = self.problem(z, quick)
            if reason is not None:
                yield z, reason

    def problem(self, z: int, quick: bool) -> str | None:
        """Returns why slice z cannot be used, or None if it can be used.

        The slice is decoded. Subclasses decode nothing if ``quick`` is true.
        """
        try:
            self.plane(z, range(self.source.sizes[1]))
        except InputError as error:
            return str(error)
        return None


@dataclass
class _Quiet:
    """Counts the threads that are decoding, and keeps the warning filters to restore after them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    threads: int = 0
    saved: warnings.catch_warnings | None = None


_QUIET = _Quiet()


def _drop(_: logging.LogRecord) -> bool:
    return False


@contextmanager
def quietly() -> Iterator[None]:
    """Hides the warnings and log records of decoders in a ``with`` block, in any number of threads.

    `warnings.catch_warnings` alone is not safe for threads. If two threads enter it and the first
    one to enter is also the first one to leave, warnings stay off.
    """
    with _QUIET.lock:
        if _QUIET.threads == 0:
            _QUIET.saved = warnings.catch_warnings()
            _QUIET.saved.__enter__()
            warnings.simplefilter("ignore")
            logging.getLogger("tifffile").addFilter(_drop)
        _QUIET.threads += 1
    try:
        yield
    finally:
        with _QUIET.lock:
            _QUIET.threads -= 1
            if _QUIET.threads == 0 and _QUIET.saved is not None:
                _QUIET.saved.__exit__(None, None, None)
                logging.getLogger("tifffile").removeFilter(_drop)


@contextmanager
def reading(what: object, remedy: str = "export it again") -> Iterator[None]:
    """Hides the warnings of decoders in a ``with`` block, and turns exceptions into `InputError`.

    Args:
        what: The file, or the part of a file, that is read. The message begins with it.
        remedy: What the user can do. The message ends with it.

    Raises:
        InputError: The block raised an exception.
    """
    with quietly():
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{what}: cannot be read ({reason}); {remedy}.") from error


def as_slice(part: range) -> slice:
    """Converts a range of non-negative numbers to a Python slice."""
    return slice(part.start, part.stop, part.step)


def real_dtype(path: str, dtype: np.dtype) -> np.dtype:
    """Returns a type in native byte order. Raises an InputError unless it is a real number type."""
    if dtype.kind not in "buif":
        raise InputError(f"{path}: holds {dtype} values; save it as integers or floats.")
    return dtype.newbyteorder("=")


_OPEN = threading.local()
_INHERITED: list[object] = []


def reader_of(source: Source) -> Reader:
    """Returns the reader of a source in the calling thread. Opens the file at the first use.

    Equal sources share one reader. For example, all unpickled copies of a volume share it.
    """
    readers: OrderedDict[Source, Reader] = _OPEN.__dict__.setdefault("readers", OrderedDict())
    if source in readers:
        readers.move_to_end(source)
    else:
        readers[source] = source.open()
        if len(readers) > MAX_OPEN:
            readers.popitem(last=False)[1].close()
    return readers[source]


def _leave_to_parent() -> None:
    """Makes a forked process open its own files.

    A forked process inherits the open files of its parent, but the two share the file positions.
    The inherited files are not used and not closed. Closing them would wait for decoding threads
    that exist only in the parent.
    """
    _INHERITED.append(_OPEN.__dict__.pop("readers", None))
    _QUIET.lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_leave_to_parent)
