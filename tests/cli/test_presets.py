"""Which preset is taken for what is opened, and what flags make of it."""

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.config import PRESETS

SMALL = ["--width", "4", "--depth", "2", "--num-features", "4", "--patches", "4", "16", "16"]
SMALL += ["--epochs", "1", "--minibatches", "2", "--compactness", "40", "--n-segments", "60"]
CHANGED = {
    "width": 4,
    "depth": 2,
    "num_features": 4,
    "patches": ((4, 16, 16),),
    "epochs": 1,
    "minibatches": 2,
    "compactness": 40.0,
    "n_segments": 60,
}


def read_yaml(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def preset(name, **changes):
    """What config.yaml says of a preset with the flags of these tests."""
    return Config.preset(name).replace(**CHANGED, **changes).to_dict()


@pytest.fixture
def grey(tmp_path, scene):
    Image.fromarray(np.uint8(255 * scene(48, 64)[..., 0])).save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


@pytest.fixture
def color_stack(tmp_path, scene):
    frames = np.stack([np.uint8(255 * scene(40, 48, seed=seed)) for seed in range(4)])
    tifffile.imwrite(tmp_path / "color.tif", frames, photometric="rgb")
    return tmp_path / "color.tif"


@pytest.mark.parametrize(("kind", "name"), [("photo", "photo"), ("grey", "tomogram")])
def test_an_image_has_the_preset_of_its_kind(tmp_path, run, request, kind, name):
    image = request.getfixturevalue(kind)
    assert run("train", image, "-o", tmp_path / "m.safetensors", *SMALL) == 0
    assert read_yaml(tmp_path / "m.yaml") == preset(name)
    assert Segmenter.load(tmp_path / "m.safetensors").config_ == Config.from_dict(preset(name))


@pytest.mark.parametrize(("kind", "name"), [("stack", "tomogram"), ("color_stack", "video")])
def test_a_volume_has_the_preset_of_its_kind(tmp_path, run, request, kind, name):
    volume = request.getfixturevalue(kind)
    command = ["segment", volume, "--train-on", "0,2", "-o", tmp_path / "o" / "out.npy"]
    assert run(*command, *SMALL, "--labels", "3") == 0
    assert read_yaml(tmp_path / "o" / "config.yaml") == preset(name, num_labels=3)
    labels = np.load(tmp_path / "o" / "out.npy")
    assert labels.max() < 3
    assert len(np.unique(labels)) > 1


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_that_is_named_is_taken(tmp_path, run, photo, name):
    command = ["train", photo, "-o", tmp_path / "m.safetensors", "--preset", name]
    assert run(*command, *SMALL) == 0
    assert read_yaml(tmp_path / "m.yaml") == preset(name)


@pytest.mark.parametrize("flag", ["--labels", "--num-labels"])
def test_so_many_labels_are_made(tmp_path, run, grey, flag, capsys):
    assert run("segment", grey, "-o", tmp_path / "out", *SMALL, flag, "3") == 0
    labels = np.asarray(Image.open(tmp_path / "out" / "grey_labels.png"))
    assert sorted(set(labels.ravel().tolist())) == [0, 1, 2]
    assert read_yaml(tmp_path / "out" / "config.yaml")["num_labels"] == 3
    assert "3 labels" in " ".join(capsys.readouterr().out.split())


def test_the_configuration_of_a_run_makes_the_same_model(tmp_path, run, grey, capsys):
    """Under any preset: every key is in the file."""
    assert run("segment", grey, "-o", tmp_path / "one", *SMALL, "--labels", "2") == 0
    command = ["segment", grey, "-o", tmp_path / "other", "--preset", "paper"]
    assert run(*command, "--config", tmp_path / "one" / "config.yaml") == 0
    for name in ("grey_labels.png", "config.yaml"):
        one, other = ((tmp_path / folder / name).read_bytes() for folder in ("one", "other"))
        assert one == other


def test_a_file_changes_only_what_it_says(tmp_path, run, grey):
    (tmp_path / "some.yaml").write_text("num_labels: 4\nwidth: 6\n")
    command = ["train", grey, "-o", tmp_path / "m.safetensors", *SMALL]
    assert run(*command, "--config", tmp_path / "some.yaml", "--labels", "2") == 0
    assert read_yaml(tmp_path / "m.yaml") == preset("tomogram", num_labels=2)


def test_a_trained_model_labels_other_images(tmp_path, run, grey, scene):
    assert run("train", grey, "-o", tmp_path / "m.safetensors", *SMALL, "--labels", "2") == 0
    Image.fromarray(np.uint8(255 * scene(60, 50, seed=3)[..., 0])).save(tmp_path / "next.png")
    command = ["predict", tmp_path / "m.safetensors", tmp_path / "next.png", "-o", tmp_path / "out"]
    assert run(*command) == 0
    labels = np.asarray(Image.open(tmp_path / "out" / "next_labels.png"))
    segmenter = Segmenter.load(tmp_path / "m.safetensors")
    image = np.asarray(Image.open(tmp_path / "next.png"))[None].astype(np.float32)
    np.testing.assert_array_equal(labels, segmenter.predict(image))


@pytest.mark.parametrize("name", ["fast", "paper"])
def test_the_number_of_labels_is_refused_for_the_paper_model(tmp_path, photo, refusal, name):
    command = ["segment", photo, "-o", tmp_path / "out", "--preset", name, "--labels", "3"]
    assert refusal(*command).startswith("num_labels=3 cannot be used with label_by='argmax'")
    assert not (tmp_path / "out").exists()


def test_supervoxels_are_refused_before_training(tmp_path, stack, refusal, untrained):
    command = ["segment", stack, "--train-on", "0", "-o", tmp_path / "out.npy"]
    line = refusal(*command, "--mode", "supervoxels")
    assert line.startswith("--mode supervoxels: needs label_by argmax, but")
    assert line.endswith("leave out --mode, or add --preset fast.")


def test_supervoxels_are_refused_for_a_model_of_prototypes(
    tmp_path, run, stack, grey, refusal, capsys, files_in
):
    assert run("train", grey, "-o", tmp_path / "m.safetensors", *SMALL, "--labels", "2") == 0
    capsys.readouterr()
    before = files_in(tmp_path)
    command = ["predict", tmp_path / "m.safetensors", stack, "-o", tmp_path / "out.npy"]
    line = refusal(*command, "--mode", "supervoxels")
    assert "label_by='phases'" in line
    assert files_in(tmp_path) == before


def test_an_unknown_preset_is_refused(tmp_path, photo, run, capsys):
    assert run("train", photo, "-o", tmp_path / "m.safetensors", "--preset", "slow") == 2
    assert "slow" in capsys.readouterr().err
