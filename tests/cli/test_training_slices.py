"""``train``, ``tune`` and ``graph`` take slices of volumes."""

import json

import numpy as np
import pytest
import torch
import yaml

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.config import read_config
from sp_graph_seg.experiments import tuning
from sp_graph_seg.segmenter.model_file import read_model
from sp_graph_seg.streaming import choose_slices
from sp_graph_seg.transforms.prepare import measure_intensity_range
from sp_graph_seg.volumes import measure_range, open_volume


@pytest.fixture
def seen(monkeypatch):
    """The images that models are trained on."""
    images = []
    fit = Segmenter.fit

    def watched(segmenter, given, *arguments, **options):
        images.append([np.array(image) for image in given])
        return fit(segmenter, given, *arguments, **options)

    monkeypatch.setattr(Segmenter, "fit", watched)
    return images


@pytest.fixture
def scan(tmp_path, make_slices):
    np.save(tmp_path / "scan.npy", make_slices())
    return tmp_path / "scan.npy"


@pytest.fixture
def other(tmp_path, make_slices):
    np.save(tmp_path / "other.npy", make_slices(6, seed=1) + np.uint16(300))
    return tmp_path / "other.npy"


def test_train_on_slices_of_several_volumes(tmp_path, scan, other, seen, run, capsys, stack_flags):
    model = tmp_path / "m.safetensors"
    assert run("train", scan, other, "--train-on", "1,-1", "-o", model, *stack_flags) == 0
    first, second = open_volume(scan), open_volume(other)
    expected = [first[1], first[4], second[1], second[5]]
    np.testing.assert_array_equal(seen[0], expected)
    ranges = np.array([measure_range(volume) for volume in (first, second)])
    low, high = Segmenter.load(model).intensity_range_
    assert (low, high) == (ranges[:, 0].min(), ranges[:, 1].max())
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [
        f"chosen:  slices 1, 4 of the 5 of {scan}",
        f"chosen:  slices 1, 5 of the 6 of {other}",
    ]
    record = read_model(model).record
    assert [given["path"] for given in record["inputs"]] == [str(scan), str(other)]
    assert run("predict", model, scan, other, "-o", tmp_path / "labels") == 0


def test_train_chooses_slices_as_segment_does(tmp_path, scan, seen, run, model, stack_flags):
    assert run("train", scan, "-o", tmp_path / "m.safetensors", *stack_flags) == 0
    volume = open_volume(scan)
    chosen = choose_slices(volume, 2, measure_range(volume))
    np.testing.assert_array_equal(seen[0], [volume[n] for n in chosen])
    assert run("segment", scan, "-o", tmp_path / "out", *stack_flags) == 0
    one, two = (
        read_model(path / "model.safetensors") if path.is_dir() else read_model(path)
        for path in (tmp_path / "m.safetensors", tmp_path / "out")
    )
    for name, weight in one.weights.items():
        assert torch.equal(weight, two.weights[name])


def test_tune_on_slices_changes_only_what_is_tuned(tmp_path, scan, run, stack_flags):
    assert run("tune", scan, "--train-on", "0,3", "-o", tmp_path / "tuned", *stack_flags) == 0
    assert run("segment", scan, "--train-on", "0,3", "-o", tmp_path / "out", *stack_flags) == 0
    tuned = Config.from_dict(read_config(tmp_path / "tuned/config.yaml"))
    usual = Config.from_dict(read_config(tmp_path / "out/config.yaml"))
    betas = {name: getattr(tuned, name) for name in ("beta_cut", "beta_sim", "beta_con")}
    assert tuned == usual.replace(**betas)
    assert tuned.superpixel_size == usual.superpixel_size == 320
    chosen = ["--config", tmp_path / "tuned/config.yaml", "--train-on", "0,3"]
    assert run("segment", scan, *chosen, "-o", tmp_path / "again") == 0
    written = yaml.safe_load((tmp_path / "again/config.yaml").read_text())
    assert written == yaml.safe_load((tmp_path / "tuned/config.yaml").read_text())


def test_several_seeds_have_a_mean_and_a_spread(tmp_path, scan, run, stack_flags, monkeypatch):
    monkeypatch.setattr(tuning, "COARSE", (1.0,))
    monkeypatch.setattr(tuning, "FINE", ())
    monkeypatch.setattr(tuning, "NUM_CANDIDATES", 3)
    command = ["tune", scan, "--train-on", "0", *stack_flags]
    scores = {}
    for seeds in (["4"], ["9"], ["4", "9"]):
        out = tmp_path / "-".join(seeds)
        assert run(*command, "--seeds", *seeds, "-o", out) == 0
        rows = json.loads((out / "candidates.json").read_text())
        scores[len(seeds), seeds[0]] = [row["score"] for row in rows]
    np.testing.assert_allclose(scores[2, "4"], np.mean([scores[1, "4"], scores[1, "9"]], axis=0))
    assert scores[1, "4"] != scores[1, "9"]
    assert rows[0]["scores_of_seeds"] == [scores[1, "4"][0], scores[1, "9"][0]]


def test_tune_on_slices_of_several_volumes(
    tmp_path, scan, other, seen, run, stack_flags, monkeypatch
):
    monkeypatch.setattr(tuning, "COARSE", (1.0,))
    monkeypatch.setattr(tuning, "FINE", ())
    monkeypatch.setattr(tuning, "NUM_CANDIDATES", 3)
    command = ["tune", scan, other, "--train-on", "1,-1", "--seeds", "4", "9", *stack_flags]
    assert run(*command, "-o", tmp_path / "tuned") == 0
    first, second = open_volume(scan), open_volume(other)
    for images in seen:
        np.testing.assert_array_equal(images, [first[1], first[4], second[1], second[5]])
    rows = json.loads((tmp_path / "tuned/candidates.json").read_text())
    assert len(seen) == 2 * len(rows)
    assert {len(row["scores_of_seeds"]) for row in rows} == {2}


def test_the_graph_of_a_slice(tmp_path, scan, run, capsys, refusal):
    flags = ["--n-segments", "30"]
    assert run("graph", scan, "-o", tmp_path / "a.pt", *flags) == 0
    assert capsys.readouterr().out.startswith("chosen:  slice 2 of 5, as --slice 2 does\n")
    image = open_volume(scan)[2].astype(np.float32)
    low, high = measure_intensity_range([image])
    graph = torch.load(tmp_path / "a.pt")
    pixels = torch.bincount(graph["pixel_index"].ravel())
    mean = float((graph["x"][:, 0] * pixels).sum() / image.size)
    expected = float(((image - low) / (high - low)).clip(0, 1).mean())
    assert mean == pytest.approx(expected, abs=1e-4)
    capsys.readouterr()
    line = refusal("graph", scan, "--slice", "5", "-o", tmp_path / "b.pt")
    assert line == "--slice 5: does not exist; give a number from 0 to 4."
