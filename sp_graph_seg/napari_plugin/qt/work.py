"""Runs long work in a thread. The work can be stopped whenever it reports its progress."""

from collections.abc import Callable
from typing import Any

from napari.qt.threading import GeneratorWorkerSignals, WorkerBase

Report = Callable[[Any], None]


class Stopped(Exception):  # noqa: N818, it is no error
    """Raised inside the work if the user stops it, or if napari is closed."""


class Work(WorkerBase):
    """A worker that runs one function in a thread.

    The signal ``yielded`` carries each progress report of the function. ``returned`` carries its
    result, ``errored`` its exception, and ``warned`` its warnings. ``finished`` is emitted at the
    end in any case. After a call of ``quit``, or when napari is closed, the next progress report
    raises :class:`Stopped` inside the function.

    Args:
        function: The function to run. Its only argument is another function, which it calls with
            each progress report.
    """

    def __init__(self, function: Callable[[Report], Any]) -> None:
        super().__init__(SignalsClass=GeneratorWorkerSignals)
        self._function = function

    def work(self) -> Any:
        """Runs the function and returns its result. The worker calls this in its thread."""
        return self._function(self._report)

    def _report(self, value: Any) -> None:
        if self.abort_requested:
            raise Stopped
        self.yielded.emit(value)
