"""Shows the progress of long work, as a live bar in a terminal or as occasional lines in a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column

#: Seconds between two lines when the output is not a terminal, such as the log of a cluster job.
_BETWEEN_LINES = 30.0


class _Lines(NamedTuple):
    """Where the lines of progress go."""

    write: Callable[[str], None] | None = None
    is_shown: bool = True


_LINES: ContextVar[_Lines] = ContextVar("lines", default=_Lines())  # noqa: B039, a tuple


@contextmanager
def progress_lines(write: Callable[[str], None] | None, is_shown: bool = True) -> Iterator[None]:
    """Sends the lines of all progress in the ``with`` block to a function, such as into a log.

    Args:
        write: Function that is called with each line. If it is None, the lines are sent nowhere.
        is_shown: Whether progress is also shown on standard error. (default: :obj:`True`)
    """
    token = _LINES.set(_Lines(write, is_shown))
    try:
        yield
    finally:
        _LINES.reset(token)


class WorkProgress:
    """Shows how many items are done, and estimates the time left.

    Args:
        total: Number of items.
        unit: What the items are called, such as ``"slices"``.
        done: Number of items that were done before. They are not used to estimate the speed.
        console: Where to show the progress. (default: standard error)
        report: Called with the number of items done and their total, at the start and whenever more
            are done. An exception that it raises ends the work.
    """

    def __init__(
        self,
        total: int,
        unit: str,
        done: int = 0,
        console: Console | None = None,
        report: Callable[[int, int], None] | None = None,
    ) -> None:
        self.total, self.unit, self.done = total, unit, done
        self._before, self._report = done, report
        self._note = ""
        self._start = self._last_line = time.monotonic()
        self._console = console or Console(stderr=True, quiet=not _LINES.get().is_shown)
        self._progress = Progress(
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}", table_column=Column(no_wrap=False)),
            console=self._console,
            expand=True,
            disable=not self._console.is_terminal,
        )
        text = f"{unit}, {done} were done before" if done else unit
        self._task = self._progress.add_task(unit, total=total, completed=done, text=text)

    def __enter__(self) -> "WorkProgress":
        if self._report is not None:
            self._report(self.done, self.total)
        self._progress.start()
        if self._before:
            self._print_line(f"{self.unit} were done before")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        has_news = self.done > self._before or bool(self._note)
        self._progress.live.transient = not has_news  # leaves no empty bar behind
        self._progress.stop()
        if has_news:
            self._print_line(self._describe(None))

    def advance(self, count: int = 1, seconds_left: float | None = None, note: str = "") -> None:
        """Reports that more items are done.

        Args:
            count: Number of items done since the last call.
            seconds_left: The time left. (default: estimated from the mean speed so far)
            note: Text to append, such as the number of failures or the current losses.
        """
        self.done += count
        self.total = max(self.total, self.done)  # such as further networks of a texture
        self._note = note
        text = self._describe(seconds_left)
        self._progress.update(self._task, completed=self.done, text=text)
        is_time = time.monotonic() - self._last_line >= _BETWEEN_LINES
        if is_time and self.done < self.total:  # the last line is printed at the end
            self._print_line(text)
        if self._report is not None:
            self._report(self.done, self.total)

    def _describe(self, seconds_left: float | None) -> str:
        took = max(time.monotonic() - self._start, 1e-9)
        speed = (self.done - self._before) / took
        note = f", {self._note}" if self._note else ""
        if self.done >= self.total:
            return f"{self.unit} in {format_seconds(took)}, {speed:.3g}/s{note}"
        if seconds_left is None:
            seconds_left = (self.total - self.done) / speed if speed else float("inf")
        return f"{self.unit}, {speed:.3g}/s, {format_seconds(seconds_left)} left{note}"

    def _print_line(self, text: str) -> None:
        """Prints a line if the output is not a terminal, and writes it to the log."""
        self._last_line = time.monotonic()
        line = f"{self.done} of {self.total} {text}"
        write = _LINES.get().write
        if write is not None:
            write(line)
        if not self._console.is_terminal:
            self._console.print(line, highlight=False, soft_wrap=True)


def format_seconds(seconds: float) -> str:
    """Formats a duration as ``0:07``, ``12:34`` or ``1:02:03``, or as ``?`` if it is unknown."""
    if not seconds < float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
