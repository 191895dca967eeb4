"""A live line in the terminal: where training is, and how long it will take."""

import math
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from sp_graph_seg.training.history import Step

_TERMS = ("loss", "rec", "cut", "sim", "con")


class TrainingProgress:
    """Shows each step with its loss terms, the labels in use and the time left, at last that taken.

    Args:
        total: Number of steps.
    """

    def __init__(self, total: int) -> None:
        self._progress = Progress(
            BarColumn(bar_width=8),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            # In a narrow terminal this one column wraps, and the others stay as they are.
            TextColumn("{task.fields[terms]}", table_column=Column(no_wrap=False)),
            console=Console(stderr=True),
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
        self._progress.stop()

    def __call__(self, step: Step) -> None:
        """Shows one more step."""
        values = {name: step[name] for name in _TERMS}  # type: ignore[literal-required]
        terms = [f"{name} {value:.3f}" for name, value in values.items() if not math.isnan(value)]
        text = " ".join([*terms, f"{step['num_labels']} labels"])
        self._progress.update(self._task, advance=1, terms=text)
