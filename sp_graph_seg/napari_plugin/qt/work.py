"""Long work in a thread, which can be stopped whenever it reports."""

from collections.abc import Callable
from typing import Any

from napari.qt.threading import GeneratorWorkerSignals, WorkerBase

Report = Callable[[Any], None]


class Stopped(Exception):  # noqa: N818, it is no error
    """The work was stopped by the user, or because napari ends."""


class Work(WorkerBase):
    """Calls a function in a thread. napari stops it when it ends.

    Its signals are ``yielded`` (what the function reports), ``returned``, ``errored`` (with a
    :class:`Stopped` after ``quit``), ``warned`` and ``finished``.

    Args:
        function: Called with a function to report its progress. When it reports after ``quit``, a
            :class:`Stopped` is raised there.
    """

    def __init__(self, function: Callable[[Report], Any]) -> None:
        super().__init__(SignalsClass=GeneratorWorkerSignals)
        self._function = function

    def work(self) -> Any:
        """Calls the function."""
        return self._function(self._report)

    def _report(self, value: Any) -> None:
        if self.abort_requested:
            raise Stopped
        self.yielded.emit(value)
