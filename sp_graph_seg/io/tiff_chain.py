"""Detects damaged TIFFs that a decoder would read without end or would fill with zeros."""

import math
import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from sp_graph_seg.errors import InputError

if TYPE_CHECKING:
    from tifffile import TiffFrame, TiffPage


def check_chain(path: str | os.PathLike[str]) -> None:
    """Refuses a TIFF whose chain of pages leads back to an earlier page.

    A decoder would read such a file without end. Other damage is left to the decoder.

    Args:
        path: The file.

    Raises:
        InputError: The chain of pages has no end.
    """
    seen: set[int] = set()
    with open(path, "rb") as file:
        for offset in _offsets(file):
            if offset in seen:
                raise InputError(
                    f"{path}: is damaged, because page {len(seen)} leads back to an earlier page; "
                    "copy or export it again."
                )
            seen.add(offset)


def check_strips(what: str, page: "TiffPage | TiffFrame") -> None:
    """Refuses a TIFF page that stores fewer strips or tiles than its size requires.

    Args:
        what: The name of the file or the page, for the error message.
        page: The page to check.

    Raises:
        InputError: Strips or tiles are missing.
    """
    needed, present = math.prod(page.keyframe.chunked), len(page.dataoffsets)
    if present < needed:
        raise InputError(
            f"{what}: is damaged, because it has only {present} of {needed} strips or tiles; copy "
            "or export it again."
        )


def _offsets(file: BinaryIO) -> Iterator[int]:
    """Yields the position of each page in the file, up to the end or the first damage.

    The function reads TIFF (TIFF 6.0, section 2) and BigTIFF.
    """
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    is_big = head[2:4] in (b"+\0", b"\0+")
    count, tag, pointer = ("Q", 20, "Q") if is_big else ("H", 12, "I")
    try:
        (offset,) = struct.unpack_from(order + pointer, head, 8 if is_big else 4)
        while offset:
            yield offset
            file.seek(offset)
            (tags,) = struct.unpack(order + count, file.read(struct.calcsize(count)))
            file.seek(tags * tag, os.SEEK_CUR)
            (offset,) = struct.unpack(order + pointer, file.read(struct.calcsize(pointer)))
    except (struct.error, OSError, OverflowError, ValueError):
        return
