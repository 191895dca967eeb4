"""A file that tells of a full disk only after HDF5 has let go of it."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LateFailure(io.FileIO):
    """A file whose writes never fail.

    When a disk was full, HDF5 2.0.0 (h5py 3.16) could not close its file and then crashed the
    whole process (segmentation fault). So it is told of no failure: the first one is kept, what
    comes after it is dropped, and `tell_failure` raises it.
    """

    failure: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Write all of the data, or note the failure."""
        rest = memoryview(data).cast("B")
        while rest and self.failure is None:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file, or note the failure."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return self.tell() if size is None else size

    def tell_failure(self) -> None:
        """Raise the first failure, if there was one."""
        if self.failure is not None:
            raise self.failure


@contextmanager
def late_failure(path: str | os.PathLike[str]) -> Iterator[LateFailure]:
    """Open a new file to write and read; a failure is raised when it is closed.

    Args:
        path: The file, replaced if it exists.

    Yields:
        The file.

    Raises:
        OSError: Something could not be written.
    """
    with LateFailure(Path(path), "w+") as file:
        yield file
    file.tell_failure()
