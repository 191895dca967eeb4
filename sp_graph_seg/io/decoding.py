"""Helpers of all image decoders. They read headers, report errors and turn images upright."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from sp_graph_seg.errors import InputError

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF
ORIENTATION_TAG = 0x0112


def read_header(path: str | os.PathLike[str]) -> bytes:
    """Reads the first bytes of a file, which identify its format.

    Args:
        path: The file.

    Returns:
        The first 32 bytes of the file, or all bytes of a shorter file.

    Raises:
        InputError: The file is missing or empty, cannot be opened, or is a folder, a pipe or a
            device.
    """
    if Path(path).is_dir():
        raise InputError(f"{path}: is a folder; give a file in this folder.")
    if Path(path).exists() and not Path(path).is_file():  # reading it might not end
        raise InputError(f"{path}: is a pipe or a device; write its contents to a file first.")
    try:
        with open(path, "rb") as file:
            header = file.read(32)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror}); check the path.") from error
    if not header:
        raise InputError(f"{path}: is empty (0 bytes); copy or export it again.")
    return header


@contextmanager
def decoding(path: str | os.PathLike[str]) -> Iterator[None]:
    """Silences image decoders in a ``with`` block, and turns every exception into an `InputError`.

    Decoders report a damaged file by exceptions of many types, by warnings or, in tifffile, by log
    records. In this block, they raise an error with a message of one line instead.

    Args:
        path: The file that the block decodes. The error message names it.

    Yields:
        None.

    Raises:
        InputError: The block raised an exception.
    """

    def mute(_: logging.LogRecord) -> bool:
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(mute)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            f"{path}: takes more memory to decode than there is; make the image smaller, or export "
            "it again if it is damaged."
        ) from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}: cannot be decoded ({reason}); export it again, preferably as TIFF."
        ) from error
    finally:
        logger.removeFilter(mute)


def orient(array: np.ndarray, orientation: int) -> np.ndarray:
    """Rotates or mirrors an image so that it is upright.

    Args:
        array: The image as the file stores it, ``(C, H, W)``.
        orientation: The EXIF or TIFF orientation of the image, from 1 (upright) to 8. Other values
            count as 1.

    Returns:
        A view of the array. For orientations 5 to 8, its shape is ``(C, W, H)``. Otherwise, it is
        ``(C, H, W)``.
    """
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(1, 2)
    if orientation in (3, 4, 7, 8):
        array = array[:, ::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, :, ::-1]
    return array
