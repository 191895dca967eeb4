"""Finds damaged TIFFs that a decoder would read for ever or fill with zeros."""

import math
import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from sp_graph_seg.errors import InputError

if TYPE_CHECKING:
    from tifffile import TiffFrame, TiffPage


def check_chain(path: str | os.PathLike[str]) -> None:
    """Refuses a TIFF in which a page points back to an earlier page as the next one.

    Other damage is left to the decoder.

    Args:
        path: The file.

    Raises:
        InputError: If the chain of pages has no end.
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


def check_strips(what: str, page: "TiffPage | TiffFrame") -> None:
    """Refuses a page with fewer strips or tiles than its size needs.

    Args:
        what: The name of the file or the page, for the message.
        page: The page to check.

    Raises:
        InputError: If strips or tiles are missing.
    """
    needed, present = math.prod(page.keyframe.chunked), len(page.dataoffsets)
    if present < needed:
        raise InputError(
            f"{what}: has {present} of {needed} strips or tiles and is damaged; copy or export it "
            "again."
        )


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
