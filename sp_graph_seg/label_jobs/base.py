"""The base classes of label formats. A format is written either in order or block by block."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sp_graph_seg.label_jobs.manifest import Found, Manifest
from sp_graph_seg.volumes.sidecar import PROVENANCE

__all__ = [
    "PROVENANCE",
    "Blocks",
    "Finished",
    "Format",
    "Found",
    "PiecewiseFormat",
    "StreamedFormat",
]

Blocks = Iterator[tuple[int, np.ndarray]]
"""Labels in the axis order of the output, in consecutive parts along the first axis.

Each item holds the index along this axis at which the part starts, and the labels of the part.
"""


class Finished(NamedTuple):
    """The properties of a finished output that can be read without its labels.

    Attributes:
        shape: The shape of the array of labels.
        dtype: The type of the labels.
        provenance: The provenance, see `Manifest.provenance`.
        dataset: The name of the dataset in an HDF5 file; None for other formats.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    provenance: dict[str, Any]
    dataset: str | None = None


class Format(ABC):
    """A file format for labels.

    Attributes:
        suffixes: The suffixes of file names in this format, in lower case.
        is_folder: Whether an output is a folder and not one file.
        may_hold_more: Whether an output may also hold other data, such as another dataset.
        is_packed: Whether the labels are compressed.
        keeps_order: Whether the axes are stored in the order of the input. If False, they are
            stored in the order z (or t), y, x.
        dataset: The default name of the dataset; None if the format has no datasets.
        package: The name of the optional package that writes the format; None if no such package is
            needed.
    """

    suffixes: tuple[str, ...] = ()
    is_folder: bool = False
    may_hold_more: bool = False
    is_packed: bool = True
    keeps_order: bool = False
    dataset: str | None = None
    package: str | None = None

    @abstractmethod
    def read(self, path: Path) -> Finished:
        """Reads the provenance, the shape and the type of a finished output.

        If the file is damaged or is not a finished output, an exception of any type is raised.
        """

    def check(self, path: Path) -> None:
        """Verifies a finished output. If it is damaged, an exception of any type is raised.

        Formats with checksums read all data. Other formats read only the provenance.
        """
        self.read(path)

    def has_foreign_files(self, path: Path) -> bool:
        """Returns whether the folder of a finished output holds files that do not belong to it."""
        return False


class StreamedFormat(Format):
    """A format whose output is written in order, from the first slice to the last.

    The writing begins after all blocks are done.
    """

    @abstractmethod
    def write(self, path: Path, manifest: Manifest, found: Found, blocks: Blocks) -> None:
        """Writes the output from all blocks. Only a few blocks are in memory at a time."""


class PiecewiseFormat(Format):
    """A format into which each block can be written separately, in any order, by any process."""

    @abstractmethod
    def create(self, path: Path, manifest: Manifest) -> None:
        """Creates an output without labels. Does nothing if the output exists."""

    @abstractmethod
    def write_block(
        self, path: Path, start: int, labels: np.ndarray, places: tuple[int, int, int]
    ) -> None:
        """Writes the labels of a block, and waits until they are on the disk.

        ``places`` is the order of the axes in the output, see `Geometry.places`.
        """

    @abstractmethod
    def read_block(
        self, path: Path, start: int, stop: int, places: tuple[int, int, int]
    ) -> np.ndarray:
        """Reads the labels of a block, an array ``(stop - start, H, W)``."""

    @abstractmethod
    def complete(self, path: Path, manifest: Manifest, found: Found) -> None:
        """Adds the provenance, and removes temporary files that killed processes left behind."""
