"""A panel that runs work in a thread, and shows its progress and messages."""

from collections.abc import Callable
from typing import Any

from sp_graph_seg.errors import InputError, SegmentationWarning
from sp_graph_seg.napari_plugin.qt.panel import Panel
from sp_graph_seg.napari_plugin.qt.work import Report, Stopped, Work


class WorkingPanel(Panel):
    """A panel that runs at most one long piece of work at a time.

    Attributes:
        work: The work that is running in a thread, or None if no work is running.
    """

    def __init__(self) -> None:
        super().__init__()
        self.work: Work | None = None
        self._stopped = ""

    def enable(self) -> None:
        """Enables the buttons that can be used now, and disables all others.

        Each subclass implements it. Qt's metaclass allows no abstract method.
        """
        raise NotImplementedError

    def start_work(
        self,
        text: str,
        function: Callable[[Report], Any],
        progress: Callable[[Any], None] | None,
        done: Callable[[Any], None],
        stopped: str = "Stopped.",
    ) -> None:
        """Starts to run a function in a thread.

        Args:
            text: The message to show while the function runs.
            function: The function to run. Its only argument is another function, which it calls
                with each progress report.
            progress: Called with each progress report. None if ``function`` reports no progress.
            done: Called with the result of ``function``.
            stopped: The message to show if the user stops the work.
        """
        self.work = work = Work(function)
        self._stopped = stopped
        self.say(text)
        self.bar.setRange(0, 0)  # busy, until there is a number
        if progress is not None:
            work.yielded.connect(self.guarded(progress))
        work.returned.connect(self.guarded(done))
        work.errored.connect(self.say)
        work.warned.connect(self._warn)
        work.finished.connect(self._finished)
        self.enable()
        work.start()

    def advance(self, done: int, total: int) -> None:
        """Moves the progress bar to ``done`` of ``total``."""
        self.bar.setRange(0, max(done, total))
        self.bar.setValue(done)

    def stop_work(self) -> None:
        """Asks the work to stop. It stops when it next reports its progress."""
        if self.work is not None:
            self.work.quit()
            self.say("Stopping …")

    def _finished(self) -> None:
        self.work = None
        if self.bar.maximum() == 0:
            self.bar.setRange(0, 1)
            self.bar.reset()
        self.enable()

    def guarded(self, do: Callable[[Any], None]) -> Callable[[Any], None]:
        """Wraps a function so that an error that the user can correct is shown, not raised."""

        def call(value: Any) -> None:
            try:
                do(value)
            except (InputError, OSError) as error:
                self.say(error)

        return call

    def _warn(self, warning: tuple) -> None:
        if isinstance(warning[0], SegmentationWarning):
            self.say(f"Warning: {warning[0]}")

    def say(self, message: object) -> None:
        """Shows a message below the progress bar.

        Args:
            message: A text or an exception. Errors that the user can correct are shown in red. Any
                other exception is a fault of the program, and is raised so that napari shows it.
        """
        if isinstance(message, Stopped):
            message = self._stopped
        is_error = isinstance(message, InputError | OSError)
        if isinstance(message, Exception) and not is_error:
            raise message
        self.status.setStyleSheet("color: #ff6b6b" if is_error else "")
        self.status.setText(_in_words_of_the_widget(str(message)))


def _in_words_of_the_widget(message: str) -> str:
    """Replaces the flags of the command line by what the widget has instead."""
    for flag, words in (
        ("add --overwrite or choose another --output", 'tick "replace existing results"'),
        ("--overwrite", '"replace existing results"'),
        ("another --output", "another folder"),
        ("an --output", "a folder"),
        ("repeat the same command", "press the same button"),
    ):
        message = message.replace(flag, words)
    return message
