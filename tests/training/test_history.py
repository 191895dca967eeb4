import csv
import io
import math

import pytest

from sp_graph_seg.training import History, describe_step
from sp_graph_seg.training.history import Step

COLUMNS = ["step", "epoch", "loss", "rec", "cut", "sim", "con", "num_labels", "seconds"]

ROWS = [
    Step(
        step=1,
        epoch=1,
        loss=1 / 3,
        rec=1e-9,
        cut=math.nan,
        sim=0.1 + 0.2,
        con=1e30,
        num_labels=7,
        seconds=0.5,
    ),
    Step(
        step=2,
        epoch=1,
        loss=math.inf,
        rec=math.nan,
        cut=math.nan,
        sim=0.0,
        con=-0.0,
        num_labels=1,
        seconds=12.25,
    ),
]


@pytest.fixture
def history():
    history = History()
    for row in ROWS:
        history.append(row)
    return history


def test_columns_and_rows(history):
    assert len(history) == 2
    assert list(history) == ROWS
    assert history["step"] == [1, 2]
    assert history["loss"] == [1 / 3, math.inf]
    assert history["num_labels"] == [7, 1]
    assert all(math.isnan(value) for value in history["cut"])
    assert "2 steps" in repr(history)


def test_an_unknown_column_is_a_key_error(history):
    with pytest.raises(KeyError, match="loses"):
        history["loses"]


def test_a_new_history_is_empty():
    history = History()
    assert len(history) == 0
    assert list(history) == history["loss"] == []
    assert history.to_csv() == ",".join(COLUMNS) + "\n"


def test_csv_reads_back_exactly(history):
    reader = csv.DictReader(io.StringIO(history.to_csv()))
    rows = list(reader)
    assert reader.fieldnames == COLUMNS
    assert len(rows) == len(ROWS)
    for read, row in zip(rows, ROWS, strict=True):
        assert set(read) == set(row)
        for name, value in row.items():
            assert type(value)(read[name]) == pytest.approx(value, rel=0, abs=0, nan_ok=True)
    assert rows[0]["step"] == "1"
    assert "\r" not in history.to_csv()


def test_the_last_losses_are_those_with_a_weight_and_finite(history):
    assert history.last_losses() == {"sim": 0.0, "con": -0.0}


def test_a_step_is_described_by_the_terms_with_a_weight():
    step = ROWS[1] | {"loss": 1.23456, "sim": 0.0625}
    assert describe_step(step) == "loss 1.23 sim 0.062 con -0.000 1 labels"
    assert describe_step(ROWS[0]).startswith("loss 0.333 rec 0.000 sim 0.300 con 1000")
    assert describe_step(step | {"loss": math.inf}).startswith("loss inf sim")
