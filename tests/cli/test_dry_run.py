"""``--dry-run``: it says what would be done, and leaves no trace."""

import re

import numpy as np
import pytest
from PIL import Image

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.cli.dry_run import read_middle, show_training
from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming import label
from sp_graph_seg.volumes import open_volume


@pytest.fixture
def plan(tmp_path, run, capsys):
    """Runs a command with --dry-run. Returns its lines by name; nothing may change."""

    def make(*command):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        assert run(*command, "--dry-run") == 0
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1] == "dry run: nothing was trained or written"
        found = {}
        for line in lines:
            name, text = line.split(":", 1)
            found.setdefault(name, []).append(text.strip())
        return found

    return make


@pytest.fixture
def only_one_epoch(monkeypatch):
    """Trials are short, and no block is labelled."""
    fit = Segmenter.fit

    def check(self, *arguments, **more):
        assert self.config.epochs == 1
        return fit(self, *arguments, **more)

    monkeypatch.setattr(Segmenter, "fit", check)
    monkeypatch.setattr(label, "_label_blocks", lambda *_: pytest.fail("was labelled"))


def seconds(clock):
    minutes, rest = clock.split(":")
    return 60 * int(minutes) + int(rest)


@pytest.mark.usefixtures("only_one_epoch")
def test_segment_of_a_volume(tmp_path, stack, plan, stack_flags, run):
    out = tmp_path / "new/out"
    at = stack_flags.index("--epochs") + 1
    flags = [*stack_flags[:at], "4", *stack_flags[at + 1 :]]
    command = ["segment", stack, "-o", out, *flags, "--spacing", "2", "1", "1", "--unit", "um"]
    lines = plan(*command, "--uncertainty")
    (read,) = lines["read"]
    assert read.startswith(f"{stack}, 5 slices of 24 x 32 uint16; voxel z 2 micrometer, y 1")
    (settings,) = lines["preset"]
    assert settings.startswith("fast; but ")
    assert "width 4" in settings
    (trained,) = lines["train"]
    assert "2 of them (auto:2), 4 steps in 4 epochs, patches: 2 of 16 x 16" in trained
    labels, uncertainty, others = lines["write"]
    assert labels == f"{out}/scan_labels.tif, 3.84 kB of labels, less if compressed"
    assert uncertainty == f"{out}/scan_uncertainty.tif, 3.84 kB of labels, less if compressed"
    for name in ("model.safetensors", "config.yaml", "scan_preview.png", "scan_report.html"):
        assert f"{out}/{name}" in others
    (cost,) = lines["time"]
    total, *parts = map(seconds, re.findall(r"\d+:\d\d", cost))
    assert abs(total - sum(parts)) <= 2
    assert "an estimate" in cost
    assert re.fullmatch(r"about \d+(\.\d+)? [MG]B, an estimate from .*", lines["memory"][0])


def test_what_is_said_is_what_is_written(tmp_path, stack, plan, stack_flags, run, files_in):
    command = ["segment", stack, "-o", tmp_path / "out", "--axes", "zyx", *stack_flags]
    said = [text.split(" kB of")[0].rsplit(",", 1)[0] for text in plan(*command)["write"]]
    names = {name.strip() for text in said for name in text.split(",")}
    assert run(*command) == 0
    assert {str(tmp_path / "out" / name) for name in files_in(tmp_path / "out")} == names
    size = (tmp_path / "out/scan_labels.tif").stat().st_size
    assert size < 3840 + 20_000  # with what is stored about them


@pytest.mark.usefixtures("only_one_epoch")
def test_predict_train_and_relabel_of_volumes(tmp_path, stack, model, plan, stack_flags, run):
    lines = plan("predict", model, stack, "-o", tmp_path / "out", "--axes", "zyx")
    assert (
        lines["write"][0]
        == f"{tmp_path}/out/scan_labels.tif, 3.84 kB of labels, less if compressed"
    )
    assert "labelling" in lines["time"][0]
    command = ["train", stack, "--train-on", "0,2,3", "-o", tmp_path / "m.safetensors"]
    lines = plan(*command, *stack_flags)
    assert lines["train"][0].startswith("on 3 slices (0,2,3 of each volume), 1 steps")
    assert f"{tmp_path}/m.safetensors, {tmp_path}/m.yaml" in lines["write"][0]
    labels = model.parent / "out.npy"
    (tmp_path / "map.yaml").write_text("merge: {0: [1, 2]}")
    command = ["relabel", labels, "--map", tmp_path / "map.yaml", "-o", tmp_path / "a.zarr"]
    lines = plan(*command)
    assert lines["change"] == ["merge: 0: [1, 2]"]
    assert lines["write"] == [f"{tmp_path}/a.zarr, 3.84 kB of labels, less if compressed"]


@pytest.mark.usefixtures("only_one_epoch")
def test_photographs(tmp_path, photo, results, plan, photo_flags):
    lines = plan("segment", photo, "-o", tmp_path / "out", *photo_flags)
    assert lines["read"] == [f"{photo}, 48x64 pixels, 3 channels"]
    assert f"{tmp_path}/out/photo_labels.png" in lines["write"][0]
    assert lines["train"][0].startswith("on 1 images, 2 steps in 1 epochs")
    lines = plan("predict", results / "out/model.safetensors", photo, "-o", tmp_path / "out")
    assert f"{tmp_path}/out/photo_overlay.png" in lines["write"][0]
    lines = plan("tune", photo, "-o", tmp_path / "out", "--seeds", "0", "1", *photo_flags)
    assert lines["train"][0].startswith("on 1 images, 18 times, 2 steps")
    assert f"{tmp_path}/out/candidate_9.yaml" in lines["write"][0]


@pytest.mark.parametrize("command", ["segment", "train"])
def test_regions_have_no_history_and_masks_are_used(
    command, tmp_path, photo, plan, run, files_in, monkeypatch
):
    mask = np.zeros((48, 64), np.uint8)
    mask[8:40, 10:60] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    output = tmp_path / "out" / ("m.safetensors" if command == "train" else "")
    output.parent.mkdir(exist_ok=True)
    arguments = [
        command,
        photo,
        "-o",
        output,
        "--mask",
        tmp_path / "mask.png",
        "--n-segments",
        "40",
    ]
    fit, given = Segmenter.fit, []

    def note(self, images, masks=None, **more):
        given.append(masks)
        return fit(self, images, masks=masks, **more)

    monkeypatch.setattr(Segmenter, "fit", note)
    lines = plan(*arguments)
    np.testing.assert_array_equal(given[0], mask != 0)
    assert lines["mask"] == [f"{tmp_path}/mask.png"]
    names = {name.strip() for name in lines["write"][0].rsplit(",", 1)[0].split(",")}
    assert run(*arguments) == 0
    assert {str(tmp_path / "out" / name) for name in files_in(tmp_path / "out")} == names


def test_what_the_command_refuses_is_refused(tmp_path, stack, model, refusal, photo):
    (tmp_path / "scan_labels.tif").write_text("of a person")
    command = ["predict", model, stack, "--axes", "zyx", "-o", tmp_path]
    assert "scan_labels.tif: already exists" in refusal(*command, "--dry-run")
    assert "--dry-run: works only with labels of volumes" in refusal(
        "relabel", photo, "--map", photo, "-o", tmp_path, "--dry-run"
    )
    assert "--dry-run: cannot be used with --make" in refusal(
        "relabel", photo, "--make", tmp_path / "a.yaml", "--dry-run"
    )


def test_a_bad_slice_in_the_middle_is_skipped(tmp_path):
    values = np.ones((5, 4, 4), np.float32)
    values[2] = np.inf
    np.save(tmp_path / "bad.npy", values)
    volume = open_volume(tmp_path / "bad.npy", axes="zyx")
    with pytest.raises(InputError, match="of slice 2 are NaN or infinite"):
        read_middle(volume)
    assert read_middle(volume, skip_bad=True)[1].max() == 1


def test_what_is_not_trained_has_no_steps(capsys):
    show_training("2 images", Config.preset("photo"), 2)
    assert capsys.readouterr().out == (
        "train:   on 2 images, from regions and without a network, label_by regions\n"
    )
