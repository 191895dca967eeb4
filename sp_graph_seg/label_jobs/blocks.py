"""One file a block: the labels of some slices, compressed, with a checksum."""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.durable import durable_write

# Measured on labels of 512 x 512 slices: level 1 packs 3 to 16 times at 110 to 350 MB/s, level 6
# 4 to 25 times at 15 to 90 MB/s. A block is read twice and then removed: speed counts.
COMPRESSION_LEVEL = 1
_HEADER, _LABELS = "header.json", "labels.npy"


class Block(NamedTuple):
    """The labels ``(n, H, W)`` of n slices, and the slices that were skipped, with the reason."""

    labels: np.ndarray
    skipped: dict[int, str]


def write_block_file(
    path: Path, fingerprint: str, start: int, labels: np.ndarray, skipped: Mapping[int, str]
) -> None:
    """Write a block, whole or not at all, as an .npz file.

    The checksum is the CRC-32 that a ZIP archive keeps of each of its members. The fingerprint
    ties the block to its job: a block of other settings does not count.

    Raises:
        InputError: The file system refuses the file.
    """
    header = {"fingerprint": fingerprint, "start": start, "skipped": dict(skipped)}
    with (
        durable_write(path) as temporary,
        zipfile.ZipFile(
            temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL
        ) as archive,
    ):
        archive.writestr(_HEADER, json.dumps(header))
        with archive.open(_LABELS, "w", force_zip64=True) as member:
            np.lib.format.write_array(member, labels, allow_pickle=False)


def read_block_file(
    path: Path, fingerprint: str, start: int, shape: tuple[int, int, int], dtype: np.dtype
) -> Block | None:
    """Read a block and verify all of it.

    Args:
        path: The file.
        fingerprint: The fingerprint of its job.
        start: The number of its first slice.
        shape: The shape of its labels.
        dtype: The type of its labels.

    Returns:
        The block, or None if the file is absent, damaged or belongs to another job.

    Raises:
        InputError: The file is there but may not be opened.
    """
    if not _may_open(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            skipped = _read_header(archive, fingerprint, start)
            with archive.open(_LABELS) as member:
                labels = np.lib.format.read_array(member, allow_pickle=False)
                rest = member.read(1)  # to the very end, where the checksum is compared
    except MemoryError:
        raise
    except Exception:  # a damaged archive fails in many ways; the remedy is always to label again
        return None
    if skipped is None or rest or labels.shape != shape or labels.dtype != dtype:
        return None
    return Block(labels, skipped)


def read_skipped(path: Path, fingerprint: str, start: int) -> dict[int, str] | None:
    """Read which slices of a block were skipped, without its labels.

    Returns:
        Slice numbers and reasons, or None as in `read_block_file`.
    """
    if not _may_open(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_header(archive, fingerprint, start)
    except Exception:
        return None


def _may_open(path: Path) -> bool:
    """Tell whether a file is there; refuse one without permission, which is not damaged."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(
            f"{path}: cannot be opened ({error.strerror}); give yourself leave to read it"
        ) from error
    return True


def _read_header(archive: zipfile.ZipFile, fingerprint: str, start: int) -> dict[int, str] | None:
    header = json.loads(archive.read(_HEADER))
    if header["fingerprint"] != fingerprint or header["start"] != start:
        return None
    return {int(key): str(reason) for key, reason in header["skipped"].items()}
