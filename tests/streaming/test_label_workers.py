import os
import signal
import threading
import time

import numpy as np
import psutil
import pytest

from sp_graph_seg.streaming import label as module
from sp_graph_seg.streaming import label_volume


def test_the_same_labels_though_a_worker_is_killed(
    tmp_path, model, make_slices, save_volume, monkeypatch
):
    """One cluster for all: starting it takes most of the time."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    volume = save_volume(tmp_path / "long.npy", make_slices(60))
    label_volume(model, volume, tmp_path / "one.npy", block=1, workers=0)
    partial = tmp_path / "two.npy.partial"
    killed = []

    def kill():
        while not any(partial.glob("block_*.npz")):
            time.sleep(0.005)
        workers = [
            child
            for child in psutil.Process().children(recursive=True)
            if any("spawn_main" in word for word in child.cmdline())
        ]
        os.kill(workers[0].pid, signal.SIGKILL)
        killed.append((len(workers), len(list(partial.glob("block_*.npz")))))

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    label_volume(model, volume, tmp_path / "two.npy", block=1, workers=2)
    thread.join(10)
    [(workers, written)] = killed
    assert workers >= 2
    assert written < 60
    np.testing.assert_array_equal(np.load(tmp_path / "two.npy"), np.load(tmp_path / "one.npy"))


def test_workers_elsewhere_get_whole_paths(tmp_path, model, volume, monkeypatch):
    monkeypatch.chdir(model.parent)
    sent = []

    def send(labeler, blocks, workers, scheduler):
        own = labeler.labeler
        sent.append((own.model, own.job.output.path, workers, scheduler))
        yield from ((block, labeler(block)) for block in blocks)

    monkeypatch.setattr(module, "map_unordered", send)
    output = os.path.relpath(tmp_path / "out.npy")
    label_volume(model.name, volume, output, scheduler="tcp://somewhere:8786")
    assert sent == [(model, tmp_path / "out.npy", None, "tcp://somewhere:8786")]


@pytest.mark.parametrize(
    ("seconds", "cores", "expected"),
    [
        (1000, 1, [0]),
        (1000, 2, [0, 2]),
        (1000, 64, [0, 2]),  # one for each of the other blocks
        (0.001, 64, [0, 0]),  # of which none would pay
    ],
)
def test_processes_are_started_where_they_pay(
    tmp_path, model, volume, monkeypatch, seconds, cores, expected
):
    used = []

    def work(labeler, blocks, workers, scheduler):
        used.append(workers)
        for block in blocks:
            labeler(block)
            yield block, seconds

    monkeypatch.setattr(module, "map_unordered", work)
    monkeypatch.setattr(module, "count_workers", lambda *_: cores)
    label_volume(model, volume, tmp_path / "out.npy", block=3)
    assert used == expected


@pytest.mark.parametrize(("seconds", "is_told"), [(1e-6, True), (1000.0, False)])
def test_a_start_that_takes_longer_than_the_work_is_told(
    tmp_path, model, volume, monkeypatch, capsys, seconds, is_told
):
    def work(labeler, blocks, workers, scheduler):
        for block in blocks:
            labeler(block)
            yield block, seconds

    monkeypatch.setattr(module, "map_unordered", work)
    label_volume(model, volume, tmp_path / "out.npy", block=3, workers=2)
    told = capsys.readouterr().err
    assert ("starting 2 workers took 0:00, longer than their work" in told) == is_told


def test_workers_without_a_block_are_no_slow_start(tmp_path, model, volume, monkeypatch, capsys):
    def work(labeler, blocks, workers, scheduler):
        for block in blocks:
            yield block, labeler(block)

    monkeypatch.setattr(module, "map_unordered", work)
    label_volume(model, volume, tmp_path / "out.npy", block=len(volume), workers=9)
    assert "longer than their work" not in capsys.readouterr().err
