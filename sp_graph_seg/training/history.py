"""What happened in training, step by step."""

import csv
import io
from collections.abc import Iterator
from typing import TypedDict


class Step(TypedDict):
    """One optimisation step; a loss that has no weight in Eq. 9 is ``nan``."""

    step: int
    epoch: int
    loss: float
    rec: float
    cut: float
    sim: float
    con: float
    num_labels: int
    seconds: float


COLUMNS: tuple[str, ...] = tuple(Step.__annotations__)


class History:
    """The steps of a training, as a table.

    ``history["loss"]`` is one column as a list, ``len(history)`` the number of steps, and
    iteration yields the rows.

    Columns: ``step`` and ``epoch`` count from 1; ``loss`` is Eq. 9; ``rec``, ``cut``, ``sim`` and
    ``con`` its terms before weighting, each the mean over the images; ``num_labels`` the number of
    labels that nodes of any image have; ``seconds`` since the start.
    """

    def __init__(self) -> None:
        self._rows: list[Step] = []

    def append(self, row: Step) -> None:
        """Adds a step."""
        self._rows.append(row)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._rows)

    def __getitem__(self, column: str) -> list[float]:
        return [row[column] for row in self._rows]  # type: ignore[literal-required]

    def to_csv(self) -> str:
        """The table as comma-separated text with a header."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        return text.getvalue()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} steps)"
