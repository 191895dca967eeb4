"""Photographs and volumes for the command line, and how to run it."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sp_graph_seg import Segmenter
from sp_graph_seg.cli import main

_PHOTO_FLAGS = [
    "--preset",
    "fast",
    "--width",
    "4",
    "--depth",
    "2",
    "--num-features",
    "8",
    "--n-segments",
    "40",
]
_PHOTO_FLAGS += ["--epochs", "1", "--minibatches", "2", "--patches", "4", "16", "16"]
_STACK_FLAGS = [
    "--preset",
    "fast",
    "--width",
    "4",
    "--depth",
    "2",
    "--num-features",
    "4",
    "--n-segments",
    "30",
]
_STACK_FLAGS += ["--epochs", "1", "--minibatches", "1", "--patches", "2", "16", "16"]


def _run(*arguments):
    return main([str(argument) for argument in arguments])


def _files_in(folder):
    return {path.name for path in Path(folder).iterdir()}


def _scene(height, width, channels=3, seed=0):
    """A bright disc and a dark bar on a gradient, with noise: floats in [0, 1], (H, W, C)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    values = 0.3 + 0.2 * np.stack([(x / width) ** (c + 1) for c in range(channels)], axis=-1)
    values[np.hypot(y - height / 2, x - width / 2) < height / 4, 0] = 0.9
    values[: height // 6] *= 0.3
    return (values + rng.normal(0, 0.01, values.shape)).clip(0, 1)


def _save_photo(path, height=48, width=64, seed=0):
    Image.fromarray(np.uint8(255 * _scene(height, width, seed=seed))).save(path)
    return path


def _make_slices(count=5, height=24, width=32, seed=0):
    """Blocks of random values with noise, uint16 of 10 bits."""
    rng = np.random.default_rng(seed)
    slices = np.kron(rng.integers(0, 900, (count, 3, 4)), np.ones((8, 8), int))
    slices = slices[:, :height, :width]
    return (slices + rng.integers(0, 100, slices.shape)).astype(np.uint16)


def _save_stack(path):
    tifffile.imwrite(path, _make_slices(), photometric="minisblack")
    return path


def _predicted(model, volume):
    segmenter = Segmenter.load(model)
    return np.stack([segmenter.predict(image.astype(np.float32)) for image in volume])


@pytest.fixture(scope="session")
def run():
    return _run


@pytest.fixture
def refusal(capsys):
    """What is wrong: one line on standard error, exit code 2, nothing on standard output."""

    def refuse(*arguments):
        assert _run(*arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert line.startswith("sp-graph-seg: error: ")
        return line.removeprefix("sp-graph-seg: error: ")

    return refuse


@pytest.fixture(scope="session")
def files_in():
    return _files_in


# Photographs


@pytest.fixture(scope="session")
def photo_flags():
    """Flags that train on photographs in no time."""
    return _PHOTO_FLAGS


@pytest.fixture(scope="session")
def scene():
    return _scene


@pytest.fixture(scope="session")
def save_photo():
    return _save_photo


@pytest.fixture
def photo(tmp_path):
    return _save_photo(tmp_path / "photo.png")


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Three photographs of different sizes, segmented together, and a fourth."""
    folder = tmp_path_factory.mktemp("results")
    sizes = {"a": (48, 64), "b": (64, 48), "c": (40, 56), "d": (50, 50)}
    for seed, (name, size) in enumerate(sizes.items()):
        _save_photo(folder / f"{name}.png", *size, seed=seed)
    images = [folder / f"{name}.png" for name in "abc"]
    assert _run("segment", *images, "-o", folder / "out", *_PHOTO_FLAGS) == 0
    return folder


# Volumes


@pytest.fixture(scope="session")
def stack_flags():
    """Flags that train on slices in no time."""
    return _STACK_FLAGS


@pytest.fixture(scope="session")
def make_slices():
    return _make_slices


@pytest.fixture
def stack(tmp_path):
    return _save_stack(tmp_path / "scan.tif")


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A model of the stack, trained on its slices 0 and 2; no test may change it."""
    folder = tmp_path_factory.mktemp("trained")
    stack = _save_stack(folder / "scan.tif")
    command = ["segment", stack, "--train-on", "0,2", "-o", folder / "out.npy"]
    assert _run(*command, *_STACK_FLAGS) == 0
    assert len(np.unique(np.load(folder / "out.npy"))) > 1
    return folder / "model.safetensors"


@pytest.fixture(scope="session")
def predicted():
    """What ``Segmenter.predict`` says of each slice."""
    return _predicted


@pytest.fixture
def untrained(monkeypatch):
    """No model may be trained."""
    monkeypatch.setattr(Segmenter, "fit", lambda *_, **__: pytest.fail("was trained"))


@pytest.fixture
def mask(tmp_path):
    """For a slice of the stack."""
    Image.fromarray(np.uint8(np.indices((24, 32))[1] < 20)).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"
