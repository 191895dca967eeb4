"""Writes files safely: leaves no incomplete files and replaces no file without permission."""

import csv
import io
import os
import platform
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sp_graph_seg.errors import InputError, OutputError

#: Start of the names of temporary files, which the number of the process follows.
_OWN = f".sp_graph_seg-{platform.node()}-"

#: Folders in which temporary files of killed processes were looked for.
_TIDIED: set[Path] = set()


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Writes a file completely or not at all.

    The ``with`` block writes to a temporary file beside ``path``. If the block succeeds, the
    temporary file replaces ``path``. If the block fails, the temporary file is removed and ``path``
    stays unchanged. Temporary files that killed processes of this machine left in the folder are
    also removed.

    Args:
        path: The file to write. Its folder must exist.

    Yields:
        The path of an empty temporary file in the same folder. It has the same suffix as ``path``
        and the usual permissions of a new file (umask).

    Raises:
        OutputError: The file cannot be written, for example because its folder is missing or
            read-only, or because the disk is full. Only an `OSError` in the block is turned into
            this error. Other exceptions are raised unchanged.
    """
    path = Path(path)
    temporary = path.parent / f"{_OWN}{os.getpid()}-{secrets.token_hex(8)}{path.suffix}"
    try:
        _remove_left(path.parent)
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        try:
            yield temporary
            temporary.chmod(mode)  # a writer may have replaced it by a private file
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "choose a folder that exists, is writable and has free space."
        ) from error


def _remove_left(folder: Path) -> None:
    """Removes the temporary files of dead processes from a folder.

    Only the first call for a folder does this. Later calls in the same process do nothing.
    """
    folder = folder.absolute()
    if folder in _TIDIED or os.name == "nt":
        return
    _TIDIED.add(folder)
    for path in folder.glob(f"{_OWN}*"):
        number, _, _ = path.name.removeprefix(_OWN).partition("-")
        if number.isdigit() and not _is_alive(int(number)):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        pass
    return True


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file (UTF-8) completely or not at all.

    Args:
        path: The file to write. Its folder must exist.
        text: The content of the file.

    Raises:
        OutputError: The file cannot be written, see :func:`atomic_write`.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def to_csv(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Formats a table as comma-separated text.

    Args:
        columns: The header of each column.
        rows: The values of each row, in the order of the columns.

    Returns:
        The text, with one line for the headers and one line for each row.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Creates a folder if it is missing, and checks that files can be written to it.

    Call this before long work starts.

    Args:
        folder: The folder. Missing parent folders are also created.

    Raises:
        OutputError: The folder cannot be created or written to.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written to ({error.strerror or error}); choose another folder."
        ) from error


def check_room(folder: str | os.PathLike[str], nbytes: int) -> None:
    """Checks that the disk has enough free space for results.

    Call this before long work starts.

    Args:
        folder: An existing folder, to which the results will be written.
        nbytes: The size of the results in bytes.

    Raises:
        OutputError: The free space is smaller than the results.
    """
    free = shutil.disk_usage(folder).free
    if free < nbytes:
        raise OutputError(
            f"{folder}: {format_size(free)} are free, but {format_size(nbytes)} are needed; "
            "delete other files or choose an --output on another disk."
        )


def format_size(nbytes: float) -> str:
    """Formats a number of bytes as text in kB, MB, GB or TB, such as ``1.5 GB``."""
    size = nbytes / 1000
    for unit in ("kB", "MB", "GB"):
        if size < 999.5:  # which would be rounded to 1e+03
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def refuse_existing(paths: Iterable[str | os.PathLike[str]], overwrite: bool = False) -> None:
    """Raises an error if a file already exists and must not be replaced.

    Args:
        paths: The files that will be written.
        overwrite: Whether existing files may be replaced. If True, nothing is checked. Default:
            False.

    Raises:
        InputError: One of the files exists and ``overwrite`` is False. The message names the first
            existing file.
    """
    existing = None if overwrite else next((path for path in paths if Path(path).exists()), None)
    if existing is not None:
        raise InputError(f"{existing}: already exists; add --overwrite or choose another --output.")
