"""What every format gives: a description that can be pickled, and a reader that opens the file."""

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

MAX_OPEN = 4
"""Files that a thread keeps open; the one used longest ago is closed first."""

Spacing = tuple[float, float, float]


class Region(NamedTuple):
    """A part of a stored volume; one step at most differs from 1."""

    z: range
    c: range
    y: range
    x: range

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Its size (Z, C, Y, X)."""
        return len(self.z), len(self.c), len(self.y), len(self.x)


class Reader(ABC):
    """An open file. One thread alone uses it."""

    @abstractmethod
    def read_into(self, region: Region, block: np.ndarray) -> None:
        """Read a region into ``(Z, C, Y, X)``, a view with the axes of the result transposed."""

    @abstractmethod
    def problems(self, slices: range, quick: bool) -> Iterator[tuple[int, str]]:
        """Find the stored slices that cannot be used, and why; ``quick`` decodes nothing."""

    def close(self) -> None:  # noqa: B027 (most have nothing to close)
        """Close the file."""

    def __del__(self) -> None:
        self.close()


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """A volume as it is stored, with its axes in the order z, c, y, x.

    Attributes:
        path: What the user gave, for messages.
        file: The file or folder that it names.
        sizes: Z, C, Y, X.
        dtype: Type of a voxel, in native byte order.
        chunks: What is decoded together along z, y and x.
        spacing: Distance of voxels along z, y and x, or None.
        unit: Unit of the spacing, "micrometer", or None when the file does not tell it.
        stamp: Size and time of change of the file, so that a new file is opened anew.
        frame_rate: Frames a second of a video, on average.
        frame_times: When each frame of a video is shown, in seconds after the first.
    """

    path: str
    file: Path
    sizes: tuple[int, int, int, int]
    dtype: np.dtype
    chunks: tuple[int, int, int]
    spacing: Spacing | None = None
    unit: str | None = None
    stamp: tuple[int, int] = (0, 0)
    frame_rate: float | None = None
    frame_times: tuple[float, ...] | None = field(default=None, compare=False)

    @abstractmethod
    def open(self) -> Reader:
        """Open the file for the calling thread."""

    def identity(self) -> tuple[object, ...]:
        """Tell apart volumes that lie in the same files."""
        return ()

    def files(self) -> list[Path]:
        """List the files that hold the content."""
        return [self.file]


class PlaneReader(Reader):
    """A reader of files that store one slice after the other, such as pages and frames."""

    source: Source

    @abstractmethod
    def plane(self, z: int, channels: range) -> np.ndarray:
        """Decode channels of slice z: ``(c, Y, X)``, or refuse it by its file and number."""

    def read_into(self, region: Region, block: np.ndarray) -> None:
        """Decode slice after slice: one of them is held beside the result."""
        for i, z in enumerate(region.z):
            block[i] = self.plane(z, region.c)[:, as_slice(region.y), as_slice(region.x)]

    def problems(self, slices: range, quick: bool) -> Iterator[tuple[int, str]]:
        """Look at slice after slice."""
        for z in slices:
            reason = self.problem(z, quick)
            if reason is not None:
                yield z, reason

    def problem(self, z: int, quick: bool) -> str | None:
        """Say why the stored slice z cannot be used, or None; quick decodes nothing."""
        try:
            self.plane(z, range(self.source.sizes[1]))
        except InputError as error:
            return str(error)
        return None


@dataclass
class _Quiet:
    """How many threads decode at this time, and the state to restore after the last of them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    threads: int = 0
    saved: warnings.catch_warnings | None = None


_QUIET = _Quiet()


def _drop(_: logging.LogRecord) -> bool:
    return False


@contextmanager
def quietly() -> Iterator[None]:
    """Ignore the warnings and log records of decoders, in any number of threads.

    `warnings.catch_warnings` alone is not thread-safe: two threads that leave it in the order in
    which they entered would leave warnings off for good.
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
    """Read in the block: quietly, with every failure an `InputError`.

    Args:
        what: The file and its part, for the message.
        remedy: What the user can do.

    Raises:
        InputError: The block raised.
    """
    with quietly():
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{what}: cannot be read ({reason}); {remedy}") from error


def as_slice(part: range) -> slice:
    """Turn a range of numbers from 0 up into a slice."""
    return slice(part.start, part.stop, part.step)


def real_dtype(path: str, dtype: np.dtype) -> np.dtype:
    """Give the type in native byte order, or refuse one that holds no real numbers."""
    if dtype.kind not in "buif":
        raise InputError(f"{path}: holds {dtype} values; save real numbers")
    return dtype.newbyteorder("=")


_OPEN = threading.local()
_INHERITED: list[object] = []


def reader_of(source: Source) -> Reader:
    """Give this thread's reader of a source, opened at the first use.

    Volumes that were pickled and sent along with every task share it.
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
    """Open files anew in a forked process: it shares the positions in those of its parent.

    They are kept, not closed: closing would wait for decoding threads that only the parent has.
    """
    _INHERITED.append(_OPEN.__dict__.pop("readers", None))
    _QUIET.lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_leave_to_parent)
