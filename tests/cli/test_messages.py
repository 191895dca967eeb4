"""The flags of all commands, and the exit codes."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from sp_graph_seg.cli import main, terminal
from sp_graph_seg.cli.messages import report, show
from sp_graph_seg.errors import (
    FewLabelsWarning,
    InputError,
    ReportWarning,
    SegmentationWarning,
    TrainingWarning,
)
from sp_graph_seg.progress import WorkProgress


@pytest.fixture
def command(monkeypatch):
    """Replaces all commands by a function."""
    return lambda function: monkeypatch.setattr(terminal, "app", function)


def work(_):
    with WorkProgress(2, "slices", done=1) as progress:
        progress.advance()
    report("labels", "in a.tif")
    show("size", "2 x 3")
    warnings.warn("a warning", ReportWarning, stacklevel=1)
    warnings.warn("of another package", UserWarning, stacklevel=1)


def test_quiet_prints_warnings_and_what_was_asked_for(command, capsys):
    command(work)
    assert main(["info", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out == "size:    2 x 3\n"
    assert err == "sp-graph-seg: warning: a warning\n"


def test_by_default_work_and_results_are_printed(command, capsys):
    command(work)
    assert main([]) == 0
    out, err = capsys.readouterr()
    assert out == "labels:  in a.tif\nsize:    2 x 3\n"
    before, done, warning = err.splitlines()
    assert before == "1 of 2 slices were done before"
    assert done.startswith("2 of 2 slices in 0:00, ")
    assert warning == "sp-graph-seg: warning: a warning"


def test_verbose_also_prints_other_warnings_and_tracebacks(command, capsys):
    command(work)
    assert main(["--verbose"]) == 0
    assert "sp-graph-seg: warning: of another package" in capsys.readouterr().err

    def fail(_):
        raise InputError("a.tif: is missing.")

    command(fail)
    assert main(["--verbose"]) == 2
    trace = capsys.readouterr().err.splitlines()
    assert trace[0].startswith("Traceback")
    assert trace[-1] == "sp-graph-seg: error: a.tif: is missing."
    assert main([]) == 2
    assert capsys.readouterr().err == "sp-graph-seg: error: a.tif: is missing.\n"


@pytest.mark.parametrize("given", ["--log-file {}", "--log-file={}"])
def test_a_log_has_all_messages_also_of_quiet_commands(command, tmp_path, capsys, given):
    log = tmp_path / "log.txt"
    log.write_text("an earlier line\n")
    command(work)
    flags = given.format(log).split()
    assert main(["info", "--quiet", *flags]) == 0
    earlier, *lines = log.read_text().splitlines()
    assert earlier == "an earlier line"
    texts = [line.split(" ", 2)[2] for line in lines]  # without date and time
    assert texts[0] == f"sp-graph-seg info --quiet {' '.join(flags)}"
    assert texts[1] == "1 of 2 slices were done before"
    assert texts[2].startswith("2 of 2 slices in ")
    assert texts[3:] == ["labels:  in a.tif", "size:    2 x 3", "warning: a warning"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="is a disk that is always full")
def test_a_log_on_a_full_disk_is_ended(command, capsys):
    command(work)
    assert main(["info", "--log-file", "/dev/full"]) == 0
    captured = capsys.readouterr()
    assert "size:    2 x 3" in captured.out
    assert captured.err.count("--log-file: cannot be written any more (No space left") == 1


def test_a_log_has_the_traceback_of_a_fault(command, tmp_path):
    def fail(_):
        raise RuntimeError("a mistake")

    command(fail)
    with pytest.raises(RuntimeError, match="a mistake"):
        main(["--log-file", str(tmp_path / "log.txt")])
    assert "RuntimeError: a mistake" in (tmp_path / "log.txt").read_text()


def test_flags_that_cannot_be(tmp_path, capsys):
    assert main(["info", "--log-file", str(tmp_path / "none/log.txt")]) == 2
    assert "none/log.txt: cannot be written (No such file" in capsys.readouterr().err
    assert main(["info", "--quiet", "--verbose"]) == 2
    assert "--quiet: cannot be used with --verbose" in capsys.readouterr().err
    assert main(["info", "--log-file"]) == 2
    assert "--log-file: has no value" in capsys.readouterr().err


def warn_often(_):
    for _ in range(2):
        for number in range(23):
            warnings.warn("the same", TrainingWarning, stacklevel=1)
            warnings.warn(f"slice {number}", FewLabelsWarning, stacklevel=1)


def test_each_warning_is_printed_once_and_many_of_a_kind_are_counted(command, capsys, tmp_path):
    command(warn_often)
    log = tmp_path / "log.txt"
    assert main(["--log-file", str(log)]) == 0
    first = ["the same", "slice 0", "slice 1", "slice 2"]
    last = "and 20 more of the kinds above; --verbose prints all."
    expected = [f"sp-graph-seg: warning: {text}" for text in [*first, last]]
    assert capsys.readouterr().err.splitlines() == expected
    assert len(log.read_text().splitlines()) == 1 + 1 + 23
    assert main(["--verbose"]) == 0
    assert len(capsys.readouterr().err.splitlines()) == 1 + 23


def test_warnings_stay_errors_outside_of_commands(command):
    command(work)
    main(["--quiet"])
    with pytest.raises(SegmentationWarning):
        warnings.warn("a warning", SegmentationWarning, stacklevel=1)


def stop(_):
    raise KeyboardInterrupt


def terminate(_):
    raise terminal._Terminated


def lack_a_file(_):
    raise FileNotFoundError(2, "No such file", "a.tif")


@pytest.mark.parametrize(
    ("happens", "code"),
    [(lambda _: None, 0), (lack_a_file, 2), (stop, 130), (terminate, 143)],
)
def test_exit_codes(command, happens, code):
    command(happens)
    assert main([]) == code


def test_a_fault_of_the_program_exits_with_1():
    script = (
        "import sys; from sp_graph_seg.cli import main, terminal\n"
        "terminal.app = lambda _: 1 / 0\n"
        "sys.exit(main([]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"ZeroDivisionError" in done.stderr


def test_the_flags_are_in_the_help(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for flag in ("--quiet", "--verbose", "--log-file", "--limits", "130", "143"):
        assert flag in text
