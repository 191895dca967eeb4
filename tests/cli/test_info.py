"""``sp-graph-seg info``: what a file is, and how it was made."""

import hashlib
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from sp_graph_seg import __version__
from sp_graph_seg.segmenter.model_file import read_model
from sp_graph_seg.streaming.block import load_model


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def facts(capsys, run):
    """Everything about a file."""

    def show(file):
        capsys.readouterr()
        assert run("info", file, "--json") == 0
        return json.loads(capsys.readouterr().out)

    return show


@pytest.fixture
def lines(capsys, run):
    """What a person reads, without the columns' width."""

    def show(file):
        capsys.readouterr()
        assert run("info", file) == 0
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    return show


@pytest.mark.parametrize("name", ["a.tif", "a.zarr", "a.h5", "pngs/"])
def test_labels_say_how_they_were_made(tmp_path, stack, model, run, facts, lines, name):
    out = f"{tmp_path}/{name}"
    command = ["predict", model, stack, "--slices", "1:4", "-o"]
    if name == "pngs/":
        command[-1:] = ["--format", "png", "-o"]
        out = tmp_path / "scan_labels"
        assert run(*command, tmp_path) == 0
    else:
        assert run(*command, out) == 0
    told = facts(out)
    record = told["record"]
    assert record["command"].startswith(f"sp-graph-seg predict {model} {stack} --slices 1:4 ")
    given, used = record["inputs"]
    assert (given["path"], given["sha256"]) == (str(stack), sha256(stack))
    assert (used["path"], used["sha256"]) == (str(model), sha256(model))
    assert record["part"]["slices"] == [1, 4, 1]
    assert record["model"]["config"] == load_model(model).segmenter.config_.to_dict()
    assert record["model"]["record"]["command"].startswith("sp-graph-seg segment ")
    assert record["versions"]["sp_graph_seg"] == __version__
    assert record["versions"]["numpy"] == np.__version__
    said = lines(out)
    assert said[0] == f"file: {out}, labels of a volume"
    assert "part: z 1:4:1, y 0:24:1, x 0:32:1, binning 1x1x1" in said
    assert f"by: {record['command']}" in said
    assert f"from: {stack}, {stack.stat().st_size} bytes, sha256 {sha256(stack)}" in said


def test_labels_of_the_same_job_are_accepted_whatever_their_record(tmp_path, stack, model, run):
    command = ["predict", model, stack, "-o", tmp_path / "a.tif"]
    assert run(*command) == 0
    assert run(*command, "--resume", "--workers", "0") == 0  # another command, another date


def test_a_model_says_how_it_was_made(model, facts, lines):
    told = facts(model)
    assert told["config"] == load_model(model).segmenter.config_.to_dict()
    assert told["digest"] == read_model(model).digest()
    stack = model.parent / "scan.tif"
    assert told["record"]["inputs"][0]["sha256"] == sha256(stack)
    assert lines(model)[0] == f"file: {model}, a model"
    assert "trained: label_by argmax, seed 0" in lines(model)


def test_images_and_volumes_of_others(tmp_path, lines, stack):
    Image.fromarray(np.full((3, 4), 7, np.uint8)).save(tmp_path / "a.png")
    told = lines(tmp_path / "a.png")
    assert told[1:] == [
        "size: 1 x 3 x 4",
        "values: 7 to 7",
        "made: not known: no record of this program",
    ]
    scan = tmp_path / "scan2.tif"
    about = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    values = np.zeros((3, 4, 5), np.uint8)
    tifffile.imwrite(scan, values, imagej=True, resolution=(1, 1), metadata=about)
    told = lines(scan)
    assert told[:3] == [
        f"file: {scan}, a volume",
        "size: 3 x 1 x 4 x 5 uint8",
        "voxel: z 2 micrometer, y 1 micrometer, x 1 micrometer",
    ]


def test_labels_of_photographs(results, tmp_path, lines, run):
    told = "\n".join(lines(results / "out/a_labels.png"))
    assert "by: sp-graph-seg segment " in told
    assert "trained: label_by argmax, seed 0" in told
    assert f"from: {results}/b.png, " in told
    model = results / "out/model.safetensors"
    assert run("predict", model, results / "d.png", "-o", tmp_path / "out") == 0
    told = "\n".join(lines(tmp_path / "out/d_overlay.png"))
    assert "by: sp-graph-seg predict " in told
    assert f"from: {model}, " in told


def test_what_is_nothing(tmp_path, refusal):
    (tmp_path / "a.txt").write_text("a")
    assert refusal("info", tmp_path / "a.txt").startswith(
        f"{tmp_path}/a.txt: is not an image, volume"
    )
    assert (
        refusal("info", tmp_path / "b.txt") == f"{tmp_path}/b.txt: does not exist; check the path."
    )
