import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming import choose, choose_slices

KINDS = [0, 0, 1, 0, 2, 1, 0, 0, 1]  # the first is the most common, the last comes once


@pytest.fixture
def kinds(tmp_path, save_volume):
    """Three kinds of slices, whose bright part is 4, 16 or 28 columns wide, with noise."""
    rng = np.random.default_rng(0)
    slices = rng.integers(0, 20, (len(KINDS), 1, 24, 32))
    for image, kind in zip(slices, KINDS, strict=True):
        image[0, :, 28 - 12 * kind :] += 200
    return save_volume(tmp_path / "kinds.npy", slices.astype(np.uint8))


def test_one_of_each_kind_and_the_most_common_first(kinds):
    chosen = choose_slices(kinds, 3, (0, 220))
    assert KINDS[chosen[0]] == 0
    assert sorted(KINDS[number] for number in chosen) == [0, 1, 2]
    assert [KINDS[number] for number in choose_slices(kinds, 1, (0, 220))] == [0]
    assert choose_slices(kinds, 2, (0, 220)) == chosen[:2]


def test_all_of_them(kinds):
    assert sorted(choose_slices(kinds, len(KINDS), (0, 220))) == list(range(len(KINDS)))


def test_medoids_minimise_the_distance_to_the_nearest(kinds):
    """One by one, each the best of all that could come next."""
    points = np.random.default_rng(0).random((12, 3))
    distance = np.array([[np.abs(a - b).sum() for b in points] for a in points])
    found = choose._find_medoids(points, 4)
    for count in range(4):
        before = found[:count]
        costs = [distance[[*before, n]].min(axis=0).sum() for n in range(12)]
        assert found[count] == np.argmin(costs)


def test_unusable_slices_are_neither_read_nor_chosen(kinds, monkeypatch):
    read = []
    original = choose.read_slice
    monkeypatch.setattr(
        choose, "read_slice", lambda volume, n: read.append(n) or original(volume, n)
    )
    chosen = choose_slices(kinds, 2, (0, 220), unusable={0, 1, 3, 6, 7})
    assert read == [2, 4, 5, 8]
    assert [KINDS[number] for number in chosen] == [1, 2]


def test_of_many_slices_some_at_equal_distances_are_looked_at(kinds, monkeypatch):
    monkeypatch.setattr(choose, "_MOST", 3)
    read = []
    original = choose.read_slice
    monkeypatch.setattr(
        choose, "read_slice", lambda volume, n: read.append(n) or original(volume, n)
    )
    choose_slices(kinds, 2, (0, 220))
    assert read == [0, 4, 8]


@pytest.mark.parametrize(("count", "unusable"), [(0, ()), (10, ()), (9, (4,))])
def test_more_than_there_are(kinds, count, unusable):
    usable = len(KINDS) - len(unusable)
    with pytest.raises(InputError, match=f"^{kinds.path}: has {usable} usable slices, so"):
        choose_slices(kinds, count, (0, 220), unusable)


@pytest.fixture(scope="module")
def grains():
    """Makes a sample of grains in air, ``(60, 96, 96)``, its inside and the sample alone."""
    rng = np.random.default_rng(0)
    field = gaussian_filter(rng.standard_normal((60, 96, 96)), (2, 3, 3))
    z, y, x = np.mgrid[:60, :96, :96]
    inside = np.hypot(y - 47.5, x - 47.5) < 42
    noise = rng.normal(0, 0.06, field.shape)
    return z, x, np.where(field > 0, 0.7, 0.45), inside, noise


def _choose(tmp_path, save_volume, values, inside, noise, count):
    scan = (np.where(inside, values, 0.1) + noise).astype(np.float32)[:, None]
    return choose_slices(save_volume(tmp_path / "scan.npy", scan), count, (0, 1))


def test_slices_of_air_are_not_chosen(grains, tmp_path, save_volume):
    z, _, values, inside, noise = grains
    inside = inside & (z >= 25) & (z < 40)
    assert all(25 <= n < 40 for n in _choose(tmp_path, save_volume, values, inside, noise, 4))


def test_an_end_plate_is_not_chosen(grains, tmp_path, save_volume):
    z, _, values, inside, noise = grains
    values = np.where((z < 6) | (z >= 54), 0.95, values)
    assert all(6 <= n < 54 for n in _choose(tmp_path, save_volume, values, inside, noise, 4))


def test_ends_of_a_tilted_sample_are_not_chosen(grains, tmp_path, save_volume):
    z, x, values, inside, noise = grains
    inside = inside & (z > 10 + 0.3 * (x - 48)) & (z < 50 + 0.3 * (x - 48))
    assert all(8 <= n < 52 for n in _choose(tmp_path, save_volume, values, inside, noise, 3))


def test_both_halves_of_a_sample_are_chosen(grains, tmp_path, save_volume):
    z, _, values, inside, noise = grains
    values = np.where((z >= 30) & (values > 0.6), 0.9, values)
    chosen = _choose(tmp_path, save_volume, values, inside, noise, 2)
    assert sorted(n >= 30 for n in chosen) == [False, True]


def test_a_short_scene_of_a_video_is_chosen(tmp_path, save_volume):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 60, (12, 3, 24, 32))
    frames[:, :, :12] += 100
    frames[:2, 0] += 90
    chosen = choose_slices(save_volume(tmp_path / "film.npy", frames.astype(np.uint8)), 2, (0, 255))
    assert chosen[0] >= 2
    assert chosen[1] < 2
