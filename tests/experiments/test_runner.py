import dataclasses

import numpy as np
import pytest

from sp_graph_seg.errors import InputError, OutputError
from sp_graph_seg.experiments import Method, jobs, make_jobs, runner
from sp_graph_seg.experiments.runner import _Estimate, run_missing


@pytest.fixture
def calls(monkeypatch):
    """A method that takes no time; the jobs that it did, as (seed, setting)."""
    done = []

    def label(self, image, superpixels, setting, seed):
        done.append((seed, setting))
        return np.int64(image[0] > 0.1 * setting), {}

    monkeypatch.setattr(Method, "label", label)
    return done


@pytest.fixture
def six(photos, quick, tmp_path, calls):
    """Six jobs on one image."""
    method = Method(name="m", kind="KMeans-Pixels", settings=(2.0, 3.0), config=quick)
    return list(make_jobs(photos[:1], [method], range(3), tmp_path / "out"))


def test_jobs_are_done_once(six, calls):
    assert run_missing(six[:2], workers=0) == {}
    assert run_missing(six, workers=0) == {}
    assert calls == [(job.seed, job.setting) for job in six]
    assert all(job.result() for job in six)


def test_where_nothing_is_missing_no_worker_starts(six, monkeypatch, capsys):
    run_missing(six, workers=0)
    capsys.readouterr()
    monkeypatch.setattr(runner, "map_unordered", None)
    monkeypatch.setattr(runner, "count_workers", None)
    assert run_missing(six) == {}
    assert capsys.readouterr().err == ""


def fail(monkeypatch, seed, times):
    """Lets the jobs of a seed fail so many times each."""
    label, failed = Method.label, []

    def fail_at_first(self, image, superpixels, setting, own_seed):
        if own_seed == seed and failed.count(setting) < times:
            failed.append(setting)
            raise MemoryError("no\nroom") if setting == 2.0 else ZeroDivisionError
        return label(self, image, superpixels, setting, own_seed)

    monkeypatch.setattr(Method, "label", fail_at_first)
    return failed


def test_jobs_that_fail_are_listed_and_the_others_done(six, calls, monkeypatch, capsys):
    failed = fail(monkeypatch, seed=1, times=9)
    assert run_missing(six, workers=0) == {six[2]: "no room", six[3]: "ZeroDivisionError"}
    assert failed == [2.0, 3.0, 2.0, 3.0]  # each is tried twice
    assert [job.result() is None for job in six] == [job.seed == 1 for job in six]
    assert "4 of 6 jobs" in capsys.readouterr().err


def test_a_job_that_fails_once_is_done_in_the_second_try(six, monkeypatch, capsys):
    fail(monkeypatch, seed=1, times=1)
    assert run_missing(six, workers=0) == {}
    assert all(job.result() for job in six)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("6 of 6 jobs")
    assert "failed" not in last


def test_a_full_disk_stops_the_run_and_keeps_what_is_done(six, calls, monkeypatch):
    write, written = jobs.write_labels, []

    def write_two(path, labels):
        if "seed" not in path.name:  # superpixels
            return write(path, labels)
        if len(written) == 2:
            raise OutputError(f"{path}: cannot be written (No space left on device); make room")
        written.append(path)
        return write(path, labels)

    monkeypatch.setattr(jobs, "write_labels", write_two)
    with pytest.raises(OutputError, match=r"2-seed1-.*\.png: cannot be written \(No space"):
        run_missing(six, workers=0)
    assert len(calls) == 3
    assert [job.result() is not None for job in six] == [True, True, False, False, False, False]
    monkeypatch.setattr(jobs, "write_labels", write)
    assert run_missing(six, workers=0) == {}
    assert len(calls) == 7  # only the one that could not be written was done twice


def test_results_that_a_worker_wrote_elsewhere_are_failures(six, monkeypatch, tmp_path):
    def run_elsewhere(job):
        return dataclasses.replace(job, folder=tmp_path / "of the worker").run()

    monkeypatch.setattr(runner, "run_job", run_elsewhere)
    (reason,) = run_missing(six[:1], workers=0).values()
    assert reason.startswith(f"{six[0].labels_file}: was written by a worker")
    assert "use a folder that all machines share" in reason


def test_a_negative_number_of_workers_is_refused(six, calls):
    with pytest.raises(InputError, match="workers=-1"):
        run_missing(six, workers=-1)
    assert calls == []


def test_the_estimate_knows_how_long_each_method_takes(photos, quick, tmp_path):
    fast, slow = (
        Method(name=name, kind="KMeans-Pixels", settings=(2.0, 3.0, 4.0), config=quick)
        for name in ("fast", "slow")
    )
    work = list(make_jobs(photos[:1], [fast, slow], [0], tmp_path))
    estimate = _Estimate(work, at_once=2)
    assert estimate.seconds_left() is None
    estimate.add(work[0], 2.0)  # of the slow ones nothing is known: they count as the fast ones
    assert estimate.seconds_left() == pytest.approx((2 * 2 + 3 * 2) / 2)
    estimate.add(work[3], 10.0)
    assert estimate.seconds_left() == pytest.approx((2 * 2 + 2 * 10) / 2)
    estimate.add(work[1], 4.0)
    assert estimate.seconds_left() == pytest.approx((1 * 3 + 2 * 10) / 2)
    for job in (work[2], *work[4:]):
        estimate.add(job, 1.0)
    assert estimate.seconds_left() == 0
