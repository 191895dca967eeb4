import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
import zarr

from sp_graph_seg import Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.io.locks import locked
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.streaming import check_slices, label_volume
from sp_graph_seg.streaming import label as module
from sp_graph_seg.volumes import Volume, open_volume


@pytest.fixture
def calls(monkeypatch):
    """The blocks that are labelled; after ``stop_after`` of them comes an interruption."""

    class Calls(list):
        stop_after = None

    calls = Calls()
    original = module.map_unordered

    def counted(*arguments):
        for task, outcome in original(*arguments):
            calls.append(task)
            yield task, outcome
            if len(calls) == calls.stop_after:
                raise KeyboardInterrupt

    monkeypatch.setattr(module, "map_unordered", counted)
    return calls


@pytest.fixture
def begun(tmp_path, model, volume, calls):
    """The arguments of a call that was interrupted after one block of three."""
    calls.stop_after = 1
    arguments = {"model": model, "volume": volume, "output": tmp_path / "out.zarr", "block": 3}
    arguments["workers"] = 0
    with pytest.raises(KeyboardInterrupt):
        label_volume(**arguments)
    assert calls == [(0, 3)]
    calls.clear()
    calls.stop_after = None
    return arguments


def read_zarr(path):
    return np.asarray(zarr.open_array(f"{path}/0", mode="r"))


@pytest.mark.parametrize("mode", ["slices", "supervoxels"])
def test_labels_are_those_of_predict(tmp_path, model, volume, predicted, mode):
    done = label_volume(model, volume, tmp_path / "out.npy", mode=mode, block=1, workers=0)
    assert done.path == tmp_path / "out.npy"
    assert (done.skipped, done.unlabelled) == ({}, 255)
    labels = np.load(done.path)
    assert labels.dtype == np.uint8
    if mode == "slices":
        np.testing.assert_array_equal(labels, predicted)
    assert not (tmp_path / "out.npy.partial").exists()


def test_a_superpixel_method_without_supervoxels_is_refused_at_once(
    tmp_path, volume, config, fit_model
):
    config = config.replace(superpixel_method="felzenszwalb")
    model = fit_model(tmp_path / "model.safetensors", config)
    with pytest.raises(
        InputError, match=r"^superpixel_method='felzenszwalb' does not support volumes"
    ):
        label_volume(model, volume, tmp_path / "out.npy", mode="supervoxels", workers=0)
    assert label_volume(model, volume, tmp_path / "out.npy", workers=0).skipped == {}


def test_blocks_change_nothing_where_slices_are_labelled_one_by_one(
    tmp_path, model, volume, predicted
):
    for block in (2, 7, None):
        output = tmp_path / f"{block}.npy"
        label_volume(model, volume, output, block=block, workers=0)
        np.testing.assert_array_equal(np.load(output), predicted)


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


def test_work_that_was_interrupted_goes_on(begun, calls, predicted):
    done = label_volume(**begun)
    assert calls == [(3, 6), (6, 7)]
    np.testing.assert_array_equal(read_zarr(done.path), predicted)


def test_who_follows_the_work_can_stop_it_and_it_goes_on(tmp_path, model, volume, calls, predicted):
    counts = []

    def follow(done, total):
        counts.append((done, total))
        if len(counts) == 3:
            raise KeyError("enough")

    arguments = {"output": tmp_path / "out.npy", "block": 2, "workers": 0, "progress": follow}
    with pytest.raises(KeyError, match="enough"):
        label_volume(model, volume, **arguments)
    assert counts == [(0, 7), (2, 7), (4, 7)]
    done = label_volume(model, volume, **arguments)
    assert counts[3:] == [(4, 7), (6, 7), (7, 7)]
    assert calls == [(0, 2), (2, 4), (4, 6), (6, 7)]
    np.testing.assert_array_equal(np.load(done.path), predicted)


def test_moved_files_are_the_same(begun, calls, model, tmp_path):
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(model.read_bytes())
    moved = Path(begun["volume"].path).rename(tmp_path / "moved.npy")
    label_volume(**begun | {"model": copy, "volume": open_volume(moved, axes="zcyx")})
    assert calls == [(3, 6), (6, 7)]


@pytest.mark.parametrize(
    "changed", ["model", "input", "mode", "relabel", "version", "shape", "num_labels"]
)
def test_what_changed_is_named(
    begun, calls, changed, tmp_path, fit_model, config, slices, save_volume, monkeypatch
):
    path = Path(begun["volume"].path)
    if changed == "model":
        begun["model"] = fit_model(tmp_path / "other.safetensors", config.replace(seed=1))
    elif changed == "input":
        os.utime(path, ns=(1, 1))
        begun["volume"] = open_volume(path, axes="zcyx")
    elif changed == "shape":
        begun["volume"] = open_volume(path, axes="zcyx", stop=6)
    elif changed == "mode":
        begun["mode"] = "supervoxels"
    elif changed == "version":
        monkeypatch.setattr(module, "__version__", "9.9.9")
    elif changed == "relabel":
        begun["relabel"] = Relabel(smooth=1)
    else:
        begun["relabel"] = Relabel(merge={300: [0]})
    with pytest.raises(InputError) as refused:
        label_volume(**begun)
    line = str(refused.value)
    assert line.startswith(f"{tmp_path}/out.zarr.partial: was begun with other settings or input: ")
    assert f"{changed} was " in line
    assert line.endswith("add --overwrite to discard the finished blocks.")
    assert calls == []
    label_volume(**begun, overwrite=True)  # all blocks anew
    assert sum(stop - start for start, stop in calls) == len(begun["volume"])


def test_a_complete_output(tmp_path, model, volume, calls, predicted):
    output = tmp_path / "out.tif"
    label_volume(model, volume, output, workers=0)
    calls.clear()
    before = output.stat().st_mtime_ns
    for finish in (True, False):
        done = label_volume(model, volume, output, resume=True, finish=finish)
        assert done.is_assembled()
        assert (done.path, done.skipped, done.unlabelled) == (output, {}, 255)
    assert (calls, output.stat().st_mtime_ns) == ([], before)
    with pytest.raises(InputError, match=f"^{output}: already exists; add --overwrite"):
        label_volume(model, volume, output)
    with pytest.raises(InputError, match=rf"^{output}: was made with other .* settings\.mode was"):
        label_volume(model, volume, output, resume=True, mode="supervoxels")
    label_volume(model, volume, output, overwrite=True, workers=0)
    assert calls == [(0, 7)]
    np.testing.assert_array_equal(tifffile.imread(output), predicted)


@pytest.mark.parametrize("name", ["out.npy", "out.zarr"])
def test_before_the_output_gets_its_name_all_blocks_can_be_read(
    tmp_path, model, volume, predicted, name
):
    job = label_volume(model, volume, tmp_path / name, block=3, workers=0, finish=False)
    assert not job.path.exists()
    assert not job.is_assembled()
    seen = [job.read_block(start).labels for start, _ in job.blocks]
    np.testing.assert_array_equal(np.concatenate(seen), predicted)
    assert job.finish() == {}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == [name]


# Slices that cannot be used


@pytest.fixture
def damaged(tmp_path, slices):
    """A folder of TIFF slices; number 2 is cut off and 5 is of another size."""
    folder = tmp_path / "damaged"
    folder.mkdir()
    for number, image in enumerate(slices):
        tifffile.imwrite(folder / f"{number}.tif", image[0, 1:] if number == 5 else image[0])
    file = folder / "2.tif"
    file.write_bytes(file.read_bytes()[:700])
    return folder


def test_a_damaged_slice_is_named_before_the_work(tmp_path, model, damaged, calls):
    volume = open_volume(damaged)
    with pytest.raises(InputError) as refused:
        label_volume(model, volume, tmp_path / "out.zarr", workers=0)
    line = str(refused.value)
    assert line.startswith(f"{damaged}: slice 2 (and 1 more) cannot be used ({damaged}/2.tif")
    assert line.endswith("--skip-bad.")
    assert calls == []
    assert not (tmp_path / "out.zarr.partial").exists()


@pytest.mark.parametrize("preflight", [True, False])
def test_damaged_slices_are_left_out(tmp_path, model, damaged, predicted, preflight):
    done = label_volume(
        model,
        open_volume(damaged),
        tmp_path / "out.zarr",
        block=2,
        skip_bad=True,
        workers=0,
        preflight=preflight,
    )
    assert sorted(done.skipped) == [2, 5]
    assert "2.tif" in done.skipped[2]
    labels = read_zarr(done.path)
    assert done.unlabelled == 255
    assert (labels[[2, 5]] == 255).all()
    good = [0, 1, 3, 4, 6]
    np.testing.assert_array_equal(labels[good], predicted[good])
    recorded = zarr.open_group(done.path, mode="r").attrs["sp_graph_seg"]
    assert recorded["skipped"] == {str(n): done.skipped[n] for n in (2, 5)}


def test_found_late_it_is_named_too_and_what_is_done_stays(tmp_path, model, damaged, calls):
    volume, output = open_volume(damaged), tmp_path / "out.zarr"
    with pytest.raises(InputError, match=r"2\.tif"):
        label_volume(model, volume, output, block=1, workers=0, preflight=False)
    calls.clear()
    done = label_volume(model, volume, output, block=1, workers=0, preflight=False, skip_bad=True)
    assert calls[0] == (2, 3)
    assert sorted(done.skipped) == [2, 5]


def test_nan_is_named_with_its_slice(tmp_path, model, slices, save_volume):
    stored = slices.astype(np.float32)
    stored[4, 0, 1, 1] = np.nan
    volume = save_volume(tmp_path / "a.npy", stored)
    for preflight in (True, False):
        with pytest.raises(InputError, match="of slice 4 are NaN or infinite"):
            label_volume(
                model, volume, tmp_path / "out.npy", workers=0, preflight=preflight, overwrite=True
            )
    with pytest.raises(InputError, match=f"^{volume.path}: slice 4 cannot be used"):
        check_slices(volume, Segmenter.load(model).config_)


def test_checks_tell_what_is_left_out(tmp_path, config, damaged, volume, slices, save_volume):
    assert check_slices(volume, config) == {}
    assert list(check_slices(open_volume(damaged), config, skip_bad=True)) == [2, 5]
    nothing = save_volume(tmp_path / "nan.npy", np.full(slices.shape, np.nan, np.float32))
    with pytest.raises(InputError, match=f"^{nothing.path}: no slice can be used"):
        check_slices(nothing, config, skip_bad=True)


def test_slices_too_small_for_the_network(tmp_path, config, make_slices, save_volume):
    volume = save_volume(tmp_path / "small.npy", make_slices(3, 3, 32))
    with pytest.raises(InputError, match=f"^{volume.path}: 3x32 pixels are too few for depth=2"):
        check_slices(volume, config)


def test_channels_of_another_model(tmp_path, model, make_slices, save_volume, fit_model):
    volume = save_volume(tmp_path / "rgb.npy", make_slices(3, channels=3))
    with pytest.raises(InputError, match=f"^{volume.path}: has 3 channels instead of 1"):
        label_volume(model, volume, tmp_path / "out.zarr", workers=0)
    rgb = fit_model(tmp_path / "rgb.safetensors", channels=3)
    done = label_volume(rgb, volume, tmp_path / "out.zarr", workers=0)
    assert read_zarr(done.path).shape == (3, 24, 32)


# Outputs


@pytest.mark.parametrize("name", ["volume.npy", "volume.npy/labels", "out.xyz", "out.npy:/a"])
def test_an_output_that_cannot_be_is_refused(tmp_path, model, volume, slices, name):
    with pytest.raises(InputError, match=r"input|written as|datasets"):
        label_volume(model, volume, tmp_path / name, overwrite=True, workers=0)
    np.testing.assert_array_equal(np.load(tmp_path / "volume.npy"), slices)


def test_the_model_is_no_output(tmp_path, model, volume):
    with pytest.raises(InputError, match="contains the input"):
        label_volume(model, volume, model.parent, overwrite=True, workers=0)


def test_an_unknown_format_is_refused_before_anything_is_read(tmp_path, model, volume, monkeypatch):
    monkeypatch.setattr(Volume, "read", lambda *_: pytest.fail("read"))
    with pytest.raises(InputError, match=r"out\.xyz: labels cannot be written as \.xyz"):
        label_volume(model, volume, tmp_path / "out.xyz")


@pytest.mark.parametrize("mode", ["slices", "supervoxels"])
def test_one_slice(tmp_path, model, slices, save_volume, predicted, mode):
    volume = save_volume(tmp_path / "one.npy", slices[:1])
    label_volume(model, volume, tmp_path / "out.npy", mode=mode)
    labels = np.load(tmp_path / "out.npy")
    assert labels.shape == (1, 24, 32)
    if mode == "slices":
        np.testing.assert_array_equal(labels, predicted[:1])


# Post-processing


MERGE = Relabel(merge={0: [1, 2]}, smooth=1)


def test_the_relabelling_of_the_model_is_applied_unless_another_is_given(
    tmp_path, fit_model, volume, predicted
):
    path = fit_model(tmp_path / "m.safetensors", relabel=MERGE)
    for number, (given, expected) in enumerate(
        [(None, MERGE), (Relabel(smooth=2), Relabel(smooth=2)), (Relabel(), Relabel())]
    ):
        output = tmp_path / f"{number}.npy"
        label_volume(path, volume, output, relabel=given, workers=0)
        wanted = np.stack([expected.apply(labels) for labels in predicted])
        np.testing.assert_array_equal(np.load(output), wanted)
    assert not np.array_equal(np.load(tmp_path / "0.npy"), np.load(tmp_path / "2.npy"))


def test_labels_beyond_a_byte_make_wider_labels(tmp_path, model, volume, predicted):
    relabel = Relabel(merge={254: [0]})
    done = label_volume(model, volume, tmp_path / "a.npy", relabel=relabel, workers=0)
    assert (np.load(done.path).dtype, done.unlabelled) == (np.uint8, 255)
    relabel = Relabel(merge={255: [0]})
    done = label_volume(model, volume, tmp_path / "b.npy", relabel=relabel, workers=0)
    labels = np.load(done.path)
    assert (labels.dtype, done.unlabelled) == (np.uint16, 65535)
    np.testing.assert_array_equal(labels, np.where(predicted == 0, 255, predicted))


def test_the_output_tells_what_made_it(tmp_path, fit_model, volume):
    path = fit_model(tmp_path / "m.safetensors", relabel=MERGE)
    label_volume(path, volume, tmp_path / "out.tif", workers=0)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        settings = json.loads(file.imagej_metadata["Info"])["sp_graph_seg"]["settings"]
    assert settings["mode"] == "slices"
    assert settings["input"] == volume.fingerprint()
    assert Relabel.from_dict(settings["relabel"]) == MERGE


def test_a_failure_of_a_block_is_one_line(tmp_path, model, volume, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(Segmenter, "predict", fail)
    with pytest.raises(InputError) as refused:
        label_volume(model, volume, tmp_path / "out.zarr", block=3, workers=0)
    assert str(refused.value) == (
        f"{tmp_path}/out.zarr: labelling slices 0 to 2 failed (out of memory); repeat the same "
        "command to continue."
    )


def test_progress_counts_what_was_done_before(begun, capsys):
    label_volume(**begun)
    before, line = capsys.readouterr().err.splitlines()
    assert before == "3 of 7 slices were done before"
    assert line.startswith("7 of 7 slices in ")


def test_a_volume_that_is_replaced_while_it_is_labelled_is_noticed(
    tmp_path, model, volume, monkeypatch
):
    original = module._label_blocks

    def touched(*arguments):
        original(*arguments)
        status = volume.source.file.stat()
        os.utime(volume.source.file, ns=(status.st_atime_ns, status.st_mtime_ns + 1000))

    monkeypatch.setattr(module, "_label_blocks", touched)
    with pytest.raises(InputError, match=r"was replaced while it was read; repeat the command"):
        label_volume(model, volume, tmp_path / "out.npy", workers=0)
    assert not (tmp_path / "out.npy").exists()


def test_an_output_that_another_process_writes_is_refused(tmp_path, model, volume):
    refused = []

    def other():
        try:
            label_volume(model, volume, tmp_path / "out.npy", workers=0)
        except InputError as error:
            refused.append(str(error))

    with locked(tmp_path / "out.npy"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    (message,) = refused
    assert "out.npy: is being written by another process" in message
    label_volume(model, volume, tmp_path / "out.npy", workers=0)
    assert not (tmp_path / "out.npy.lock").exists()
