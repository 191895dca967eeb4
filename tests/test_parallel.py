import os
import pickle
import signal
import socket
import time
from contextlib import contextmanager
from types import SimpleNamespace

import joblib
import pytest
import torch
from distributed import LocalCluster

from sp_graph_seg import parallel
from sp_graph_seg.errors import InputError
from sp_graph_seg.parallel import count_workers, map_unordered


def reciprocal(number):
    return 1 / number


def test_no_workers_is_this_process():
    pids = dict(map_unordered(lambda _: os.getpid(), range(3), workers=0))
    assert pids == dict.fromkeys(range(3), os.getpid())


def test_in_this_process_an_exception_comes_in_place_of_its_result():
    one, zero, two = map_unordered(reciprocal, [1, 0, 2], workers=0)
    assert (one, two) == ((1, 1.0), (2, 0.5))
    assert zero[0] == 0
    assert isinstance(zero[1], ZeroDivisionError)


def test_an_interruption_is_no_result():
    def interrupt(task):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(map_unordered(interrupt, [1], workers=0))


def test_tasks_are_taken_as_they_are_needed():
    tasks = iter(range(1, 10))
    results = map_unordered(reciprocal, tasks, workers=0)
    next(results)
    assert next(tasks) == 2


def test_workers_return_everything_though_one_is_killed(tmp_path, monkeypatch):
    """One cluster for all: starting it takes most of the time."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    killed = tmp_path / "killed"

    def work(task):  # within the test, so that it is pickled by value
        if task == 3:
            raise InputError("three: is refused")
        if task == 5 and not killed.exists():
            killed.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return task * task, os.getpid(), os.environ["OMP_NUM_THREADS"]

    results = dict(map_unordered(work, range(20), workers=2))
    refused = results.pop(3)
    assert isinstance(refused, InputError)
    assert str(refused) == "three: is refused"
    assert killed.exists()
    squares = {task: result[0] for task, result in results.items()}
    assert squares == {task: task * task for task in range(20) if task != 3}
    assert results[5][1] != int(killed.read_text())  # another worker did it
    assert os.getpid() not in {result[1] for result in results.values()}
    assert {result[2] for result in results.values()} == {"1"}


def wait_until(condition):
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("this took too long")


def test_a_scheduler_of_the_user_gives_its_workers_work():
    """Its workers are threads of this process, which start at once."""
    handed_out = []

    def tasks():
        for task in range(60):
            handed_out.append(task)
            yield task

    options = {"processes": False, "protocol": "tcp", "dashboard_address": None}
    options["scheduler_kwargs"] = {"dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=1, threads_per_worker=1, **options) as cluster:
        address = cluster.scheduler_address
        assert count_workers(None, address) == 1
        results = map_unordered(lambda task: task + 1, tasks(), scheduler=address)
        found = [next(results)]
        assert len(handed_out) == 1 + parallel._AHEAD
        cluster.scale(3)  # workers that come later get work too
        wait_until(lambda: len(cluster.scheduler.workers) == 3)
        found.append(next(results))
        assert len(handed_out) == 2 + 3 * parallel._AHEAD
        found += results
        assert sorted(found) == [(task, task + 1) for task in range(60)]


def test_a_worker_with_several_threads_is_refused():
    client = SimpleNamespace(nthreads=lambda: {"tcp://a:1": 1, "tcp://b:2": 4})
    with pytest.raises(
        InputError, match=r"^scheduler=tcp://s:3: a worker has 4 threads.*nthreads 1"
    ):
        parallel._count_ready(client, "tcp://s:3")
    client.nthreads = dict  # none has come yet
    assert parallel._count_ready(client, "tcp://s:3") == 1


@pytest.fixture
def nobody():
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{free.getsockname()[1]}"


def test_a_scheduler_that_cannot_be_reached_is_named(monkeypatch, nobody):
    monkeypatch.setattr(parallel, "_SECONDS_TO_CONNECT", 0.3)
    for address in (nobody, "nonsense://somewhere:1"):
        with pytest.raises(InputError, match=f"^scheduler={address}: cannot be reached; start"):
            count_workers(None, address)
    with pytest.raises(InputError, match=f"^scheduler={nobody}: cannot be reached"):
        next(map_unordered(reciprocal, [1], scheduler=nobody))


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(InputError, match="workers=-1: must not be negative"):
        next(map_unordered(reciprocal, [1], workers=-1))


def test_there_is_a_worker_for_each_gpu_or_else_for_each_core(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert count_workers(None, None) == 3
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert count_workers(None, None) == parallel._count_cores() >= 1
    assert count_workers(None, None, cores_per_worker=10_000) == 1
    assert count_workers(5, None) == 5
    assert count_workers(0, None) == 1


@pytest.mark.parametrize(
    ("visible", "count", "expected"),
    [
        (None, 0, {}),
        (None, 2, {0: "0", 1: "1", 2: "0"}),
        ("", 0, {}),
        ("3, 5", 2, {0: "3", 1: "5", 2: "3"}),  # the others belong to somebody else
        ("GPU-8932f937,7", 1, {0: "GPU-8932f937", 1: "GPU-8932f937"}),
    ],
)
def test_each_worker_gets_a_gpu_of_those_that_may_be_used(monkeypatch, visible, count, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    name = "CUDA_VISIBLE_DEVICES"
    monkeypatch.delenv(name, raising=False)
    if visible is not None:
        monkeypatch.setenv(name, visible)
    plugin = parallel._make_pin(parallel._list_gpus())
    for worker, gpu in expected.items():
        plugin.setup(SimpleNamespace(name=worker))
        assert os.environ[name] == gpu
    if not expected:
        plugin.setup(SimpleNamespace(name=0))
        assert os.environ.get(name) == visible


def test_an_error_of_ours_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(InputError("file: is damaged")))
    assert type(error) is InputError
    assert str(error) == "file: is damaged"


def test_processes_for_many_images(monkeypatch):
    """The rule, and that results come in order; tests/datasets runs it with processes."""
    asked = []

    @contextmanager
    def closing(workers):
        asked.append(workers)
        yield

    class OneProcess(joblib.Parallel):
        def __init__(self, workers, **options):
            super().__init__(1, **options)

    monkeypatch.setattr(parallel, "_count_cores", lambda: 4)
    monkeypatch.setattr(parallel, "closing_joblib", closing)
    monkeypatch.setattr(joblib, "Parallel", OneProcess)
    for count in (1, 32, 33, 96, 1000):
        assert list(parallel.map_images(abs, range(-count, 0))) == list(range(count, 0, -1))
    assert list(parallel.map_images(abs, [-1], 7)) == [1]
    assert asked == [1, 1, 2, 3, 4, 7]
