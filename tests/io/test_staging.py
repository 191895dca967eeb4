"""Results get their places together, and interrupted work goes on."""

import os

import pytest

from sp_graph_seg.errors import InputError, OutputError
from sp_graph_seg.io import staging
from sp_graph_seg.io.locks import locked
from sp_graph_seg.io.staging import finish_staged, staged

JOB = {"seed": 0, "range": (0.0, 1.0)}


class Stop(BaseException):
    pass


@pytest.fixture
def results(tmp_path):
    return [tmp_path / "out" / name for name in ("model", "record", "labels")]


@pytest.fixture
def work(tmp_path):
    return tmp_path / "out" / ".partial"


def make(work, results, text="new", job=JOB, overwrite=False, stop_after=None, leave_out=()):
    """A command: makes each file that is missing. Returns the names of those it made."""
    made = []
    with staged(work, results, job, overwrite) as stage:
        if stage.is_complete:
            return "complete"
        for name in stage.names:
            if not stage.file(name).exists() and name not in leave_out:
                stage.file(name).write_text(text)
                made.append(name)
            if name == stop_after:
                raise Stop
    return made


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_all_results_appear_and_nothing_else(tmp_path, work, results):
    assert make(work, results) == ["model", "record", "labels"]
    assert contents(tmp_path / "out") == dict.fromkeys(["model", "record", "labels"], "new")


def test_until_the_end_nothing_of_it_is_seen(tmp_path, work, results):
    make(work, results, "old")
    with pytest.raises(Stop):
        make(work, results, overwrite=True, stop_after="record")
    assert {path.read_text() for path in results} == {"old"}
    assert make(work, results, overwrite=True) == ["labels"]
    assert contents(tmp_path / "out") == dict.fromkeys(["model", "record", "labels"], "new")


def test_what_is_done_is_not_done_again(work, results):
    with pytest.raises(Stop):
        make(work, results, stop_after="model")
    (work / ".0123456789abcdef.png").write_text("of a killed process")
    assert make(work, results) == ["record", "labels"]
    assert not work.exists()


def test_existing_results_are_refused(work, results):
    make(work, results)
    with pytest.raises(InputError, match="model: already exists; add --overwrite"):
        make(work, results)
    assert not work.exists()


@pytest.mark.parametrize("other", [{"seed": 1}, {**JOB, "more": 1}])
def test_work_of_another_command_is_refused_or_discarded(other, work, results):
    with pytest.raises(Stop):
        make(work, results, "first", stop_after="record")
    with pytest.raises(InputError, match=r"holds unfinished work .* --overwrite to discard"):
        make(work, results, "second", job=other)
    assert contents(work)["model"] == "first"
    assert make(work, results, "second", job=other, overwrite=True) == [p.name for p in results]
    assert {path.read_text() for path in results} == {"second"}


def test_an_older_file_that_is_not_made_again_goes(work, results):
    make(work, results, "old")
    make(work, results, overwrite=True, leave_out=["record"])
    assert [path.exists() for path in results] == [True, False, True]


@pytest.mark.parametrize("step", range(1, 8))
@pytest.mark.parametrize("leave_out", [(), ("record",)])
def test_interrupted_at_any_step_of_moving(step, leave_out, work, results, monkeypatch, tmp_path):
    make(work, results, "old")
    count = 0

    def wrap(function):
        def wrapped(*args, **kwargs):
            nonlocal count
            count += 1
            if count == step:
                raise Stop
            return function(*args, **kwargs)

        return wrapped

    original = staging._finish

    def finish(folder, state):
        if state is None or "made" not in state:
            return original(folder, state)
        with monkeypatch.context() as patch:
            for name in ("replace", "unlink", "rmdir"):
                patch.setattr(os, name, wrap(getattr(os, name)))
            return original(folder, state)

    with monkeypatch.context() as patch:
        patch.setattr(staging, "_finish", finish)
        try:
            make(work, results, overwrite=True, leave_out=leave_out)
        except Stop:
            if (work / "manifest.json").exists():
                with monkeypatch.context() as inner:
                    inner.setattr(staging, "_finish", original)
                    assert make(work, results, overwrite=True) == "complete"
    finish_staged(work)
    expected = {path.name: "new" for path in results if path.name not in leave_out}
    assert contents_without(work, tmp_path / "out") == expected


def contents_without(work, folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path != work}


def test_moves_are_finished_before_another_command(work, results, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(staging, "_finish", lambda _, state: 1 / 0 if state else False)
        with pytest.raises(ZeroDivisionError):
            make(work, results, "first")
    with pytest.raises(InputError, match="model: already exists"):
        make(work, results, "second", job={"seed": 1})
    assert {path.read_text() for path in results} == {"first"}


def fail(work, results, names, error):
    """A command that makes some files and ends with an error."""
    with staged(work, results, JOB) as stage:
        stage.file("training").mkdir()
        for name in names:
            stage.file(name).write_text("new")
        raise error


@pytest.mark.parametrize(("names", "error"), [(["model"], InputError("wrong")), ([], Stop())])
def test_a_refusal_or_an_early_stop_leaves_nothing(names, error, work, results, tmp_path):
    """Also no folder that was made for the results; one that was there before stays."""
    with pytest.raises(type(error)):
        fail(work, results, names, error)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with pytest.raises(type(error)):
        fail(work, results, names, error)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_leaves_the_work(work, results):
    with pytest.raises(OutputError):
        fail(work, results, ["model"], OutputError("full"))
    assert make(work, results) == ["record", "labels"]


def test_two_at_once(work, results):
    busy = pytest.raises(InputError, match="is being written by another process")
    with staged(work, results, JOB), busy:
        in_thread(lambda: make(work, results))
    with locked(work):  # of its own process
        pass


def in_thread(call):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result()


def test_a_manifest_of_others(work, results):
    work.mkdir(parents=True)
    (work / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"cannot be read .* move or delete this folder"):
        make(work, results)
