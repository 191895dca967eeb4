import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sp_graph_seg.prototypes import Phases, Prototypes, tiles
from sp_graph_seg.segmenter import Segmenter
from sp_graph_seg.streaming.joined import DEPENDS_ON, Described, label_joined

SIZE = (30, 40)
GREYS = np.array([[0.0], [0.5], [1.0]], np.float32)


@pytest.fixture
def segmenter():
    """A model that knows two values, 0 and 1."""
    model = Segmenter()
    centers = np.array([[0.0], [1.0]], np.float32)
    model.labeller_ = Phases([], 0.0, 1.0, 1.0, 0.0, prototypes=Prototypes(centers, centers[:, 0]))
    model.relabel_ = None
    return model


def run(segmenter, slices, numbers=None, insides=None):
    numbers = numbers or range(len(slices))
    insides = insides or [None] * len(slices)
    described = [
        Described(n, plane[None], inside)
        for n, plane, inside in zip(numbers, slices, insides, strict=True)
    ]
    found = {number: labels for number, labels, _ in label_joined(segmenter, described)}
    assert list(found) == list(numbers)
    return np.stack(list(found.values()))


def noisy(truth, size=0.25, seed=0):
    noise = np.random.default_rng(seed).normal(0, size, truth.shape)
    return (truth + noise).astype(np.float32)


def test_noise_changes_fewer_labels_from_slice_to_slice(segmenter):
    truth = np.zeros((6, *SIZE))
    truth[:, :, 20:] = 1
    slices = noisy(truth)
    alone, joined = slices > 0.5, run(segmenter, slices)
    assert (joined != truth).mean() < 0.5 * (alone != truth).mean()
    assert (np.diff(joined, axis=0) != 0).mean() < 0.5 * (np.diff(alone, axis=0) != 0).mean()


def test_what_changes_along_z_keeps_its_labels(segmenter):
    """A ball of one slice, and slices that have nothing to do with each other."""
    truth = np.zeros((5, *SIZE))
    truth[2, 10:20, 10:20] = 1
    np.testing.assert_array_equal(run(segmenter, noisy(truth, 0.05)), truth)
    other = np.random.default_rng(1).integers(0, 2, (5, 5, 5)).repeat(6, axis=1).repeat(8, axis=2)
    assert (run(segmenter, noisy(other, 0.05)) != other).mean() < 0.005  # corners


def test_a_missing_slice_is_beside_none(segmenter):
    slices = noisy(np.full((4, *SIZE), 0.4))
    parts = [run(segmenter, slices[:2]), run(segmenter, slices[2:])]
    together = run(segmenter, slices, numbers=[3, 4, 6, 7])
    np.testing.assert_array_equal(together, np.concatenate(parts))
    assert (run(segmenter, slices) != together).any()


def test_pixels_without_data_are_not_averaged_and_have_no_label(segmenter):
    slices = np.stack([np.full(SIZE, 0.45), np.full(SIZE, 0.6)]).astype(np.float32)
    inside = np.ones(SIZE, bool)
    inside[:, 10:] = False
    labels = run(segmenter, slices, insides=[None, inside])
    assert (labels[0, :, :9] == 1).all()  # 0.525
    assert (labels[0, :, 10:] == 0).all()
    assert (labels[1] == -1).sum() == (~inside).sum()


def test_one_label_needs_no_neighbours(segmenter):
    segmenter.labeller_.prototypes = Prototypes(np.zeros((1, 1), np.float32), np.ones(1))
    assert (run(segmenter, noisy(np.zeros((3, *SIZE)))) == 0).all()


def test_bands_of_rows_change_nothing(segmenter, monkeypatch):
    truth = np.random.default_rng(1).integers(0, 2, (3, 5, 5)).repeat(6, axis=1).repeat(8, axis=2)
    slices, inside = noisy(truth), np.random.default_rng(2).random(SIZE) > 0.2
    whole = run(segmenter, slices, insides=[None, inside, None])
    monkeypatch.setattr(tiles, "_BAND", 100)
    np.testing.assert_array_equal(run(segmenter, slices, insides=[None, inside, None]), whole)


@pytest.fixture
def balls():
    """Slices of dark balls with blurred edges in a bright ground, and the truth."""
    places = np.stack(np.mgrid[:20, :48, :64])
    truth = np.full(places.shape[1:], 2)
    for center in ((9, 12, 14), (11, 30, 25), (8, 20, 50)):
        truth[np.linalg.norm(places - np.reshape(center, (3, 1, 1, 1)), axis=0) < 7] = 0
    return gaussian_filter(GREYS[truth, 0], 0.8), truth


@pytest.fixture
def three_greys(segmenter):
    segmenter.labeller_.prototypes = Prototypes(GREYS, GREYS[:, 0])
    return segmenter


def test_rims_are_removed_with_the_slices_beside(three_greys, balls):
    slices, truth = balls
    alone = np.stack([three_greys.labeller_.label(plane[None])[0] for plane in slices])
    together = run(three_greys, slices)
    assert (alone == 1).sum() > 100
    assert (together == 1).sum() < 0.1 * (alone == 1).sum()
    assert (together != truth).mean() < (alone != truth).mean()


def test_labels_depend_on_two_slices_on_each_side(three_greys, balls):
    slices, _ = balls
    whole = run(three_greys, slices)
    part = run(three_greys, slices[7 - DEPENDS_ON : 12 + DEPENDS_ON])
    np.testing.assert_array_equal(part[DEPENDS_ON:-DEPENDS_ON], whole[7:12])


def test_rims_of_unrelated_slices_are_removed_alone(three_greys):
    random = np.random.default_rng(3)
    truth = random.integers(0, 3, (4, 6, 8)).repeat(16, axis=1).repeat(16, axis=2)
    slices = np.stack([gaussian_filter(plane, 0.6) for plane in GREYS[truth, 0]])
    alone = np.stack([three_greys.labeller_.label(plane[None])[0] for plane in slices])
    assert (run(three_greys, slices) != alone).mean() < 0.01
