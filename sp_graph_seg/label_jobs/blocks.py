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
    """The labels and the skipped slices of one block.

    Attributes:
        labels: The labels ``(n, H, W)`` of the n slices of the block.
        skipped: The numbers of the skipped slices, with the reasons.
    """

    labels: np.ndarray
    skipped: dict[int, str]


@dataclass(frozen=True)
class BlockStore(ABC):
    """The place where the finished blocks of a job are stored.

    For each finished block, there is a file in the folder of the work in progress. This file is
    written last, and it is written completely or not at all. It holds the fingerprint of the job,
    which is a hash of its manifest. A file with another fingerprint is ignored, because its block
    was made with other settings.

    Attributes:
        output: The output of the job.
        fingerprint: The fingerprint of the job.
        size: The number of slices in a block.
        places: The order of the axes in the output, see `Geometry.places`.
    """

    output: LabelOutput
    fingerprint: str
    size: int
    places: tuple[int, int, int] = (0, 1, 2)
    _suffix: ClassVar[str]

    def file(self, start: int) -> Path:
        """Returns the path of the file for the block whose first slice is ``start``."""
        return self.output.partial / f"block_{start // self.size:06}{self._suffix}"

    @abstractmethod
    def write(self, start: int, labels: np.ndarray, skipped: Mapping[int, str]) -> None:
        """Writes a block completely or not at all.

        Raises:
            OSError, InputError: The block cannot be written.
        """

    def read(self, start: int, shape: tuple[int, int, int], dtype: np.dtype) -> Block | None:
        """Reads a block and verifies all its data.

        Args:
            start: The number of the first slice of the block.
            shape: The shape of the labels of the block.
            dtype: The type of the labels.

        Returns:
            The block, or None if it is absent, damaged or belongs to another job.

        Raises:
            InputError: The file of the block exists but cannot be opened.
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
        """Reads which slices of a block were skipped and which labels occur in the block.

        Returns:
            The skipped slices and the labels, or None if the file of the block is absent, damaged
            or belongs to another job.

        Raises:
            InputError: The file of the block exists but cannot be opened.
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
            values = plane.ravel()
            differs_from_last = np.append(True, values[1:] != values[:-1])
            is_used[values[differs_from_last]] = True  # few, and so faster than all
        return {
            "fingerprint": self.fingerprint,
            "start": start,
            "skipped": dict(skipped),
            "used": np.flatnonzero(is_used[:unlabelled]).tolist(),
        }

    def _checked(self, text: str | bytes, start: int) -> dict[str, Any]:
        header = json.loads(text)
        if (header["fingerprint"], header["start"]) != (self.fingerprint, start):
            raise ValueError(
                f"{self.file(start)}: belongs to another block or job; label these slices again"
            )
        return header


class BlockFiles(BlockStore):
    """A store that keeps each block in a .npz file until the output is assembled.

    A .npz file is a ZIP archive, which stores a CRC-32 checksum of its content.
    """

    _suffix = ".npz"

    def write(self, start: int, labels: np.ndarray, skipped: Mapping[int, str]) -> None:
        """Writes a block to a separate .npz file."""
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
                    raise ValueError(
                        f"{self.file(start)}: holds data after the labels; label these slices again"
                    )
        return Block(labels, _skipped(header))

    def _header(self, start: int) -> dict[str, Any]:
        with zipfile.ZipFile(self.file(start)) as archive:
            return self._checked(archive.read(_HEADER), start)


class BlocksInPlace(BlockStore):
    """A store that writes blocks directly into the output.

    A small file marks each finished block. This file holds a CRC-32 checksum of the labels. The
    checksum reveals chunks that are lost or belong to another job.
    """

    _suffix = ".json"

    def write(self, start: int, labels: np.ndarray, skipped: Mapping[int, str]) -> None:
        """Writes the labels, and then the small file that marks the block as finished."""
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
            raise ValueError(
                f"{self.file(start)}: its checksum does not match the stored labels of slices "
                f"{start} to {stop - 1}, which were changed or damaged; label these slices again."
            )
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
    """Chooses the store for the blocks of a job.

    If the format of the output allows it, blocks are written directly into the output. Otherwise
    they are written to separate files.
    """
    is_piecewise = isinstance(output.format, PiecewiseFormat)
    return (BlocksInPlace if is_piecewise else BlockFiles)(output, fingerprint, size, places)


def _checksum(header: Mapping[str, Any], labels: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(labels).data, zlib.crc32(json.dumps(header).encode()))


def _skipped(header: Mapping[str, Any]) -> dict[int, str]:
    return {int(number): str(reason) for number, reason in header["skipped"].items()}


def _may_open(path: Path) -> bool:
    """Returns whether a file exists. Refuses a file that exists but cannot be opened."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(
            f"{path}: cannot be opened ({error.strerror}); "
            "make this file readable, or delete it so that its slices are labelled again."
        ) from error
    return True
