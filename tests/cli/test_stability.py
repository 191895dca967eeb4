"""How stable the labels are: printed, recorded, on the page, and with a warning if they are not."""

import json

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from sp_graph_seg import Segmenter
from sp_graph_seg.prototypes.stability import describe_stability

FLAGS = ["--preset", "tomogram", "--width", "4", "--depth", "2", "--num-features", "4"]
FLAGS += ["--epochs", "2", "--minibatches", "2", "--patches", "16", "24", "24"]


def save_slice(path):
    """Two phases whose grains are everywhere."""
    rng = np.random.default_rng(0)
    grains = gaussian_filter(rng.normal(size=(64, 80)), 4) > 0
    tifffile.imwrite(path, (100 + 100 * grains + rng.normal(0, 5, grains.shape)).astype(np.uint8))
    return path


def lines_of(text):
    return dict(line.split(":", 1) for line in text.splitlines())


def test_it_is_told_wherever_the_model_is(tmp_path, run, capsys):
    image, out = save_slice(tmp_path / "a.tif"), tmp_path / "out"
    assert run("segment", image, "-o", out, "--labels", "2", *FLAGS) == 0
    segmenter = Segmenter.load(out / "model.safetensors")
    assert segmenter.stability_ > 0.95
    told = describe_stability(segmenter.label_stability_)
    assert lines_of(capsys.readouterr().out)["stable"].strip() == told
    assert told in (out / "report.html").read_text(encoding="utf-8")
    (record,) = json.loads((out / "records.json").read_text())
    assert record["model"]["record"]["stability"] == list(segmenter.label_stability_)
    assert run("info", out / "model.safetensors") == 0
    assert lines_of(capsys.readouterr().out)["stable"].strip() == told


@pytest.mark.parametrize("wanted", [2, 12])
def test_labels_by_chance_are_not_told_in_silence(tmp_path, run, capsys, wanted):
    image = save_slice(tmp_path / "a.tif")
    command = ["train", image, "-o", tmp_path / "m.safetensors", "--labels", wanted, *FLAGS]
    assert run(*command) == 0
    warned = "warning: labels: their stability is 0." in capsys.readouterr().err
    assert warned == (wanted == 12)
