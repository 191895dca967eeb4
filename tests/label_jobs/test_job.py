import errno
import os
import pickle
import resource
import subprocess
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import numpy as np
import pytest
import zarr

from sp_graph_seg.errors import InputError
from sp_graph_seg.io import durable
from sp_graph_seg.label_jobs import open_label_job
from sp_graph_seg.label_jobs.partial import mark_assembled

LABELS = np.random.default_rng(0).integers(0, 200, (10, 40, 50))
NAMES = ["a.zarr", "a.tif", "a.h5", "a.npy", "folder"]


def begin(output, **options):
    return open_label_job(output, LABELS.shape, 200, {}, block=4, **options)


def label(job):
    for start, stop in job.missing_blocks():
        job.write_block(start, LABELS[start:stop])
    return job


def test_blocks_cover_the_slices_once(tmp_path):
    job = begin(tmp_path / "a.zarr")
    assert job.blocks == job.missing_blocks() == [(0, 4), (4, 8), (8, 10)]
    assert (job.dtype, job.unlabelled) == (np.uint8, 255)


def test_skipped_slices_become_unlabelled(tmp_path):
    job = begin(tmp_path / "a.npy")
    labels = LABELS[4:8].copy()
    labels[2] = -7  # whatever it holds
    labels[0, 0, 0] = 255  # without a label, in a slice that has some
    job.write_block(4, labels, {6: "broken"})
    back, skipped = job.read_block(4)
    assert skipped == {6: "broken"}
    assert (back[2] == 255).all()
    labels[2] = 255
    np.testing.assert_array_equal(back, labels)


@pytest.mark.parametrize(
    ("start", "labels", "skipped", "reason"),
    [
        (1, LABELS[:4], {}, "start: no block starts at slice 1"),
        (12, LABELS[:4], {}, "start: "),
        (-4, LABELS[:4], {}, "start: "),
        (8, LABELS[:4], {}, r"labels: .* does not fit slices 8 to 9; .*\(2, 40, 50\)"),
        (0, LABELS[:4] / 1, {}, "labels: a float64"),
        (0, LABELS[:4] - 1, {}, "labels: contain -1, but only 0 to 199"),
        (0, LABELS[:4] + 1, {}, "labels: contain 200, but only 0 to 199"),
        (0, LABELS[:4], {4: "late"}, "skipped: slice 4"),
        (4, LABELS[:4], {0: "relative"}, "skipped: slice 0"),
    ],
)
def test_wrong_blocks_are_refused(tmp_path, start, labels, skipped, reason):
    job = begin(tmp_path / "a.zarr")
    with pytest.raises(InputError, match=f"^{reason}"):
        job.write_block(start, labels, skipped)
    assert len(job.missing_blocks()) == 3


def test_a_damaged_block_is_missing_again(tmp_path):
    job = label(begin(tmp_path / "a.npy"))
    assert job.missing_blocks() == []
    path = tmp_path / "a.npy.partial" / "block_000001.npz"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    assert job.missing_blocks() == [(4, 8)]
    with pytest.raises(InputError, match=r"block_000001\.npz: .* 4 to 7 .*repeat"):
        job.finish()
    assert not (tmp_path / "a.npy").exists()
    label(job).finish()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), LABELS)


def test_a_missing_block_stops_finish_before_the_work(tmp_path):
    job = begin(tmp_path / "a.npy")
    job.write_block(0, LABELS[:4])
    calls = []
    with pytest.raises(InputError, match="4 to 7 are missing"):
        job.finish(lambda *numbers: calls.append(numbers))
    assert calls == []
    label(job).finish(lambda *numbers: calls.append(numbers))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_an_exception_of_the_progress_passes_and_leaves_no_half_output(tmp_path):
    job = label(begin(tmp_path / "a.tif"))

    def stop(done, _):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.finish(stop)
    assert len(list((tmp_path / "a.tif.partial").iterdir())) == 4
    assert job.finish() == {}


@contextmanager
def largest_file(nbytes):
    """Let the operating system refuse larger files, as a full disk does."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def expect_kept(job, use):
    with pytest.raises(InputError, match="finished blocks are kept in") as caught:
        use()
    assert str(caught.value).startswith(f"{job.output}: cannot be written (")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    return str(caught.value)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "a.zarr"])
def test_a_file_system_that_refuses_costs_no_block(tmp_path, name):
    job = label(begin(tmp_path / name))
    with largest_file(1000):
        assert "File too large" in expect_kept(job, job.finish)
    assert not (tmp_path / name).exists()
    assert len(list((tmp_path / f"{name}.partial").iterdir())) == 4
    assert begin(tmp_path / name).finish() == {}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_labels_of_a_zarr_array_are_written_once(tmp_path):
    """Among them are no block files, and finishing moves the very files that were written."""
    job = label(begin(tmp_path / "a.zarr"))
    partial = tmp_path / "a.zarr.partial"
    (array,) = partial.glob("*.zarr")
    chunks = {file.relative_to(array): file.stat().st_ino for file in array.glob("0/c/*/*/*")}
    assert len(chunks) == 3
    assert {file.suffix for file in partial.iterdir() if file.is_file()} == {".json"}
    assert not (tmp_path / "a.zarr").exists()
    job.finish()
    moved = (tmp_path / "a.zarr").glob("0/c/*/*/*")
    assert {file.relative_to(tmp_path / "a.zarr"): file.stat().st_ino for file in moved} == chunks


def test_a_block_is_called_done_when_its_chunks_are_on_the_disk(tmp_path, monkeypatch):
    job = begin(tmp_path / "a.zarr")
    synced = []
    monkeypatch.setattr(durable, "sync", synced.append)
    job.write_block(4, LABELS[4:8])
    chunk = tmp_path / "a.zarr.partial" / "assembled.zarr" / "0" / "c" / "1" / "0" / "0"
    (marker,) = (path for path in synced if path.suffix == ".json")
    assert synced.index(chunk) < synced.index(marker)


def test_a_block_that_comes_too_late_changes_nothing(tmp_path, monkeypatch):
    job = label(begin(tmp_path / "a.zarr"))
    with monkeypatch.context() as patch:
        patch.setattr("sp_graph_seg.label_jobs.job.mark_assembled", mark_and_stop)
        with pytest.raises(KeyboardInterrupt):
            job.finish()
    with pytest.raises(InputError, match="was finished"):
        job.write_block(0, LABELS[4:8])
    job.finish()
    array = zarr.open_array(str(tmp_path / "a.zarr" / "0"), mode="r")
    np.testing.assert_array_equal(array[:], LABELS)


def mark_and_stop(*arguments):
    mark_assembled(*arguments)
    raise KeyboardInterrupt


def test_a_zarr_array_that_cannot_grow_keeps_its_finished_blocks(tmp_path):
    job = begin(tmp_path / "a.zarr")
    job.write_block(0, LABELS[:4])
    with largest_file(1000):
        text = expect_kept(job, lambda: job.write_block(4, LABELS[4:8]))
    assert "File too large" in text
    assert job.missing_blocks() == [(4, 8), (8, 10)]
    label(job)
    with largest_file(100):
        expect_kept(job, job.finish)
    assert not (tmp_path / "a.zarr").exists()
    assert begin(tmp_path / "a.zarr").missing_blocks() == []
    assert job.finish() == {}


def lose(chunk):
    chunk.unlink()


def damage(chunk):
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)


def swap(chunk):
    """The chunk of another block: whole, but not this one's."""
    chunk.write_bytes((chunk.parents[2] / "0" / "0" / "0").read_bytes())


@pytest.mark.parametrize("harm", [lose, damage, swap])
def test_a_chunk_that_is_not_as_it_was_written_is_missing(tmp_path, harm):
    job = label(begin(tmp_path / "a.zarr"))
    harm(tmp_path / "a.zarr.partial" / "assembled.zarr" / "0" / "c" / "1" / "0" / "0")
    assert job.missing_blocks() == [(4, 8)]
    with pytest.raises(InputError, match=r"block_000001\.json: .* 4 to 7 .*repeat"):
        job.finish()
    assert not (tmp_path / "a.zarr").exists()
    label(job).finish()
    array = zarr.open_array(str(tmp_path / "a.zarr" / "0"), mode="r")
    np.testing.assert_array_equal(array[:], LABELS)


def test_what_a_killed_writer_left_in_a_zarr_array_is_no_part_of_it(tmp_path):
    job = label(begin(tmp_path / "a.zarr"))
    chunks = tmp_path / "a.zarr.partial" / "assembled.zarr" / "0" / "c"
    (chunks / "0" / "0" / "0.1f2e.partial").touch()
    job.finish()
    assert len(list((tmp_path / "a.zarr").rglob("*.partial"))) == 0


def test_a_zarr_array_whose_removal_was_interrupted_is_made_anew(tmp_path):
    label(begin(tmp_path / "a.zarr"))
    (tmp_path / "a.zarr.partial" / "assembled.zarr" / "zarr.json").unlink()
    job = begin(tmp_path / "a.zarr")
    assert len(job.missing_blocks()) == 3
    label(job).finish()


def test_a_full_disk_costs_no_finished_block(tmp_path, monkeypatch):
    job = begin(tmp_path / "a.npy")
    job.write_block(0, LABELS[:4])

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    for module, function in ((os, "replace"), (os, "fsync"), (zipfile, "ZipFile")):
        with monkeypatch.context() as patch:
            patch.setattr(module, function, full)
            text = expect_kept(job, lambda: job.write_block(4, LABELS[4:8]))
        assert "No space left on device" in text
        assert job.missing_blocks() == [(4, 8), (8, 10)]
        assert len(list((tmp_path / "a.npy.partial").iterdir())) == 2
    label(job)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        expect_kept(job, job.finish)
    assert job.missing_blocks() == []
    job.finish()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), LABELS)


def test_a_job_is_small_when_pickled(tmp_path):
    """Of its settings it holds no more than their fingerprint."""
    settings = {"note": "a long text" * 1000}
    job = open_label_job(tmp_path / "folder", LABELS.shape, 200, settings)
    text = pickle.dumps(job)
    assert b"a long text" not in text
    assert pickle.loads(text) == job


WRITER = """
import sys
import zipfile
import numpy as np
from sp_graph_seg.label_jobs import open_label_job
output, part = sys.argv[1], int(sys.argv[2])
job = open_label_job(output, (30, 40, 50), 200, {}, block=2)
for start, stop in job.blocks[part::2]:
    job.write_block(start, np.arange(start, stop)[:, None, None] + np.zeros((1, 40, 50), int))
"""


def test_two_processes_write_at_once(tmp_path):
    output = str(tmp_path / "a.npy")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, output, str(part)]) for part in (0, 1)
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    job = open_label_job(output, (30, 40, 50), 200, {}, block=2)
    assert job.missing_blocks() == []
    job.finish()
    back = np.load(output)
    np.testing.assert_array_equal(back, np.broadcast_to(np.arange(30)[:, None, None], back.shape))


def test_a_bound_method_goes_to_a_worker(tmp_path):
    job = begin(tmp_path / "a.npy")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(job.write_block, 0, LABELS[:4]).result()
    np.testing.assert_array_equal(job.read_block(0).labels, LABELS[:4])


def test_two_finishing_at_once_do_not_mix(tmp_path):
    """While one assembles, another one finishes: the output is whole, the slower one is told."""
    job = label(begin(tmp_path / "a.zarr"))
    calls = []

    def finish_too(done, _):
        if done == 2 and not calls:
            calls.append(begin(tmp_path / "a.zarr").finish())

    with pytest.raises(InputError):
        job.finish(finish_too)
    assert calls == [{}]
    assert begin(tmp_path / "a.zarr", resume=True).complete
    np.testing.assert_array_equal(
        zarr.open_array(str(tmp_path / "a.zarr" / "0"), mode="r")[:], LABELS
    )
