"""Commands for volumes that are interrupted and repeated, and the files of others."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from sp_graph_seg import Segmenter
from sp_graph_seg.cli.layout import place_pages, place_uncertainty
from sp_graph_seg.label_jobs import job as job_module
from sp_graph_seg.label_jobs import parse_output
from sp_graph_seg.segmenter.model_file import read_model
from sp_graph_seg.streaming import label
from sp_graph_seg.volumes import open_volume

PROGRAM = Path(sys.executable).parent / "sp-graph-seg"


# Interruptions


def test_a_model_is_not_trained_twice(
    tmp_path, stack, capsys, monkeypatch, run, refusal, stack_flags, predicted
):
    command = ["segment", stack, "--train-on", "auto:2", "-o", tmp_path / "o/out.npy", *stack_flags]

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(label, "map_unordered", interrupt)
        assert run(*command) == 130
    capsys.readouterr()
    monkeypatch.setattr(Segmenter, "fit", lambda *_, **__: pytest.fail("was trained"))
    line = refusal(*command, "--seed", "1")
    model = tmp_path / "o/model.safetensors"
    assert line.startswith(f"{model}: exists, but was trained with other images or settings; add")
    command[3] = "auto:1"
    assert "trained with other images" in refusal(*command)
    command[3] = "auto:2"
    assert run(*command) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"model:   {model} exists, trained by the same command"
    np.testing.assert_array_equal(
        np.load(tmp_path / "o/out.npy"), predicted(model, open_volume(stack))
    )
    assert f"{tmp_path}/o/out.npy: already exists" in refusal(*command)


def test_another_training_replaces_a_model_when_told(
    tmp_path, stack, capsys, run, refusal, stack_flags
):
    command = ["segment", stack, "--train-on", "0", "-o", tmp_path / "out.zarr", *stack_flags]
    assert run(*command) == 0
    before = read_model(tmp_path / "model.safetensors").notes
    assert run(*command, "--seed", "1", "--overwrite") == 0
    after = read_model(tmp_path / "model.safetensors").notes
    assert after == before | {"config": before["config"] | {"seed": 1}}
    (tmp_path / "model.safetensors").write_text("no model")
    capsys.readouterr()
    assert "cannot be read as a model" in refusal(*command, "--resume")
    assert run(*command, "--overwrite") == 0
    assert read_model(tmp_path / "model.safetensors").notes == before


def test_killed_and_repeated_it_gives_the_same_labels(tmp_path, model, run, refusal, make_slices):
    np.save(tmp_path / "long.npy", make_slices(40))
    command = ["predict", model, tmp_path / "long.npy", "--block", "1", "--workers", "0", "-o"]
    partial = tmp_path / "out.zarr.partial"
    started = subprocess.Popen([PROGRAM, *command, tmp_path / "out.zarr"], stderr=subprocess.PIPE)
    with started:
        while not any(partial.glob("block_*.json")):
            assert started.poll() is None, started.stderr.read()
            time.sleep(0.002)
        os.kill(started.pid, signal.SIGKILL)
    assert started.returncode == -signal.SIGKILL
    done = len(list(partial.glob("block_*.json")))
    assert 1 <= done < 40
    assert not (tmp_path / "out.zarr").exists()
    assert "settings.mode was 'slices'" in refusal(
        *command, tmp_path / "out.zarr", "--mode", "supervoxels"
    )
    assert run(*command, tmp_path / "out.zarr") == 0
    assert run(*command, tmp_path / "whole.npy") == 0
    np.testing.assert_array_equal(
        zarr.open_array(tmp_path / "out.zarr" / "0", mode="r")[:], np.load(tmp_path / "whole.npy")
    )
    assert not partial.exists()


def test_interrupted_at_the_very_end_it_only_tidies_up(
    tmp_path, stack, monkeypatch, capsys, run, stack_flags
):
    command = ["segment", stack, "--train-on", "0", "-o", tmp_path / "out.zarr", *stack_flags]
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


def test_a_tiff_of_slices_is_a_volume_without_any_flag(tmp_path, stack, model, run, files_in):
    told = tmp_path / "told.tif"  # few pages may be channels, where the file does not say
    tifffile.imwrite(told, tifffile.imread(stack), metadata={"axes": "ZYX"})
    assert run("predict", model, told, "-o", tmp_path / "out") == 0
    assert files_in(tmp_path / "out") == {
        "told_labels.tif",
        "told_preview.png",
        "told_report.html",
    }
    assert len(open_volume(tmp_path / "out/told_labels.tif")) == len(open_volume(stack))


def test_a_complete_output_is_accepted_when_told(tmp_path, stack, model, capsys, run):
    command = ["predict", model, stack, "-o", tmp_path / "out.tif"]
    assert run(*command) == 0
    before = (tmp_path / "out.tif").stat().st_mtime_ns
    assert run(*command, "--resume") == 0
    assert (tmp_path / "out.tif").stat().st_mtime_ns == before
    capsys.readouterr()
    look = tmp_path / "look.mp4"
    assert run(*command, "--resume", "--overlay", look) == 0
    assert capsys.readouterr().out.splitlines()[-2] == (
        f"overlay: {look}: not written again, the labels were complete"
    )
    assert not look.exists()


# Files of others


def test_records_of_others_are_kept(tmp_path, stack, untrained, refusal):
    out = tmp_path / "out.zarr"
    command = ["segment", stack, "--train-on", "0", "-o", out]
    (tmp_path / "config.yaml").write_text("num_features: 4\n")
    line = refusal(*command, "--config", tmp_path / "config.yaml")
    assert line.startswith(f"{tmp_path}/config.yaml: already exists; add --overwrite")
    assert (tmp_path / "config.yaml").read_text() == "num_features: 4\n"
    (tmp_path / "config.yaml").rename(tmp_path / "mine.yaml")
    (tmp_path / "history.csv").write_text("mine")
    line = refusal(*command, "--config", tmp_path / "mine.yaml")
    assert line.startswith(f"{tmp_path}/history.csv: already exists")


def test_a_training_that_is_interrupted_leaves_nothing_but_its_state(
    tmp_path, stack, monkeypatch, run, files_in, stack_flags
):
    command = ["segment", stack, "--train-on", "0", "-o", tmp_path / "out.zarr", *stack_flags]

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "save", interrupt)
        assert run(*command) == 130
    assert files_in(tmp_path) == {"scan.tif", "model.safetensors.partial"}
    assert run(*command) == 0
    results = {"out.zarr", "model.safetensors", "config.yaml", "history.csv", "history.png"}
    reports = {"records.json", "out_report.html", "out_preview.png"}
    assert files_in(tmp_path) == {"scan.tif", *results, *reports}


def test_a_record_never_replaces_an_input(tmp_path, stack, mask, untrained, refusal, stack_flags):
    mask = mask.rename(tmp_path / "history.png")
    command = ["segment", stack, "--train-on", "0", "--mask", mask, "-o", tmp_path / "out.zarr"]
    line = refusal(*command, "--overwrite", *stack_flags)
    assert line.startswith(f"{tmp_path}/history.png: is an input and would be replaced")


def test_the_volume_and_the_model_are_no_outputs(tmp_path, stack, model, refusal):
    before = stack.read_bytes()
    command = ["predict", model, stack, "--overwrite", "-o"]
    assert "scan.tif" in refusal(*command, stack)
    assert stack.read_bytes() == before


# Uncertainty


@pytest.mark.parametrize("name", ["out.zarr", "out.h5:/entry/labels", "a/"])
def test_the_uncertainty_of_labels_lies_beside_them(
    tmp_path, stack, model, capsys, run, refusal, name
):
    out = tmp_path / "o" / name
    command = ["predict", model, stack, "--uncertainty", "--workers", "0", "-o", out]
    assert run(*command) == 0
    suffix = Path(name.partition(":")[0]).suffix
    beside = tmp_path / (f"o/out_uncertainty{suffix}" if suffix else "o/a/scan_uncertainty.tif")
    assert capsys.readouterr().out.splitlines()[-2] == f"unsure:  {beside}"
    found = open_volume(beside)
    segmenter = Segmenter.load(model)
    for image, uncertain in zip(open_volume(stack), found, strict=True):
        _, margins = segmenter.predict_with_margin(image.astype(np.float32))
        np.testing.assert_allclose(uncertain[0] / 254, 1 - margins, atol=0.5 / 254 + 1e-6)
    line = refusal(*command, "--mode", "supervoxels")
    assert line.startswith("--uncertainty: cannot be used with --mode supervoxels; leave")


@pytest.mark.parametrize("name", ["o/a_labels.tif", "o/a_labels.ome.tif", "o/a.ome.zarr", "o/a"])
def test_what_lies_beside_labels_has_their_name_without_any_suffix(name):
    output = parse_output(name)
    assert place_pages(output) == [Path("o/a_preview.png"), Path("o/a_report.html")]
    ending = name.removeprefix("o/a").removeprefix("_labels")
    assert place_uncertainty(output).given == Path(f"o/a_uncertainty{ending}")


def test_an_uncertainty_that_exists_is_not_replaced(tmp_path, stack, model, refusal):
    (tmp_path / "out_uncertainty.tif").write_bytes(b"mine")
    line = refusal("predict", model, stack, "--uncertainty", "-o", tmp_path / "out.tif")
    assert line.startswith(f"{tmp_path}/out_uncertainty.tif: already exists; add --overwrite")
    assert not (tmp_path / "out.tif").exists()
