"""Prints results, warnings and errors. Can leave out some of them, and can copy all to a file."""

import logging
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from sp_graph_seg.cli.app import PROGRAM
from sp_graph_seg.errors import InputError, SegmentationWarning
from sp_graph_seg.progress import progress_lines

#: Warnings of one kind that are printed. Further ones are only counted.
_OF_A_KIND = 3


class Messages:
    """The messages of one command.

    Args:
        quiet: Print neither progress nor what was written. Warnings and errors are printed.
        verbose: Print all warnings, also those of other packages, and the traceback of an error.
        log: File that gets all messages, each with its time. Default: None.
    """

    def __init__(
        self, quiet: bool = False, verbose: bool = False, log: TextIO | None = None
    ) -> None:
        self.quiet, self.verbose = quiet, verbose
        self._log = log
        self._warned: set[str] = set()
        self._kinds: Counter[type] = Counter()

    def report(self, line: str) -> None:
        """Prints a line that says what was done."""
        self.log(line)
        if not self.quiet:
            print(line)

    def warn(self, message: Warning) -> None:
        """Prints a warning.

        A warning with the same text as an earlier warning is left out. After three warnings of one
        type, all further warnings of this type are only written to the log file, unless ``verbose``
        is true.
        """
        if str(message) in self._warned:
            return
        self._warned.add(str(message))
        self.log(f"warning: {message}")
        self._kinds[type(message)] += 1
        if self.verbose or self._kinds[type(message)] <= _OF_A_KIND:
            print(f"{PROGRAM}: warning: {message}", file=sys.stderr)

    def close(self) -> None:
        """Tells how many warnings were not printed."""
        left = sum(max(0, count - _OF_A_KIND) for count in self._kinds.values())
        if left and not self.verbose:
            print(
                f"{PROGRAM}: warning: and {left} more of the kinds above; --verbose prints all.",
                file=sys.stderr,
            )

    def fail(self, reason: object, error: BaseException | None = None) -> None:
        """Prints why the command failed."""
        line = f"error: {' '.join(str(reason).split())}"
        trace = "" if error is None else "".join(traceback.format_exception(error))
        self.log(line, trace)
        if self.verbose and trace:
            print(trace, end="", file=sys.stderr)
        print(f"{PROGRAM}: {line}", file=sys.stderr)

    def stop(self, what: str) -> None:
        """Prints that the command was interrupted or terminated."""
        self.log(what)
        print(f"{PROGRAM}: {what}", file=sys.stderr)

    def log(self, line: str, more: str = "") -> None:
        """Writes a line to the log file only. A log that cannot be written is ended."""
        if self._log is None:
            return
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        try:
            self._log.write(f"{now} {line}\n{more}")
            self._log.flush()
        except OSError as error:
            self._log = None
            reason = f"--log-file: cannot be written any more ({error.strerror})"
            print(f"{PROGRAM}: warning: {reason}; work goes on without it.", file=sys.stderr)


_CURRENT: ContextVar[Messages] = ContextVar("messages", default=Messages())  # noqa: B039, no state


def report(what: str, where: str) -> None:
    """Prints one line that says what was made and where it is."""
    _CURRENT.get().report(f"{what + ':':8} {where}")


def show(what: str, facts: str) -> None:
    """Prints one line of what the user asked to see, also with --quiet."""
    line = f"{what + ':':8} {facts}"
    _CURRENT.get().log(line)
    print(line)


@contextmanager
def open_messages(quiet: bool, verbose: bool, log_file: Path | None) -> Iterator[Messages]:
    """Prints the messages of a command in the ``with`` block as the flags of the user say.

    Raises:
        InputError: Both ``quiet`` and ``verbose`` are given, or the log file cannot be written.
    """
    if quiet and verbose:
        raise InputError("--quiet: cannot be used with --verbose; leave out one of the two.")
    with _open_log(log_file) as log:
        messages = Messages(quiet, verbose, log)
        token = _CURRENT.set(messages)
        try:
            with progress_lines(messages.log, is_shown=not quiet), _own_warnings(messages):
                yield messages
        finally:
            _CURRENT.reset(token)
            messages.close()


@contextmanager
def _open_log(file: Path | None) -> Iterator[TextIO | None]:
    if file is None:
        yield None
        return
    try:
        log = file.open("a", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"--log-file {file}: cannot be written ({error.strerror}); choose another file."
        ) from error
    try:
        yield log
    finally:
        with suppress(OSError):  # of a full disk, which was told
            log.close()


@contextmanager
def _own_warnings(messages: Messages) -> Iterator[None]:
    """Prints the warnings of this package. Prints those of other packages only if verbose."""

    def show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
        messages.warn(message if isinstance(message, Warning) else category(message))

    if not messages.verbose:
        logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default" if messages.verbose else "ignore")
            warnings.simplefilter("always", SegmentationWarning)
            warnings.showwarning = show_warning  # type: ignore[assignment]
            yield
    finally:
        logging.disable(logging.NOTSET)
