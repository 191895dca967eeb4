"""Tiny volumes and a tiny model for them."""

import numpy as np
import pytest
import zarr

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.streaming import label as label_module
from sp_graph_seg.volumes import open_volume

_CONFIG = Config(
    width=4,
    depth=2,
    num_features=4,
    n_segments=30,
    epochs=1,
    minibatches=1,
    patches=((2, 16, 16),),
    accelerator="cpu",
)


def _slices(count=7, height=24, width=32, channels=1, seed=0):
    """Blocks of random values with noise that change from slice to slice, uint16 of 10 bits."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 900, (count, channels, -(-height // 8), -(-width // 8)))
    slices = np.kron(colors, np.ones((8, 8), int))[..., :height, :width]
    return (slices + rng.integers(0, 100, slices.shape)).astype(np.uint16)


def _save(path, slices, **options):
    """A ``.npy`` file of slices ``(Z, C, H, W)`` as a volume."""
    np.save(path, slices)
    return open_volume(path, axes="zcyx", **options)


def _fit(path, config=_CONFIG, channels=1, relabel=None):
    """A trained model file."""
    images = list(_slices(2, channels=channels, seed=9).astype(np.float32))
    segmenter = Segmenter(config).fit(images, intensity_range=(0.0, 1000.0))
    segmenter.relabel_ = relabel
    segmenter.save(path)
    return path


@pytest.fixture(scope="session")
def config():
    return _CONFIG


@pytest.fixture(scope="session")
def make_slices():
    return _slices


@pytest.fixture(scope="session")
def save_volume():
    return _save


@pytest.fixture(scope="session")
def fit_model():
    return _fit


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A model file; no test may change it."""
    return _fit(tmp_path_factory.mktemp("model") / "model.safetensors")


@pytest.fixture(scope="session")
def slices():
    return _slices()


@pytest.fixture
def volume(tmp_path, slices):
    return _save(tmp_path / "volume.npy", slices)


@pytest.fixture(scope="session")
def predicted(model, slices):
    """What ``predict`` says of each slice."""
    segmenter = Segmenter.load(model)
    labels = np.stack([segmenter.predict(image.astype(np.float32)) for image in slices])
    assert len(np.unique(labels)) > 1
    return labels


@pytest.fixture
def calls(monkeypatch):
    """The blocks that are labelled; after ``stop_after`` of them comes an interruption."""

    class Calls(list):
        stop_after = None

    calls = Calls()
    original = label_module.map_unordered

    def counted(*arguments):
        for task, outcome in original(*arguments):
            calls.append(task)
            yield task, outcome
            if len(calls) == calls.stop_after:
                raise KeyboardInterrupt

    monkeypatch.setattr(label_module, "map_unordered", counted)
    return calls


@pytest.fixture
def read_zarr():
    """A function that reads the labels of a Zarr group."""
    return lambda path: np.asarray(zarr.open_array(f"{path}/0", mode="r"))
