"""Stores and verifies finished blocks."""

import json
import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.durable import durable_write
from sp_graph_seg.label_jobs.base import PiecewiseFormat
from sp_graph_seg.label_jobs.manifest import Found
from sp_graph_seg.label_jobs.outputs import LabelOutput

# Measured on labels of 512 x 512 slices: level 1 compresses 3 to 16 times at 110 to 350 MB/s, level
# 6 compresses 4 to 25 times at 15 to 90 MB/s. A block is read twice and then removed: speed counts.
COMPRESSION_LEVEL = 1
_HEADER, _LABELS = "header.json", "labels.npy"


class Block(NamedTuple):
    """The labels ``(n, H, W)`` of n slices, and the skipped slices with the reasons."""

    labels: np.ndarray
    skipped: dict[int, str]


@dataclass(frozen=True)
class BlockStore(ABC):
    """The blocks of a job. Each has its own file in the folder of the work in progress.

    A block is finished when this file exists: it is written last, whole or not at all. It holds
    the fingerprint of the job, so that a block made with other settings is ignored.

    Attributes:
        output: The output of the job.
        fingerprint: The fingerprint of the job.
        size: Number of slices in a block.
        places: The order of the axes in the output, see `Geometry.places`.
    """

    output: LabelOutput
    fingerprint: str
    size: int
    places: tuple[int, int, int] = (0, 1, 2)
    _suffix: ClassVar[str]

    def file(self, start: int) -> Path:
        """Returns the file of the block that starts at this slice."""
        return self.output.partial / f"block_{start // self.size:06}{self._suffix}"

    @abstractmethod
    def write(self, start: int, labels: np.ndarray, skipped: Mapping[int, str]) -> None:
        """Writes a block, whole or not at all.

        Raises:
            OSError, InputError: The block cannot be written.
        """

    def read(self, start: int, shape: tuple[int, int, int], dtype: np.dtype) -> Block | None:
        """Reads a block and verifies all of it.

        Args:
            start: The number of its first slice.
            shape: The shape of its labels.
            dtype: The type of its labels.

        Returns:
            The block, or None if it is absent, damaged or belongs to another job.

        Raises:
            InputError: Its file exists but cannot be opened.
        """
        if not _may_open(self.file(start)):
            return None
        try:
            block = self._read(start, shape[0])
        except MemoryError:
            raise
        except Exception:  # damage has many forms; the block is always labelled again
            return None
        return block if (block.labels.shape, block.labels.dtype) == (shape, dtype) else None

    def found(self, start: int) -> Found | None:
        """Reads which slices of a block were skipped and which labels occur in it.

        Returns:
            The skipped slices and the labels, or None if the file of the block is absent, damaged
            or belongs to another job.

        Raises:
            InputError: The file exists but cannot be opened.
        """
        if not _may_open(self.file(start)):
            return None
        try:
            header = self._header(start)
            return Found(_skipped(header), tuple(map(int, header["used"])))
        except Exception:
            return None

    @abstractmethod
    def _read(self, start: int, count: int) -> Block: ...

    @abstractmethod
    def _header(self, start: int) -> dict[str, Any]: ...

    def _new_header(
        self, start: int, labels: np.ndarray, skipped: Mapping[int, str]
    ) -> dict[str, Any]:
        unlabelled = int(np.iinfo(labels.dtype).max)
        is_used = np.zeros(unlabelled + 1, bool)
        for plane in labels:
            is_used[plane] = True
        return {
            "fingerprint": self.fingerprint,
            "start": start,
            "skipped": dict(skipped),
            "used": np.flatnonzero(is_used[:unlabelled]).tolist(),
        }

    def _checked(self, text: str | bytes, start: int) -> dict[str, Any]:
        header = json.loads(text)
        if (header["fingerprint"], header["start"]) != (self.fingerprint, start):
            raise ValueError("the file belongs to another block or job; label its slices again")
        return header


class BlockFiles(BlockStore):
    """Blocks that are kept in .npz files until the output is assembled.

    The checksum is the CRC-32 that a ZIP archive stores for each member.
    """

    _suffix = ".npz"

    def write(self, start: int, labels: np.ndarray, skipped: Mapping[int, str]) -> None:
        """Writes the block into a file of its own."""
        with (
            durable_write(self.file(start)) as temporary,
            zipfile.ZipFile(
                temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL
            ) as archive,
        ):
            archive.writestr(_HEADER, json.dumps(self._new_header(start, labels, skipped)))
            with archive.open(_LABELS, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, labels, allow_pickle=False)

    def _read(self, start: int, count: int) -> Block:
        with zipfile.ZipFile(self.file(start)) as archive:
            header = self._checked(archive.read(_HEADER), start)
            with archive.open(_LABELS) as member:
                labels = np.lib.format.read_array(member, allow_pickle=False)
                if member.read(1):  # the checksum is compared at the end
                    raise ValueError("the file holds data after the labels; label its slices again")
        return Block(labels, _skipped(header))

    def _header(self, start: int) -> dict[str, Any]:
        with zipfile.ZipFile(self.file(start)) as archive:
            return self._checked(archive.read(_HEADER), start)


class BlocksInPlace(BlockStore):
    """Blocks that are written into the output; a small file marks each finished one.

    The small file holds a CRC-32 checksum of the labels. It reveals chunks that are lost or belong
    to another job.
    """

    _suffix = ".json"

    def write(self, start: int, labels: np.ndarray, skipped: Mapping[int, str]) -> None:
        """Writes the labels, then the file that marks them as finished."""
        self._format.write_block(self.output.assembled, start, labels, self.places)
        header = self._new_header(start, labels, skipped)
        header["crc32"] = _checksum(header, labels)
        with durable_write(self.file(start)) as temporary:
            temporary.write_text(json.dumps(header), encoding="utf-8")

    def _read(self, start: int, count: int) -> Block:
        header = self._header(start)
        stop = start + count
        labels = self._format.read_block(self.output.assembled, start, stop, self.places)
        if header.pop("crc32") != _checksum(header, labels):
            raise ValueError("the labels do not match their checksum; label these slices again")
        return Block(labels, _skipped(header))

    def _header(self, start: int) -> dict[str, Any]:
        return self._checked(self.file(start).read_bytes(), start)

    @property
    def _format(self) -> PiecewiseFormat:
        assert isinstance(self.output.format, PiecewiseFormat)
        return self.output.format


def block_store(
    output: LabelOutput, fingerprint: str, size: int, places: tuple[int, int, int]
) -> BlockStore:
    """Makes the store of a job's blocks.

    Blocks are written into the output if its format allows that, otherwise into separate files.
    """
    is_piecewise = isinstance(output.format, PiecewiseFormat)
    return (BlocksInPlace if is_piecewise else BlockFiles)(output, fingerprint, size, places)


def _checksum(header: Mapping[str, Any], labels: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(labels).data, zlib.crc32(json.dumps(header).encode()))


def _skipped(header: Mapping[str, Any]) -> dict[int, str]:
    return {int(number): str(reason) for number, reason in header["skipped"].items()}


def _may_open(path: Path) -> bool:
    """Returns whether a file exists; refuses one that exists but cannot be opened."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(
            f"{path}: cannot be opened ({error.strerror}); "
            "make it readable, or delete it to label its slices again."
        ) from error
    return True
