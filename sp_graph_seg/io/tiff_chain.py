"""Checks the chain of pages of a TIFF, which a decoder would follow for ever if it is a circle."""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from sp_graph_seg.errors import InputError


def check_chain(path: str | os.PathLike[str]) -> None:
    """Refuses a TIFF whose last page leads back to an earlier one.

    Other damage is left to the decoder.

    Args:
        path: The file.

    Raises:
        InputError: If the chain of its pages is a circle.
    """
    seen: set[int] = set()
    with open(path, "rb") as file:
        for offset in _offsets(file):
            if offset in seen:
                raise InputError(
                    f"{path}: is damaged, as page {len(seen)} leads back to an earlier page; copy "
                    "or export it again."
                )
            seen.add(offset)


def _offsets(file: BinaryIO) -> Iterator[int]:
    """Yields the position of each page: TIFF 6.0, section 2, and BigTIFF, as far as readable."""
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
