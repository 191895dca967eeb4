"""Durable writes: a file gets its final name only after its content has reached the disk."""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sp_graph_seg.io.files import atomic_write


@contextmanager
def durable_write(path: Path) -> Iterator[Path]:
    """Writes a file like `atomic_write`, so that it also survives a power failure.

    Args:
        path: The file to write; its folder must exist.

    Yields:
        The temporary path.

    Raises:
        InputError: The file cannot be written.
    """
    with atomic_write(path) as temporary:
        yield temporary
        sync(temporary)
    sync(path.parent)


def sync(path: Path) -> None:
    """Waits until a file, or the list of files in a folder, has reached the disk."""
    if os.name == "nt":  # Windows cannot open folders, nor sync files that are open for reading
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Waits until a file, or a folder and everything in it, has reached the disk."""
    for folder, _, names in os.walk(path):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))
    if path.is_file():
        sync(path)


def remove(path: Path) -> None:
    """Removes a file, or a folder and everything in it, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_empty_folder(path: Path) -> bool:
    """Returns whether a path is an existing, empty folder."""
    return path.is_dir() and next(path.iterdir(), None) is None


class LateFailure(io.FileIO):
    """A file whose writes always appear to succeed; errors are raised at the end of the block.

    On a full disk, HDF5 2.0.0 (h5py 3.16) could not close its file and then crashed the whole
    process (segmentation fault). So HDF5 must not see a failed write: this class keeps the first
    exception, drops all later data, and raises the exception in `tell_failure`.
    """

    failure: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Writes all of the data; keeps the exception if that fails."""
        rest = memoryview(data).cast("B")
        while rest and self.failure is None:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Sets the size of the file; keeps the exception if that fails."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return self.tell() if size is None else size

    def tell_failure(self) -> None:
        """Raises the first exception that was kept, if there is one."""
        if self.failure is not None:
            raise self.failure

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)  # type: ignore[arg-type]
        if raised[0] is None:
            self.tell_failure()
