"""Which slices of a volume are trained on, and what is refused before."""

import socket

import numpy as np
import pytest
from PIL import Image

from sp_graph_seg import Segmenter, parallel
from sp_graph_seg.cli.training_slices import parse_train_on
from sp_graph_seg.streaming import choose_slices
from sp_graph_seg.volumes import measure_range, open_volume

# Slices to train on


def test_slices_to_train_on_are_chosen(tmp_path, stack, capsys, run, stack_flags):
    command = ["segment", stack, "--train-on", "auto:2", "-o", tmp_path / "o/out.npy", *stack_flags]
    assert run(*command) == 0
    volume = open_volume(stack)
    chosen = choose_slices(volume, 2, measure_range(volume))
    said = capsys.readouterr().out.splitlines()[0]
    assert said == f"chosen:  slices {chosen[0]}, {chosen[1]} of 5"


def test_the_range_is_that_of_the_volume(stack, model):
    assert Segmenter.load(model).intensity_range_ == measure_range(open_volume(stack))


def test_slices_are_counted_from_either_end_and_once(stack):
    volume = open_volume(stack)
    assert parse_train_on("-1, 0,4,2", volume) == ([4, 0, 2], 0)
    assert parse_train_on("auto", volume) == ([], 1)
    assert parse_train_on("auto:5", volume) == ([], 5)


@pytest.mark.parametrize(
    "given", ["5", "-6", "1,,2", "a", "0:3", "auto:0", "auto:6", "auto:x", "best:2"]
)
def test_slices_that_are_not_there(tmp_path, stack, given, files_in, refusal):
    line = refusal("segment", stack, f"--train-on={given}", "-o", tmp_path / "out.zarr")
    assert line.startswith(
        f"--train-on {given}: is not valid for 5 slices; give numbers from 0 to 4"
    )
    assert files_in(tmp_path) == {"scan.tif"}


def test_a_superpixel_method_without_supervoxels(tmp_path, stack, files_in, refusal):
    command = ["segment", stack, "--train-on", "0", "-o", tmp_path / "out.zarr"]
    flags = ["--preset", "fast", "--mode", "supervoxels", "--superpixel-method", "felzenszwalb"]
    line = refusal(*command, *flags)
    assert line.startswith("superpixel_method='felzenszwalb' does not support volumes")
    assert files_in(tmp_path) == {"scan.tif"}


def test_a_volume_without_contrast(tmp_path, refusal, stack_flags):
    np.save(tmp_path / "flat.npy", np.full((5, 24, 32), 7, np.uint8))
    command = ["segment", tmp_path / "flat.npy", "--train-on", "0", "-o", tmp_path / "out.zarr"]
    line = refusal(*command, *stack_flags)
    assert line == f"{tmp_path}/flat.npy: is 7 everywhere; give a volume with contrast."


# Masks


def test_masks_are_handed_on_and_part_of_what_was_asked(
    tmp_path, stack, mask, monkeypatch, capsys, run, refusal, stack_flags, make_slices
):
    handed = []
    original = Segmenter.fit

    def fit(self, images, **arguments):
        handed.append((np.stack(images), np.stack(arguments["masks"])))
        return original(self, images, **arguments)

    monkeypatch.setattr(Segmenter, "fit", fit)
    command = ["segment", stack, "--train-on", "3,1", "--mask", mask, mask, *stack_flags]
    command += ["-o", tmp_path / "o/out.tif", "--resume"]
    assert run(*command) == 0
    [(images, masks)] = handed
    np.testing.assert_array_equal(images[:, 0], make_slices()[[3, 1]])
    np.testing.assert_array_equal(masks, np.stack([np.indices((24, 32))[1] < 20] * 2))
    assert run(*command) == 0
    assert len(handed) == 1
    Image.fromarray(np.uint8(np.indices((24, 32))[0] < 20)).save(mask)
    capsys.readouterr()
    assert "trained with other" in refusal(*command)


def test_masks_that_cannot_be_used(tmp_path, stack, mask, untrained, refusal, stack_flags):
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(tmp_path / "zero.png")
    Image.fromarray(np.ones((9, 9), np.uint8)).save(tmp_path / "small.png")
    for given, reason in (
        ([mask] * 3, "--mask: got 3 masks for 2 training slices; give as many masks as slices."),
        ([tmp_path / "small.png"], f"{tmp_path}/small.png: has 9x9 pixels, but {stack} has 24x32"),
        ([tmp_path / "zero.png"], f"{tmp_path}/zero.png: is 0 everywhere"),
        ([mask, tmp_path / "zero.png"], f"{tmp_path}/zero.png: is 0 everywhere"),
        ([tmp_path / "small.png", mask], f"{tmp_path}/small.png: has 9x9 pixels, but "),
        ([mask, tmp_path / "none.png"], f"{tmp_path}/none.png: "),
    ):
        command = ["segment", stack, "--train-on", "auto:2", "--mask", *given, *stack_flags]
        assert refusal(*command, "-o", tmp_path / "o/out.npy").startswith(reason)
    assert not (tmp_path / "o/model.safetensors").exists()


# What else is refused, each before training


def test_what_is_told_too_late_otherwise(tmp_path, stack, untrained, monkeypatch, refusal):
    monkeypatch.setattr(parallel, "_SECONDS_TO_CONNECT", 0.2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "bad.yaml").write_text("smoth: 1\n")
    for flags, reason in (
        (
            ["--relabel", tmp_path / "bad.yaml"],
            f"{tmp_path}/bad.yaml: 'smoth': this key is unknown",
        ),
        (["--relabel", tmp_path / "none.yaml"], f"{tmp_path}/none.yaml: "),
        (["--block", "0"], "--block 0: must be a positive number of slices"),
        (["--workers=-1"], "--workers -1: must not be negative"),
        (["--scheduler", nobody], f"scheduler={nobody}: cannot be reached"),
        (["--depth", "9"], f"{stack}: 24x32 pixels are too few for depth=9"),
        (["--mode", "voxels"], "Invalid value"),
        (["--slices", "7:9"], "slices"),
    ):
        command = ["segment", stack, "--train-on", "0", "-o", tmp_path / "o/out.zarr"]
        assert refusal(*command, *flags).startswith(reason), flags
    line = refusal(*command[:-1], tmp_path / "out.xyz")
    assert line.startswith(f"{tmp_path}/out.xyz: labels cannot be written as .xyz")
    assert not (tmp_path / "o/model.safetensors").exists()
