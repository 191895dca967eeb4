"""Locks between processes. The operating system releases a lock when its process ends."""

import errno
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sp_graph_seg.errors import InputError, OutputError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


#: The locks of this process, each with the thread that may take it again.
_HELD: set[tuple[Path, int]] = set()

#: What a file system answers that has no locks, such as some network drives.
_UNSUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock on a file or folder, so that only one process at a time works on it.

    The lock is held on an empty file beside the path. The name of this lock file is the name of the
    path with ``.lock`` appended. The operating system ends the lock when the process that holds it
    ends, even if the process is killed. A lock file that a killed process has left locks nothing. A
    thread that holds the lock may take it again. Some file systems, such as some network drives, do
    not support locks. On such a file system, nothing is locked.

    Args:
        path: The file or folder to work on. Its parent folder must exist.

    Raises:
        InputError: Another process holds the lock.
        OutputError: The parent folder cannot be written to.
    """
    file = path.absolute().with_name(f"{path.name}.lock")
    holder = (file, threading.get_ident())
    if holder in _HELD:
        yield
        return
    descriptor = _open_locked(file, path)
    _HELD.add(holder)
    try:
        yield
    finally:
        _HELD.remove(holder)
        if sys.platform == "win32":  # which removes no open file
            os.close(descriptor)
            _remove(file)
        else:
            _remove(file)
            os.close(descriptor)


def tidy_lock(path: Path) -> None:
    """Removes the lock file of ``path`` if a killed process has left it.

    Raises:
        InputError: Another process holds the lock.
    """
    if path.with_name(f"{path.name}.lock").exists():
        with locked(path):
            pass


def _open_locked(file: Path, path: Path) -> int:
    """Opens and locks the lock file. If another process removes it meanwhile, tries again."""
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise OutputError(
                f"{file}: cannot be written ({error.strerror}); choose a folder that is writable."
            ) from error
        try:
            _lock(descriptor)
            if sys.platform == "win32" or _is_named(descriptor, file):
                return descriptor
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return descriptor
            os.close(descriptor)
            raise InputError(
                f"{path}: is being written by another process; wait until that process has ended, "
                "or choose another --output."
            ) from error
        os.close(descriptor)


def _is_named(descriptor: int, file: Path) -> bool:
    """Returns whether the open file ``descriptor`` still has the name ``file``."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False


def _remove(file: Path) -> None:
    with suppress(OSError):  # on Windows, another process may have opened it meanwhile
        file.unlink(missing_ok=True)
