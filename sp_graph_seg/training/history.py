"""The losses of a training, step by step."""

import csv
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sp_graph_seg.io.files import to_csv
from sp_graph_seg.progress import WorkProgress
from sp_graph_seg.training.losses import LOSSES

#: One optimisation step by column; columns that a training does not have are ``nan``.
Step = dict[str, float]

#: Names of the losses in plots: those of Eq. 9, and that of slow features.
TERMS: dict[str, str] = {
    **{name: loss.title for name, loss in LOSSES.items()},
    "slow": "slow features",
}

COLUMNS: tuple[str, ...] = ("step", "epoch", "loss", *TERMS, "num_labels", "seconds")


class History:
    """The steps of a training, as a table.

    ``history["loss"]`` is one column as a list, ``len(history)`` the number of steps, and
    iteration yields the rows.

    Columns:

    * ``step``, ``epoch``: both count from 1;
    * ``loss``: the minimised sum, such as Eq. 9;
    * each name in :data:`~sp_graph_seg.training.LOSSES`, and ``slow`` (the loss of the features
      that change slowly, of a blind-spot network): the terms of ``loss`` before weighting, each
      averaged over the images;
    * ``num_labels``: the number of different labels over all images together;
    * ``seconds``: the time since the start.

    Attributes:
        labels: The labels that occur in any of the images at the last step; empty if unknown.
    """

    def __init__(self) -> None:
        self._rows: list[Step] = []
        self.labels: tuple[int, ...] = ()

    def append(self, row: Step) -> Step:
        """Adds a step and returns its row with all columns; missing values are ``nan``."""
        self._rows.append({name: row.get(name, math.nan) for name in COLUMNS})
        return self._rows[-1]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._rows)

    def __getitem__(self, column: str) -> list[float]:
        return [row[column] for row in self._rows]

    @property
    def seconds(self) -> float:
        """Time from the start to the end of the last step, in seconds; 0 before the first."""
        return self._rows[-1]["seconds"] if self._rows else 0.0

    @property
    def num_labels(self) -> float:
        """Number of labels in the last step; infinite before the first, ``nan`` if unknown."""
        return self._rows[-1]["num_labels"] if self._rows else math.inf

    def last_losses(self) -> dict[str, float]:
        """Returns the losses of the last step that have a weight and are finite, by name."""
        last = {name: self._rows[-1][name] for name in TERMS} if self._rows else {}
        return {name: loss for name, loss in last.items() if math.isfinite(loss)}

    @classmethod
    def from_csv(cls, text: str) -> "History":
        """Reads the result of :meth:`to_csv`."""
        history = cls()
        for row in csv.DictReader(text.splitlines()):
            history.append({name: float(value) for name, value in row.items() if value})
        return history

    def to_csv(self) -> str:
        """Formats the table as comma-separated text with a header."""
        return to_csv(COLUMNS, ([row[name] for name in COLUMNS] for row in self._rows))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} steps)"


def describe_step(step: Step) -> str:
    """Formats the losses of a step and its labels, such as ``loss 1.23 rec 0.500 9 labels``."""
    terms = [
        f"{name} {step[name]:.{2 if step[name] >= 1 else 3}f}"
        for name in ("loss", *TERMS)
        if not math.isnan(step.get(name, math.nan))
    ]
    if not math.isnan(step.get("num_labels", math.nan)):
        terms.append(f"{step['num_labels']} labels")
    return " ".join(terms)


@contextmanager
def show_steps(total: int, is_shown: bool) -> Iterator[Callable[[Step], None] | None]:
    """Yields a function to call after every step, or ``None`` if nothing is shown."""
    if not is_shown:
        yield None
        return
    with WorkProgress(total, "steps") as bar:
        yield lambda step: bar.advance(note=describe_step(step))
