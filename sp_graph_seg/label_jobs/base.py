"""The base classes of label formats, which are written either in order or block by block."""

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
"""Labels in the axis order of the output, as consecutive runs along its first axis.

Each item is the index on that axis at which a run starts, and the labels of the run.
"""


class Finished(NamedTuple):
    """What a finished output stores besides its labels.

    Attributes:
        shape: The shape of the array of labels.
        dtype: The type of its labels.
        provenance: The provenance, see `Manifest.provenance`.
        dataset: The dataset in an HDF5 file, None for other formats.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    provenance: dict[str, Any]
    dataset: str | None = None


class Format(ABC):
    """A format of labels.

    Attributes:
        suffixes: The suffixes of file names in this format, in lower case.
        is_folder: Whether an output is a folder, not one file.
        may_hold_more: Whether an output may hold more than labels, such as another dataset.
        is_packed: Whether the labels are compressed.
        keeps_order: Whether the axes keep the order of the input; otherwise it is z (or t), y, x.
        dataset: The default name of the dataset; None if the format has no datasets.
        package: The optional package that writes the format; None if none is needed.
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
        """Reads the provenance of a finished output.

        For any other file it raises an exception of any type.
        """

    def check(self, path: Path) -> None:
        """Reads all of a finished output; raises an exception of any type if it is damaged.

        If the format has no checksums, only the provenance is read.
        """
        self.read(path)

    def has_foreign_files(self, path: Path) -> bool:
        """Tells whether the folder of a finished output holds files that are not part of it."""
        return False


class StreamedFormat(Format):
    """A format that is written from the first slice to the last after all blocks are done."""

    @abstractmethod
    def write(self, path: Path, manifest: Manifest, found: Found, blocks: Blocks) -> None:
        """Writes the output from its blocks, with a few of them in memory at a time."""


class PiecewiseFormat(Format):
    """A format into which each block is written separately, in any order, by any process."""

    @abstractmethod
    def create(self, path: Path, manifest: Manifest) -> None:
        """Creates the output without labels, unless it exists."""

    @abstractmethod
    def write_block(
        self, path: Path, start: int, labels: np.ndarray, places: tuple[int, int, int]
    ) -> None:
        """Writes a block, and waits until it is on the disk.

        ``places`` is the order of the axes in the output, see `Geometry.places`.
        """

    @abstractmethod
    def read_block(
        self, path: Path, start: int, stop: int, places: tuple[int, int, int]
    ) -> np.ndarray:
        """Reads the labels ``(stop - start, H, W)`` of a block."""

    @abstractmethod
    def complete(self, path: Path, manifest: Manifest, found: Found) -> None:
        """Adds the provenance, and removes files that killed processes left behind."""
