"""The history of a training: its losses in every step."""

import csv
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sp_graph_seg.io.files import to_csv
from sp_graph_seg.progress import WorkProgress
from sp_graph_seg.training.losses import LOSSES

#: One optimisation step by column; columns that a training does not have are ``nan``.
Step = dict[str, float]

#: Names of the losses of Eq. 9 in plots.
TERMS: dict[str, str] = {name: loss.title for name, loss in LOSSES.items()}

COLUMNS: tuple[str, ...] = ("step", "epoch", "loss", *TERMS, "num_labels", "seconds")


class History:
    """The steps of a training, as a table with one row for each step.

    ``history["loss"]`` is a column of the table, as a list. ``len(history)`` is the number of
    steps. ``for row in history`` iterates over the rows.

    The columns are:

    * ``step`` and ``epoch``: the numbers of the step and the epoch, starting at 1.
    * ``loss``: the total loss that the training minimises, such as Eq. 9.
    * Each name in :data:`~sp_graph_seg.training.LOSSES`: a term of the total loss, averaged over
      the images, before it is multiplied by its weight.
    * ``num_labels``: the number of different labels in all images together.
    * ``seconds``: the time since the start.

    Attributes:
        labels: All labels that occur in at least one image in the last step. It is empty if the
            labels are not known.
    """

    def __init__(self) -> None:
        self._rows: list[Step] = []
        self.labels: tuple[int, ...] = ()

    def append(self, row: Step) -> Step:
        """Adds a step and returns its row with all columns. Missing values are ``nan``."""
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
        """The time from the start to the end of the last step. It is 0 if there is no step."""
        return self._rows[-1]["seconds"] if self._rows else 0.0

    @property
    def num_labels(self) -> float:
        """The number of labels in the last step.

        It is infinite before the first step, and ``nan`` if the number is not known.
        """
        return self._rows[-1]["num_labels"] if self._rows else math.inf

    def last_losses(self) -> dict[str, float]:
        """Returns the losses of the last step by name.

        Losses that are NaN or Inf are left out. A loss without a weight is NaN.
        """
        last = {name: self._rows[-1][name] for name in TERMS} if self._rows else {}
        return {name: loss for name, loss in last.items() if math.isfinite(loss)}

    @classmethod
    def from_csv(cls, text: str) -> "History":
        """Makes a history from the text that :meth:`to_csv` returned."""
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
    """Formats the losses and number of labels of a step, as in ``loss 1.23 rec 0.500 9 labels``."""
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
    """Shows the progress of a training inside a ``with`` block.

    Yields a function to call after every step. If nothing is to be shown, yields ``None``.
    """
    if not is_shown:
        yield None
        return
    with WorkProgress(total, "steps") as bar:
        yield lambda step: bar.advance(note=describe_step(step))
