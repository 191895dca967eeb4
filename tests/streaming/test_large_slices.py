"""Slices of any size: what is in memory at once, and what is said where that is too much."""

import tracemalloc

import numpy as np
import pytest

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.prototypes import tiles
from sp_graph_seg.streaming import block as module
from sp_graph_seg.streaming import label_volume
from sp_graph_seg.volumes import open_volume

CONFIG = Config.preset("tomogram").replace(
    num_labels=2, width=4, num_features=4, epochs=1, patches=((4, 32, 32),), accelerator="cpu"
)


def make_slices(count, size, seed=0):
    """Stripes with noise, uint8."""
    stripes = 60 + 100 * (np.arange(size) // 16 % 2)
    noise = np.random.default_rng(seed).integers(0, 30, (count, size, size))
    return (stripes + noise).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    Segmenter(CONFIG).fit(make_slices(1, 128).astype(np.float32)).save(path)
    return path


def write(folder, slices):
    np.save(folder / "in.npy", slices)
    return open_volume(folder / "in.npy", axes="zyx")


def test_memory_is_bounded_by_the_pixels_of_a_few_slices(tmp_path, model, monkeypatch):
    """Torch works in tiles; what numpy holds at once is counted here."""
    monkeypatch.setattr(tiles, "_TILE", 128)
    monkeypatch.setattr(tiles, "_BAND", 1 << 14)
    monkeypatch.setattr(module, "_PIXELS_AT_ONCE", 1)
    peaks = {}
    for size in (512, 1024):
        volume = write(tmp_path, make_slices(3, size))
        tracemalloc.start()
        label_volume(model, volume, tmp_path / f"{size}.npy", block=1, workers=0)
        peaks[size] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[1024] - peaks[512] < 60 * (1024**2 - 512**2)


def test_slices_that_wait_for_one_another_have_the_same_labels(tmp_path, model, monkeypatch):
    volume = write(tmp_path, make_slices(5, 96))
    label_volume(model, volume, tmp_path / "a.npy", workers=0)
    monkeypatch.setattr(module, "_PIXELS_AT_ONCE", 1)
    label_volume(model, volume, tmp_path / "b.npy", workers=0)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 4 bytes")]
)
def test_too_little_memory_is_said_in_one_line(tmp_path, model, monkeypatch, error):
    volume = write(tmp_path, make_slices(2, 96))

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(module, "describe_slice", fail)
        with pytest.raises(InputError) as refused:
            label_volume(model, volume, tmp_path / "out.npy", workers=0)
    assert str(refused.value) == (
        f"{tmp_path}/out.npy: there is not enough memory to label slices of 96x96 pixels; use "
        "--crop, --binning or --workers 0 (one process), then repeat the same command."
    )
    assert label_volume(model, volume, tmp_path / "out.npy", workers=0).path.exists()
