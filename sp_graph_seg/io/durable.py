"""Files that are on the disk, not only in its cache, before they get their names."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sp_graph_seg.io.files import atomic_write


@contextmanager
def durable_write(path: Path) -> Iterator[Path]:
    """Write a file as `atomic_write` does, so that it also survives a power failure.

    Args:
        path: The file to write; its folder must exist.

    Yields:
        The temporary path.

    Raises:
        InputError: The file system refuses the file.
    """
    with atomic_write(path) as temporary:
        yield temporary
        sync(temporary)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file or the entries of a folder are on the disk."""
    if os.name == "nt":  # Windows opens no folder, and syncs no file that was opened to read
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Wait until a file, or a folder with all that is in it, is on the disk."""
    for folder, _, names in os.walk(path):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))
    if path.is_file():
        sync(path)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_empty_folder(path: Path) -> bool:
    """Tell whether a folder exists and holds nothing."""
    return path.is_dir() and next(path.iterdir(), None) is None
