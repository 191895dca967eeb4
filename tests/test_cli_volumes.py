import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import yaml
import zarr
from PIL import Image

from sp_graph_seg import Segmenter, parallel
from sp_graph_seg.cli import main, volumes
from sp_graph_seg.cli.volume_flags import VolumeFlags, is_volume
from sp_graph_seg.errors import InputError
from sp_graph_seg.inference.model_file import read_notes
from sp_graph_seg.io import measure_range, open_volume, write_overlay_video
from sp_graph_seg.io.label_stores import job as job_module
from sp_graph_seg.streaming import choose_slices, label
from sp_graph_seg.transforms.relabel import Relabel

PROGRAM = Path(sys.executable).parent / "sp-graph-seg"
QUICK = ["--width", "4", "--depth", "2", "--num-features", "4", "--n-segments", "30"]
QUICK += ["--epochs", "1", "--minibatches", "1", "--patches", "2", "16", "16"]
RECORDS = {"model.safetensors", "config.yaml", "history.csv", "history.png"}


def make_slices(count=5, height=24, width=32, seed=0):
    """Blocks of random values with noise, uint16 of 10 bits."""
    rng = np.random.default_rng(seed)
    slices = np.kron(rng.integers(0, 900, (count, 3, 4)), np.ones((8, 8), int))
    slices = slices[:, :height, :width]
    return (slices + rng.integers(0, 100, slices.shape)).astype(np.uint16)


def run(*arguments):
    return main([str(argument) for argument in arguments])


def refusal(capsys, *arguments):
    """What is wrong: one line on standard error, exit code 2, nothing on standard output."""
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("sp-graph-seg: error: ")
    return line.removeprefix("sp-graph-seg: error: ")


def files_in(folder):
    return {path.name for path in Path(folder).iterdir()}


def predicted(model, volume):
    segmenter = Segmenter.load(model)
    return np.stack([segmenter.predict(image.astype(np.float32)) for image in volume])


@pytest.fixture
def stack(tmp_path):
    tifffile.imwrite(tmp_path / "scan.tif", make_slices(), photometric="minisblack")
    return tmp_path / "scan.tif"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of the stack, trained on its slices 0 and 2; no test may change it."""
    folder = tmp_path_factory.mktemp("trained")
    tifffile.imwrite(folder / "scan.tif", make_slices(), photometric="minisblack")
    command = ["segment", folder / "scan.tif", "--train-on", "0,2", "-o", folder / "out.npy"]
    assert run(*command, *QUICK) == 0
    assert len(np.unique(np.load(folder / "out.npy"))) > 1
    return folder / "model.safetensors"


@pytest.fixture
def untrained(monkeypatch):
    """No model may be trained."""
    monkeypatch.setattr(Segmenter, "fit", lambda *_, **__: pytest.fail("was trained"))


# Formats


def save_folder(path, slices):
    path.mkdir()
    for number, image in enumerate(slices):
        Image.fromarray((image // 4).astype(np.uint8)).save(path / f"frame{number}.png")
    return path


def save_npy(path, slices):
    np.save(path, slices)
    return path


def save_hdf5(path, slices):
    with h5py.File(path, "w") as file:
        file["entry/data"] = slices
        file["entry/other"] = slices[:2]
    return f"{path}:/entry/data"


def save_video(path, slices):
    frames = (np.repeat((image // 4).astype(np.uint8)[..., None], 3, axis=2) for image in slices)
    write_overlay_video(path, frames, 10)
    return path


INPUTS = {
    "frames": (save_folder, "out"),
    "a.npy": (save_npy, "out.npy"),
    "a.h5": (save_hdf5, "out.h5:/entry/labels"),
    "a.mp4": (save_video, "out.zarr"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_segment_and_predict_label_all_slices_of_any_format(tmp_path, name, capsys):
    save, out = INPUTS[name]
    given = save(tmp_path / name, make_slices())
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("segment", given, "--train-on", "1", "-o", first / out, *QUICK) == 0
    said = capsys.readouterr()
    is_video = name.endswith("mp4")
    file = out.partition(":")[0]
    overlay = f"{Path(file).stem}_overlay.mp4"
    assert files_in(first) == RECORDS | {file} | ({overlay} if is_video else set())
    lines = [line.partition(":") for line in said.out.splitlines()]
    whats = ["chosen", "model", "labels"] + (["overlay"] if is_video else [])
    assert [what for what, _, _ in lines] == whats
    noun = "frames" if is_video else "slices"
    assert lines[0][2].strip() == f"{noun} 1 of 5"
    assert lines[2][2].strip() == f"5 {noun} in {first / file}"
    assert all(line.isprintable() for line in said.err.splitlines())
    assert said.err.splitlines()[-1].startswith("5 of 5 slices in ")

    model = first / "model.safetensors"
    assert run("predict", model, given, "-o", second / out) == 0
    assert files_in(second) == {file} | ({overlay} if is_video else set())
    volume = open_volume(given)
    expected = predicted(model, volume)
    for folder in (first, second):
        found = folder / file
        if file.endswith(".zarr"):
            labels = np.asarray(zarr.open_array(found, mode="r"))
        elif file.endswith(".h5"):
            with h5py.File(found) as stored:
                labels = stored["entry/labels"][:]
        else:
            labels = open_volume(found).read(0, 5)[:, 0]
        np.testing.assert_array_equal(labels, expected)
        if is_video:
            shown = open_volume(folder / overlay)
            assert (len(shown), shown.height, shown.width) == (5, 24, 32)
            assert shown.frame_times == pytest.approx(volume.frame_times, abs=1e-3)
            assert shown[0].std() > 5


def test_parts_of_a_volume(tmp_path, stack, model, capsys):
    out = tmp_path / "out.npy"
    part = ["--slices", "1:5:2", "--crop", "2:22,4:32", "--binning", "2"]
    assert run("predict", model, stack, *part, "-o", out) == 0
    volume = open_volume(stack, start=1, stop=5, step=2, crop="2:22,4:32", binning=2)
    assert np.load(out).shape == (2, 10, 14)
    np.testing.assert_array_equal(np.load(out), predicted(model, volume))
    assert run("predict", model, stack, "--axis", "y", "-o", tmp_path / "y.npy") == 0
    assert np.load(tmp_path / "y.npy").shape == (24, 5, 32)
    capsys.readouterr()
    for flags, reason in (
        (["--slices", "1-5"], "--slices 1-5: is no range"),
        (["--slices", "1:2:3:4"], "--slices 1:2:3:4: is no range"),
        (["--slices", "4:9"], "slices"),
        (["--crop", "1:2"], "crop"),
        (["--binning", "2", "2"], "--binning: 2 numbers; give one or three"),
        (["--axes", "zz"], "axes"),
    ):
        line = refusal(capsys, "predict", model, stack, *flags, "-o", tmp_path / "no.npy")
        assert reason in line
    assert not (tmp_path / "no.npy").exists()


def test_supervoxels_and_relabelling(tmp_path, stack, model):
    (tmp_path / "map.yaml").write_text("merge: {0: [1, 2]}\nsmooth: 1\n")
    flags = ["--mode", "supervoxels", "--block", "3", "--workers", "0"]
    assert run("predict", model, stack, *flags, "-o", tmp_path / "plain.npy") == 0
    flags += ["--relabel", tmp_path / "map.yaml"]
    assert run("predict", model, stack, *flags, "-o", tmp_path / "out.npy") == 0
    plain, labels = np.load(tmp_path / "plain.npy"), np.load(tmp_path / "out.npy")
    relabel = Relabel(merge={0: [1, 2]}, smooth=1)
    np.testing.assert_array_equal(labels, np.stack([relabel.apply(p) for p in plain]))


def test_the_superpixels_of_a_volume_are_made_as_the_network_sees_it(tmp_path, model):
    assert Segmenter.load(model).config_.superpixel_size == 320
    assert yaml.safe_load((model.parent / "config.yaml").read_text())["superpixel_size"] == 320


# Slices to train on


def test_slices_to_train_on_are_chosen(tmp_path, stack, capsys):
    command = ["segment", stack, "--train-on", "auto:2", "-o", tmp_path / "o/out.npy", *QUICK]
    assert run(*command) == 0
    volume = open_volume(stack)
    chosen = choose_slices(volume, 2, measure_range(volume))
    said = capsys.readouterr().out.splitlines()[0]
    assert said == f"chosen:  slices {chosen[0]}, {chosen[1]} of 5"


def test_the_range_is_that_of_the_volume(stack, model):
    assert Segmenter.load(model).intensity_range_ == measure_range(open_volume(stack))


def test_slices_are_counted_from_either_end_and_once(stack):
    volume = open_volume(stack)
    assert volumes._parse_train_on("-1, 0,4,2", volume) == ([4, 0, 2], 0)
    assert volumes._parse_train_on("auto", volume) == ([], 1)
    assert volumes._parse_train_on("auto:5", volume) == ([], 5)


@pytest.mark.parametrize(
    "given", ["5", "-6", "1,,2", "a", "0:3", "auto:0", "auto:6", "auto:x", "best:2"]
)
def test_slices_that_are_not_there(tmp_path, stack, capsys, given):
    line = refusal(capsys, "segment", stack, f"--train-on={given}", "-o", tmp_path / "out.zarr")
    assert line.startswith(f"--train-on {given}: is not of the 5 slices; give numbers from 0 to 4")
    assert files_in(tmp_path) == {"scan.tif"}


def test_no_slices_to_train_on(tmp_path, stack, capsys):
    line = refusal(capsys, "segment", stack, "-o", tmp_path / "out.zarr")
    assert line.startswith("--train-on: say which of the 5 slices to train on, such as 0,2, or")


def test_a_volume_without_contrast(tmp_path, capsys):
    np.save(tmp_path / "flat.npy", np.full((5, 24, 32), 7, np.uint8))
    command = ["segment", tmp_path / "flat.npy", "--train-on", "0", "-o", tmp_path / "out.zarr"]
    line = refusal(capsys, *command, *QUICK)
    assert line == f"{tmp_path}/flat.npy: is 7 everywhere; there is nothing to tell apart."


# Masks


@pytest.fixture
def mask(tmp_path):
    Image.fromarray(np.uint8(np.indices((24, 32))[1] < 20)).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def test_masks_are_handed_on_and_part_of_what_was_asked(tmp_path, stack, mask, monkeypatch, capsys):
    handed = []
    original = Segmenter.fit

    def fit(self, images, **arguments):
        handed.append((np.stack(images), np.stack(arguments["masks"])))
        return original(self, images, **arguments)

    monkeypatch.setattr(Segmenter, "fit", fit)
    command = ["segment", stack, "--train-on", "3,1", "--mask", mask, mask, *QUICK]
    command += ["-o", tmp_path / "o/out.tif", "--resume"]
    assert run(*command) == 0
    [(images, masks)] = handed
    np.testing.assert_array_equal(images[:, 0], make_slices()[[3, 1]])
    np.testing.assert_array_equal(masks, np.stack([np.indices((24, 32))[1] < 20] * 2))
    assert run(*command) == 0
    assert len(handed) == 1
    Image.fromarray(np.uint8(np.indices((24, 32))[0] < 20)).save(mask)
    capsys.readouterr()
    assert "trained otherwise" in refusal(capsys, *command)


def test_masks_that_cannot_be_used(tmp_path, stack, mask, capsys, untrained):
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(tmp_path / "zero.png")
    Image.fromarray(np.ones((9, 9), np.uint8)).save(tmp_path / "small.png")
    for given, reason in (
        ([mask], "--mask: 1 for 2 slices to train on; give one for each."),
        ([mask, tmp_path / "zero.png"], f"{tmp_path}/zero.png: is 0 everywhere"),
        ([tmp_path / "small.png", mask], f"{tmp_path}/small.png: 9x9 pixels are not the 24x32"),
        ([mask, tmp_path / "none.png"], f"{tmp_path}/none.png: "),
    ):
        command = ["segment", stack, "--train-on", "auto:2", "--mask", *given, *QUICK]
        assert refusal(capsys, *command, "-o", tmp_path / "o/out.npy").startswith(reason)
    assert not (tmp_path / "o/model.safetensors").exists()


# Interruptions


def test_a_model_is_not_trained_twice(tmp_path, stack, capsys, monkeypatch):
    command = ["segment", stack, "--train-on", "auto:2", "-o", tmp_path / "o/out.npy", *QUICK]

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(label, "map_unordered", interrupt)
        assert run(*command) == 130
    capsys.readouterr()
    monkeypatch.setattr(Segmenter, "fit", lambda *_, **__: pytest.fail("was trained"))
    line = refusal(capsys, *command, "--seed", "1")
    model = tmp_path / "o/model.safetensors"
    assert line.startswith(f"{model}: is there, but trained otherwise; add --overwrite, choose")
    command[3] = "auto:1"
    assert "trained otherwise" in refusal(capsys, *command)
    command[3] = "auto:2"
    assert run(*command) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"model:   {model} is there, trained as asked"
    np.testing.assert_array_equal(
        np.load(tmp_path / "o/out.npy"), predicted(model, open_volume(stack))
    )
    assert f"{tmp_path}/o/out.npy: already exists" in refusal(capsys, *command)


def test_another_training_replaces_a_model_when_told(tmp_path, stack, capsys):
    command = ["segment", stack, "--train-on", "0", "-o", tmp_path / "out.zarr", *QUICK]
    assert run(*command) == 0
    before = read_notes(tmp_path / "model.safetensors")
    assert run(*command, "--seed", "1", "--overwrite") == 0
    after = read_notes(tmp_path / "model.safetensors")
    assert after == before | {"config": before["config"] | {"seed": 1}}
    (tmp_path / "model.safetensors").write_text("no model")
    capsys.readouterr()
    assert "cannot be read as a model" in refusal(capsys, *command, "--resume")
    assert run(*command, "--overwrite") == 0
    assert read_notes(tmp_path / "model.safetensors") == before


def test_killed_and_repeated_it_gives_the_same_labels(tmp_path, model, capsys):
    np.save(tmp_path / "long.npy", make_slices(40))
    command = ["predict", model, tmp_path / "long.npy", "--block", "1", "--workers", "0", "-o"]
    partial = tmp_path / "out.zarr.partial"
    started = subprocess.Popen([PROGRAM, *command, tmp_path / "out.zarr"], stderr=subprocess.PIPE)
    with started:
        while not any(partial.glob("block_*.npz")):
            assert started.poll() is None, started.stderr.read()
            time.sleep(0.002)
        os.kill(started.pid, signal.SIGKILL)
    assert started.returncode == -signal.SIGKILL
    done = len(list(partial.glob("block_*.npz")))
    assert 1 <= done < 40
    assert not (tmp_path / "out.zarr").exists()
    assert "settings.mode was 'slices'" in refusal(
        capsys, *command, tmp_path / "out.zarr", "--mode", "supervoxels"
    )
    assert run(*command, tmp_path / "out.zarr") == 0
    assert run(*command, tmp_path / "whole.npy") == 0
    np.testing.assert_array_equal(
        zarr.open_array(tmp_path / "out.zarr", mode="r")[:], np.load(tmp_path / "whole.npy")
    )
    assert not partial.exists()


def test_interrupted_at_the_very_end_it_only_tidies_up(tmp_path, stack, monkeypatch, capsys):
    command = ["segment", stack, "--train-on", "0", "-o", tmp_path / "out.zarr", *QUICK]
    command += ["--overlay", tmp_path / "look.mp4"]

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job_module, "remove_partial", interrupt)
        assert run(*command) == 130
    assert (tmp_path / "out.zarr").exists()
    assert (tmp_path / "out.zarr.partial").exists()
    assert run(*command) == 0
    assert not (tmp_path / "out.zarr.partial").exists()


def test_a_complete_output_is_accepted_when_told(tmp_path, stack, model, capsys):
    command = ["predict", model, stack, "-o", tmp_path / "out.tif"]
    assert run(*command) == 0
    before = (tmp_path / "out.tif").stat().st_mtime_ns
    assert run(*command, "--resume") == 0
    assert (tmp_path / "out.tif").stat().st_mtime_ns == before
    capsys.readouterr()
    look = tmp_path / "look.mp4"
    assert run(*command, "--resume", "--overlay", look) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"overlay: {look}: not written anew, the labels were complete"
    )
    assert not look.exists()


# Files of others


def test_records_of_others_are_kept(tmp_path, stack, capsys, untrained):
    out = tmp_path / "out.zarr"
    command = ["segment", stack, "--train-on", "0", "-o", out]
    (tmp_path / "config.yaml").write_text("num_features: 4\n")
    line = refusal(capsys, *command, "--config", tmp_path / "config.yaml")
    assert line.startswith(f"{tmp_path}/config.yaml: already exists; add --overwrite")
    assert (tmp_path / "config.yaml").read_text() == "num_features: 4\n"
    (tmp_path / "config.yaml").rename(tmp_path / "mine.yaml")
    (tmp_path / "history.csv").write_text("mine")
    line = refusal(capsys, *command, "--config", tmp_path / "mine.yaml")
    assert line.startswith(f"{tmp_path}/history.csv: already exists")


def test_records_of_this_command_interrupted_are_replaced(tmp_path, stack, monkeypatch):
    command = ["segment", stack, "--train-on", "0", "-o", tmp_path / "out.zarr", *QUICK]

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "save", interrupt)
        assert run(*command) == 130
    assert files_in(tmp_path) >= {"config.yaml", "history.csv", "history.png"}
    assert run(*command) == 0


def test_a_record_never_replaces_an_input(tmp_path, stack, mask, capsys, untrained):
    mask = mask.rename(tmp_path / "history.png")
    command = ["segment", stack, "--train-on", "0", "--mask", mask, "-o", tmp_path / "out.zarr"]
    line = refusal(capsys, *command, "--overwrite", *QUICK)
    assert line.startswith(f"{tmp_path}/history.png: is an input and would be replaced")


def test_an_overlay_never_replaces_the_video(tmp_path, model, capsys):
    video = save_video(tmp_path / "a_overlay.mp4", make_slices())
    before = video.read_bytes()
    command = ["predict", model, video, "--overwrite", "-o", tmp_path / "a.zarr"]
    assert refusal(capsys, *command).startswith(f"{video}: is an input and would be replaced")
    line = refusal(capsys, *command[:-1], tmp_path / "b.zarr", "--overlay", video)
    assert line.startswith(f"{video}: is an input and would be replaced")
    assert video.read_bytes() == before


def test_overlays_that_cannot_be(tmp_path, stack, model, capsys):
    command = ["predict", model, stack, "-o", tmp_path / "a.zarr", "--overlay"]
    (tmp_path / "there.mp4").write_text("mine")
    assert "there.mp4: already exists" in refusal(capsys, *command, tmp_path / "there.mp4")
    assert "must end in .mp4" in refusal(capsys, *command, tmp_path / "look.avi")
    assert run(*command, tmp_path / "new/look.mp4") == 0
    assert len(open_volume(tmp_path / "new/look.mp4")) == 5


def test_the_volume_and_the_model_are_no_outputs(tmp_path, stack, model, capsys):
    before = stack.read_bytes()
    command = ["predict", model, stack, "--overwrite", "-o"]
    assert "scan.tif" in refusal(capsys, *command, stack)
    assert stack.read_bytes() == before
    line = refusal(capsys, *command, model.parent, "--block", "3")
    assert "is or contains the input" in line


# Slices that cannot be used


@pytest.fixture
def damaged(tmp_path):
    folder = save_folder(tmp_path / "damaged", make_slices())
    file = folder / "frame2.png"
    file.write_bytes(file.read_bytes()[:200])
    return folder


def test_a_damaged_slice_is_named_before_training(tmp_path, damaged, capsys, untrained):
    command = ["segment", damaged, "--train-on", "0", "-o", tmp_path / "out.zarr", *QUICK]
    line = refusal(capsys, *command)
    assert line.startswith(f"{damaged}: slice 2 cannot be used ({damaged}/frame2.png: ")
    assert line.endswith("--skip-bad.")
    command[3] = "2"
    line = refusal(capsys, *command, "--skip-bad")
    assert line.startswith(f"--train-on: slice 2 cannot be used ({damaged}/frame2.png: ")


@pytest.mark.parametrize("train_on", ["0,3", "auto:4"])
def test_damaged_slices_are_left_out_when_told(tmp_path, damaged, capsys, train_on):
    out = tmp_path / "o/out.npy"
    command = ["segment", damaged, "--train-on", train_on, "-o", out, "--skip-bad", *QUICK]
    assert run(*command, "--overlay", tmp_path / "look.mp4") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith(
        f"skipped: slice 2 has the value 255: {damaged}/frame2.png: cannot be read"
    )
    labels = np.load(out)
    assert (labels[2] == 255).all()
    assert labels[[0, 1, 3, 4]].max() < 4
    assert len(open_volume(tmp_path / "look.mp4")) == 5


# What else is refused, each before training


def test_what_is_told_too_late_otherwise(tmp_path, stack, capsys, untrained, monkeypatch):
    monkeypatch.setattr(parallel, "_SECONDS_TO_CONNECT", 0.2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "bad.yaml").write_text("smoth: 1\n")
    for flags, reason in (
        (["--relabel", tmp_path / "bad.yaml"], f"{tmp_path}/bad.yaml: 'smoth' is no key"),
        (["--relabel", tmp_path / "none.yaml"], f"{tmp_path}/none.yaml: "),
        (["--block", "0"], "--block 0: is no number of slices"),
        (["--workers=-1"], "--workers -1: cannot be"),
        (["--scheduler", nobody], f"scheduler={nobody}: cannot be reached"),
        (["--depth", "9"], f"{stack}: 24x32 pixels are too few for depth=9"),
        (["--mode", "voxels"], "Invalid value"),
        (["--slices", "7:9"], "slices"),
    ):
        command = ["segment", stack, "--train-on", "0", "-o", tmp_path / "o/out.zarr"]
        assert refusal(capsys, *command, *flags).startswith(reason), flags
    line = refusal(capsys, *command[:-1], tmp_path / "out.xyz")
    assert line.startswith(f"{tmp_path}/out.xyz: labels cannot be written as .xyz")
    assert not (tmp_path / "o/model.safetensors").exists()


@pytest.mark.parametrize(
    "name", ["none.tif", "text.txt", "image.png", "empty", "a.h5:/entry/none", "a.h5"]
)
def test_what_is_no_volume(tmp_path, model, capsys, name):
    (tmp_path / "text.txt").write_text("text")
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(tmp_path / "image.png")
    (tmp_path / "empty").mkdir()
    save_hdf5(tmp_path / "a.h5", make_slices())
    line = refusal(capsys, "predict", model, tmp_path / name, "-o", tmp_path / "out.zarr")
    assert line.startswith(f"{tmp_path}/{name.partition(':')[0]}")
    assert not (tmp_path / "out.zarr").exists()


def test_a_model_of_other_channels(tmp_path, model, capsys):
    video = save_video(tmp_path / "a.mp4", make_slices())
    line = refusal(capsys, "predict", model, video, "-o", tmp_path / "out.zarr")
    assert line.startswith(f"{video}: 3 channels, where 1 are expected")


def test_one_volume_at_a_time(tmp_path, stack, model, capsys):
    for command in (["segment"], ["predict", model]):
        line = refusal(capsys, *command, stack, tmp_path / "b.tif", "-o", tmp_path / "out.zarr")
        assert line.startswith(f"{tmp_path}/b.tif: only one volume or video can be labelled")


@pytest.mark.parametrize(
    ("image", "output", "expected"),
    [
        ("a.png", "out", False),
        ("a.tif", "out", False),
        ("a.tif", "out.TIF", True),
        ("a.tif", "out.h5:/entry/labels", True),
        ("a.tif", "out.xyz", False),
        ("a.MP4", "out", True),
        ("a.npy", "out", True),
        ("a.nxs:/entry/data/data", "out", True),
        ("a.dat:/entry/data", "out", True),
        ("a.tif:1", "out", True),
        (".", "out", True),
        ("C:/images/a.png", "out", False),
    ],
)
def test_volumes_are_told_by_their_names(tmp_path, monkeypatch, image, output, expected):
    monkeypatch.chdir(tmp_path)
    flags = VolumeFlags()
    assert is_volume([Path(image)], Path(output), flags) is expected
    assert is_volume([Path(image)], Path(output), flags, train_on="0")
    assert is_volume([Path(image)], Path(output), VolumeFlags(block=3))
    if not expected:
        assert not is_volume([Path(image), Path(image)], Path(output), flags)
    else:
        with pytest.raises(InputError, match="only one volume"):
            is_volume([Path(image), Path("b")], Path(output), flags)
