import io
import math

import pytest
from rich.console import Console

from sp_graph_seg.training import progress
from sp_graph_seg.training.history import Step


def make_step(number, **terms):
    losses = dict.fromkeys(("loss", "rec", "cut", "sim", "con"), math.nan) | terms
    return Step(step=number, epoch=1, num_labels=10 + number, seconds=0.1, **losses)


@pytest.fixture(params=[(True, 160), (True, 70), (False, 160), (False, 70)], ids=str)
def screen(request, monkeypatch):
    """What a terminal or a file gets to see instead of standard error."""
    text = io.StringIO()
    is_terminal, width = request.param
    console = Console(file=text, force_terminal=is_terminal, width=width, color_system=None)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    return text


def last_state(screen):
    """The line as it was shown last; a terminal gets it again and again, each time cleared."""
    return screen.getvalue().rsplit("\x1b[2K", 1)[-1]


def test_the_last_line_shows_the_terms_with_a_weight_and_the_counts(screen):
    with progress.TrainingProgress(total=3) as show:
        show(make_step(1, loss=9.0, con=9.0))
        show(make_step(2, loss=1.23456, rec=0.5, sim=0.0625))
    last = last_state(screen)
    assert "2/3" in last
    assert "loss 1.23 " in last
    assert "rec 0.500" in last
    assert "sim 0.062" in last
    assert "12 labels" in last
    for absent in ("cut", "con", "nan", "9.000", "11 labels"):
        assert absent not in last


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_any_loss_can_be_shown(screen, value):
    with progress.TrainingProgress(total=1) as show:
        show(make_step(1, loss=value))
    last = last_state(screen)
    assert "1/1" in last
    assert "11 labels" in last
    assert ("loss" in last) == (not math.isnan(value))


def test_a_narrow_line_wraps_and_loses_nothing(monkeypatch):
    text = io.StringIO()
    console = Console(file=text, force_terminal=False, width=40)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    with progress.TrainingProgress(total=1000) as show:
        for number in range(1, 1001):
            show(make_step(number, loss=1.0, rec=2.0, cut=3.0, sim=4.0, con=5.0))
    shown = " ".join(text.getvalue().split())
    assert "1000/1000" in shown
    for term in ("loss 1.00", "rec 2.00", "cut 3.00", "sim 4.00", "con 5.00", "1010 labels"):
        assert term in shown


def fail_after_a_step():
    with progress.TrainingProgress(total=5) as show:
        show(make_step(1, loss=0.25))
        raise KeyError("stop")


def test_an_error_passes_and_leaves_the_last_state(screen):
    with pytest.raises(KeyError, match="stop"):
        fail_after_a_step()
    text = screen.getvalue()
    assert "1/5" in last_state(screen)
    assert text.rfind("\x1b[?25h") >= text.rfind("\x1b[?25l")  # the cursor is visible again


def test_progress_goes_to_standard_error(capsys):
    with progress.TrainingProgress(total=1) as show:
        show(make_step(1, loss=0.25))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1/1" in captured.err
