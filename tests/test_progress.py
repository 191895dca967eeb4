import io
import math
from types import SimpleNamespace

import pytest
from rich.console import Console

from sp_graph_seg import progress
from sp_graph_seg.progress import WorkProgress, format_seconds


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def console(is_terminal=False, width=100):
    text = io.StringIO()
    return Console(file=text, force_terminal=is_terminal, width=width, color_system=None), text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (6.6, "0:07"),
        (59.7, "1:00"),
        (754, "12:34"),
        (3599.6, "1:00:00"),
        (3723, "1:02:03"),
        (360000, "100:00:00"),
        (math.inf, "?"),
        (math.nan, "?"),
    ],
)
def test_seconds_are_read_as_on_a_clock(seconds, text):
    assert format_seconds(seconds) == text


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(clock):
    log, text = console()
    with WorkProgress(100, "slices", console=log) as work:
        for _ in range(100):
            clock.seconds += 1
            work.advance()
    assert text.getvalue().splitlines() == [
        "30 of 100 slices, 1/s, 1:10 left",
        "60 of 100 slices, 1/s, 0:40 left",
        "90 of 100 slices, 1/s, 0:10 left",
        "100 of 100 slices in 1:40, 1/s",
    ]


def test_what_was_done_before_counts_but_not_in_the_speed(clock):
    log, text = console()
    with WorkProgress(1000, "jobs", done=900, console=log) as work:
        clock.seconds += 40
        work.advance(20)
    before, first, last = text.getvalue().splitlines()
    assert before == "900 of 1000 jobs were done before"
    assert first == last == "920 of 1000 jobs, 0.5/s, 2:40 left"


def test_a_better_estimate_and_a_note_are_shown(clock):
    log, text = console()
    with WorkProgress(10, "jobs", console=log) as work:
        clock.seconds += 30
        work.advance(3, seconds_left=3600, note="2 failed")
    first, last = text.getvalue().splitlines()
    assert first == "3 of 10 jobs, 0.1/s, 1:00:00 left, 2 failed"
    assert last == "3 of 10 jobs, 0.1/s, 1:10 left, 2 failed"


def test_where_all_failed_that_is_told(clock):
    log, text = console()
    with WorkProgress(2, "jobs", console=log) as work:
        clock.seconds += 1
        work.advance(0, note="1 failed")
    assert text.getvalue() == "0 of 2 jobs, 0/s, ? left, 1 failed\n"


def test_nothing_done_leaves_no_bar(clock):
    terminal, text = console(is_terminal=True)

    def fail():
        with WorkProgress(5, "steps", console=terminal):
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fail()
    shown = text.getvalue()
    assert shown.rsplit("\x1b[2K", 1)[-1].strip() == ""  # erased at last
    assert shown.rfind("\x1b[?25h") >= shown.rfind("\x1b[?25l")  # the cursor is visible again


def test_nothing_done_leaves_no_line(clock):
    log, text = console()
    with WorkProgress(5, "jobs", done=2, console=log):
        clock.seconds += 100
    assert text.getvalue() == "2 of 5 jobs were done before\n"


def test_a_quiet_program_shows_nothing_and_logs_all(clock, capsys):
    lines = []
    with progress.progress_lines(lines.append, is_shown=False), WorkProgress(2, "jobs") as work:
        clock.seconds += 31
        work.advance()
        clock.seconds += 31
        work.advance()
    assert capsys.readouterr() == ("", "")
    assert lines == ["1 of 2 jobs, 0.0323/s, 0:31 left", "2 of 2 jobs in 1:02, 0.0323/s"]


def test_no_time_at_all_is_no_division_by_zero(clock):
    log, text = console()
    with WorkProgress(1, "jobs", console=log) as work:
        work.advance()
    assert text.getvalue().startswith("1 of 1 jobs in 0:00, ")


def test_an_error_passes_and_leaves_what_was_done(clock):
    log, text = console()

    def fail():
        with WorkProgress(4, "jobs", console=log) as work:
            clock.seconds += 2
            work.advance()
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fail()
    assert text.getvalue() == "1 of 4 jobs, 0.5/s, 0:06 left\n"


@pytest.mark.parametrize("width", [100, 30])
def test_a_terminal_shows_a_bar(clock, width):
    terminal, text = console(is_terminal=True, width=width)
    with WorkProgress(8, "slices", done=2, console=terminal) as work:
        clock.seconds += 4
        work.advance(2, note="1 failed")
    last = " ".join(text.getvalue().rsplit("\x1b[2K", 1)[-1].split())
    for part in ("4/8", "slices, 0.5/s,", "0:08 left", "1 failed"):
        assert part.split()[0] in last
    assert "4 of 8" not in last  # no line for a log


def test_by_default_it_is_standard_error(clock, capsys):
    with WorkProgress(1, "jobs") as work:
        clock.seconds += 2
        work.advance()
    assert capsys.readouterr() == ("", "1 of 1 jobs in 0:02, 0.5/s\n")


def test_reports_at_the_start_and_after_each_advance():
    seen = []
    report = lambda *counts: seen.append(counts)  # noqa: E731
    with WorkProgress(5, "slices", done=1, report=report) as progress:
        progress.advance(3)
        progress.advance()
    assert seen == [(1, 5), (4, 5), (5, 5)]


def test_what_a_report_raises_ends_the_work():
    def stop(done, total):
        raise KeyError(done)

    with pytest.raises(KeyError, match="2"), WorkProgress(5, "slices", done=2, report=stop):
        pytest.fail("the work began")
