import os
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.locks import locked
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.streaming import label as module
from sp_graph_seg.streaming import label_volume
from sp_graph_seg.volumes import open_volume


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


def test_work_that_was_interrupted_goes_on(begun, calls, predicted, read_zarr):
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
