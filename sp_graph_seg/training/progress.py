"""A live line in the terminal: where training is, and how long it will take."""

import math
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from sp_graph_seg.training.history import Step

_TERMS = ("loss", "rec", "cut", "sim", "con")


class TrainingProgress:
    """Shows each step with its loss terms, the labels in use and the time left, at last that taken.

    Args:
        total: Number of steps.
    """

    def __init__(self, total: int) -> None:
        self._progress = Progress(
            BarColumn(bar_width=None, table_column=Column(ratio=1)),  # the width that is left
            MofNCompleteColumn(),
            _TimeLeftColumn(compact=True, elapsed_when_finished=True),
            # In a narrow terminal this one column wraps, and the others stay as they are.
            TextColumn("{task.fields[terms]}", table_column=Column(no_wrap=False)),
            console=Console(stderr=True),
            expand=True,
        )
        self._task = self._progress.add_task("training", total=total, terms="")

    def __enter__(self) -> "TrainingProgress":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress.tasks[0].completed:
            self._progress.stop()
        else:  # nothing to tell: no line is left
            self._progress.live.transient = True
            self._progress.live.stop()

    def __call__(self, step: Step) -> None:
        """Shows one more step."""
        values = {name: step[name] for name in _TERMS}  # type: ignore[literal-required]
        terms = [
            f"{name} {value:.{2 if value >= 1 else 3}f}"
            for name, value in values.items()
            if not math.isnan(value)
        ]
        text = " ".join([*terms, f"{step['num_labels']} labels"])
        self._progress.update(self._task, advance=1, terms=text)


class _TimeLeftColumn(TimeRemainingColumn):
    """The time left, or at the end the time taken."""

    def render(self, task: Task) -> Text:
        return super().render(task).append("" if task.finished else " left")
