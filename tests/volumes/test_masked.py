"""Volumes of which only the sample counts."""

import pickle

import numpy as np
import pytest
from PIL import Image

from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming.slices import read_slices
from sp_graph_seg.volumes import (
    find_air_around,
    find_data,
    mask_volume,
    measure_range,
    open_volume,
)

SHAPE = (5, 40, 48)


@pytest.fixture
def values():
    """A ball in air, uint16: noise, and the ball in 3000."""
    rng = np.random.default_rng(0)
    z, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    ball = np.hypot(y - 20, x - 24) < 14 - (z - 2) ** 2
    return (1000 + 2000 * ball + rng.normal(0, 50, SHAPE)).astype(np.uint16)


@pytest.fixture
def volume(tmp_path, values):
    np.save(tmp_path / "scan.npy", values)
    return open_volume(tmp_path / "scan.npy", axes="zyx")


@pytest.fixture
def inside():
    """A mask that differs from slice to slice."""
    return np.random.default_rng(1).random(SHAPE) > 0.3


def save(path, array):
    np.save(path, array)
    return path


def test_what_lies_outside_reads_as_nan(tmp_path, volume, values, inside):
    path = save(tmp_path / "mask.npy", inside.astype(np.uint8) * 7)
    masked = mask_volume(volume, open_volume(path, axes="zyx"))
    assert (len(masked), masked.channels, masked.height, masked.width) == (5, 1, 40, 48)
    assert masked.dtype == np.float32
    for start, stop in ((0, 5), (1, 2), (3, 5)):
        for found in (masked.read(start, stop), read_slices(masked, start, stop)):
            expected = np.where(inside, values, np.nan)[start:stop, None]
            np.testing.assert_array_equal(found, expected.astype(np.float32))
    again = pickle.loads(pickle.dumps(masked))
    np.testing.assert_array_equal(again[2], masked[2])
    assert again.fingerprint() == masked.fingerprint() != volume.fingerprint()


def test_one_picture_is_for_all_slices(tmp_path, volume, values, inside, monkeypatch):
    Image.fromarray(inside[0]).save(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    masked = mask_volume(volume, (tmp_path / "mask.png").relative_to(tmp_path))
    expected = np.where(inside[0], values, np.nan)[:, None]
    monkeypatch.chdir("/")  # a worker elsewhere
    np.testing.assert_array_equal(masked.read(0, 5), expected.astype(np.float32))


def test_a_mask_is_read_like_its_volume(tmp_path, values, inside):
    part = {"axes": "zyx", "axis": "y", "start": 3, "stop": 30, "crop": "1:5,4:40", "binning": 2}
    scan = open_volume(save(tmp_path / "scan.npy", values), **part)
    mask = open_volume(save(tmp_path / "mask.npy", inside.astype(np.uint8)), **part)
    found = mask_volume(scan, mask).read(0, len(scan))
    np.testing.assert_array_equal(np.isnan(found), mask.read(0, len(scan)) == 0)


def test_the_range_is_that_of_the_sample(tmp_path, volume, values):
    sample = values > 2000
    mask = open_volume(save(tmp_path / "mask.npy", sample.astype(np.uint8)), axes="zyx")
    low, high = measure_range(mask_volume(volume, mask))
    assert values[sample].min() <= low < high <= values[sample].max()


def test_fill_is_kept_and_nan_in_the_sample_is_refused(tmp_path, values, inside):
    broken = values.astype(np.float32)
    broken[1, 4, 5] = np.nan
    inside[1, 4, 5] = False
    mask = open_volume(save(tmp_path / "mask.npy", inside.astype(np.uint8)), axes="zyx")
    path = save(tmp_path / "broken.npy", broken)
    plain = mask_volume(open_volume(path, axes="zyx"), mask)
    assert read_slices(plain, 0, 5).shape == (5, 1, 40, 48)
    filled = mask_volume(open_volume(path, axes="zyx", fill=-1), mask)
    np.testing.assert_array_equal(filled.read(0, 5)[:, 0], np.where(inside, values, -1.0))
    broken[2][inside[2]] = np.nan
    plain = mask_volume(open_volume(save(path, broken), axes="zyx"), mask)
    assert read_slices(plain, 0, 2).shape == (2, 1, 40, 48)
    with pytest.raises(InputError, match="of slice 2 are NaN or infinite"):
        read_slices(plain, 0, 5)


def test_air_is_found_and_the_same_in_any_block(volume, values):
    air = find_air_around(volume)
    assert 1800 < air.threshold < 2200
    masked = mask_volume(volume, air)
    whole = masked.read(0, 5)
    ball = values > 2000
    assert (np.isnan(whole[:, 0]) == ~ball).mean() > 0.94
    assert np.isnan(whole[:, 0])[~ball].mean() > 0.999
    for number in range(5):
        np.testing.assert_array_equal(masked[number], whole[number])
    assert find_air_around(open_volume(volume.path, axes="zyx", crop="15:25,18:30")) is None


def test_masks_that_do_not_fit(tmp_path, volume):
    path = save(tmp_path / "small.npy", np.ones((5, 40, 47), np.uint8))
    with pytest.raises(InputError, match=r"small.npy: has 5x40x47 pixels, but .* has 5x40x48;"):
        mask_volume(volume, open_volume(path, axes="zyx"))
    path = save(tmp_path / "picture.npy", np.ones((40, 47), np.uint8))
    with pytest.raises(InputError, match=r"picture.npy: has 40x47 pixels, but .* has 40x48;"):
        mask_volume(volume, path)
    path = save(tmp_path / "zero.npy", np.zeros((40, 48), np.uint8))
    with pytest.raises(InputError, match=r"zero.npy: is 0 everywhere"):
        mask_volume(volume, path)


def in_a_circle(outside, seed=0, shape=SHAPE):
    """Noise in a circle, and a constant outside of it; and the circle."""
    y, x = np.mgrid[: shape[1], : shape[2]]
    circle = np.hypot(y - 19.5, x - 23.5) < 19
    noise = np.random.default_rng(seed).integers(900, 1100, shape)
    return np.where(circle, noise, outside), circle


@pytest.mark.parametrize("outside", [0, 1300])
def test_a_constant_outside_of_a_circle_is_no_data(tmp_path, outside):
    values, circle = in_a_circle(outside)
    volume = open_volume(save(tmp_path / "round.npy", values.astype(np.uint16)), axes="zyx")
    found = find_data(volume)
    np.testing.assert_array_equal(found, circle)
    masked = mask_volume(volume, found)
    np.testing.assert_array_equal(np.isnan(masked[2][0]), ~circle)
    identity = mask_volume(volume, circle).fingerprint()
    assert masked.fingerprint() == identity != mask_volume(volume, ~circle).fingerprint()
    assert measure_range(masked)[0] >= 900


def test_what_is_constant_may_be_data(tmp_path):
    """Other pixels in each slice, a phase with the same value, a drawing, a corner that differs."""
    values, circle = in_a_circle(0)
    other = values.copy()
    other[1, 18:22, :8] = 0
    phase = np.where((values > 1050) & circle, 0, values)
    drawing = np.where(circle, 1 + (np.arange(48) > 24), 0) * np.ones((5, 1, 1))
    corner = values.copy()
    corner[:, 0, 0] = 7
    for kind in (other, phase, drawing, corner, np.full(SHAPE, 3)):
        path = save(tmp_path / "data.npy", kind.astype(np.uint16))
        assert find_data(open_volume(path, axes="zyx")) is None
