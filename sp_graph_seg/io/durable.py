"""Writes files durably: a file gets its final name only after its content is on the disk."""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sp_graph_seg.io.files import atomic_write


@contextmanager
def durable_write(path: Path) -> Iterator[Path]:
    """Writes a file like `atomic_write`, and waits until the file is on the disk.

    After this, the file survives a power failure.

    Args:
        path: The file to write. Its folder must exist.

    Yields:
        The path of the temporary file, into which the ``with`` block writes the content.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_write(path) as temporary:
        yield temporary
        sync(temporary)
    sync(path.parent)


def sync(path: Path) -> None:
    """Waits until the content of a file, or the list of files in a folder, is on the disk.

    On Windows, this function does nothing.
    """
    if os.name == "nt":  # Windows cannot open folders, nor sync files that are open for reading
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Waits until a file, or a folder and everything in it, is on the disk."""
    for folder, _, names in os.walk(path):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))
    if path.is_file():
        sync(path)


def remove(path: Path) -> None:
    """Removes a file, or a folder and everything in it. Does nothing if the path is missing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_empty_folder(path: Path) -> bool:
    """Returns whether a path is a folder that exists and is empty."""
    return path.is_dir() and next(path.iterdir(), None) is None


class LateFailure(io.FileIO):
    """A file that reports failed writes only at the end of its ``with`` block.

    Until the end of the block, every write appears to succeed. The class was made for HDF5. On a
    full disk, HDF5 2.0.0 (h5py 3.16) could not close its file, and then crashed the whole process
    (segmentation fault). So HDF5 must not see a failed write. This class keeps the first exception
    and drops all later data. The end of the block calls `tell_failure`, which raises the exception.
    """

    failure: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Writes all data. If this fails, keeps the exception instead of raising it."""
        rest = memoryview(data).cast("B")
        while rest and self.failure is None:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Sets the size of the file. If this fails, keeps the exception instead of raising it."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return self.tell() if size is None else size

    def tell_failure(self) -> None:
        """Raises the first exception that was kept. Does nothing if no write failed."""
        if self.failure is not None:
            raise self.failure

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)  # type: ignore[arg-type]
        if raised[0] is None:
            self.tell_failure()
