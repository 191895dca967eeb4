"""What every format of labels gives: a provenance to read, and one of two ways to be written."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sp_graph_seg.label_jobs.manifest import Manifest

PROVENANCE = "sp_graph_seg"
"""The name of the provenance in an output."""

Blocks = Iterator[tuple[int, np.ndarray]]
"""Number of the first slice and labels ``(n, H, W)`` of each block, in order."""


class Finished(NamedTuple):
    """What a finished output says about itself.

    Attributes:
        shape: ``(S, H, W)``.
        dtype: The type of its labels.
        provenance: `Manifest.provenance`.
        dataset: The dataset in an HDF5 file.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    provenance: dict[str, Any]
    dataset: str | None = None


class Format(ABC):
    """A format of labels.

    Attributes:
        suffixes: Endings of its names, in lower case.
        is_folder: Whether it is a folder, not one file.
        may_hold_more: Whether other things than labels may lie in it, such as another dataset.
        is_packed: Whether the labels are compressed.
        keeps_provenance: Whether it has room for the settings.
        dataset: Name of the dataset where the user gives none; None: the format has no datasets.
        package: The optional package that writes it, if it needs one.
    """

    suffixes: tuple[str, ...] = ()
    is_folder: bool = False
    may_hold_more: bool = False
    is_packed: bool = True
    keeps_provenance: bool = True
    dataset: str | None = None
    package: str | None = None

    @abstractmethod
    def read(self, path: Path) -> Finished:
        """Reads the provenance of a finished output; whatever is raised says that it is none."""


class StreamedFormat(Format):
    """A format that is written from the first slice to the last, once all blocks are done."""

    @abstractmethod
    def write(
        self, path: Path, manifest: Manifest, skipped: Mapping[int, str], blocks: Blocks
    ) -> None:
        """Writes the output from its blocks, a few of which are in memory at a time."""


class PiecewiseFormat(Format):
    """A format into which each block is written on its own, in any order, by any process."""

    @abstractmethod
    def create(self, path: Path, manifest: Manifest) -> None:
        """Creates the output without labels, unless it is there."""

    @abstractmethod
    def write_block(self, path: Path, start: int, labels: np.ndarray) -> None:
        """Writes a block and wait until it is on the disk."""

    @abstractmethod
    def read_block(self, path: Path, start: int, stop: int) -> np.ndarray:
        """Reads the labels of a block."""

    @abstractmethod
    def complete(self, path: Path, manifest: Manifest, skipped: Mapping[int, str]) -> None:
        """Adds the provenance, and remove what was left by writers that were killed."""
