import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sp_graph_seg.prototypes import Prototypes, fit_prototypes
from sp_graph_seg.prototypes.prototypes import fit_distinct_prototypes


def blobs(*centers, size=600, spread=0.04, shares=None, seed=0):
    """Points round each centre, and the number of the centre of each."""
    rng = np.random.default_rng(seed)
    counts = [round(size * share) for share in shares or [1.0] * len(centers)]
    points = [rng.normal(c, spread, (n, len(c))) for c, n in zip(centers, counts, strict=True)]
    truth = np.repeat(np.arange(len(centers)), counts)
    order = rng.permutation(len(truth))
    return np.concatenate(points).astype(np.float32)[order], truth[order]


def make(num_labels, features=3, seed=0):
    rng = np.random.default_rng(seed)
    shares = rng.random(num_labels) + 0.1
    centers = rng.normal(size=(num_labels, features)).astype(np.float32)
    return Prototypes(centers, (shares / shares.sum()).astype(np.float32))


def same_parts(one, other):
    """Whether two labellings part the points in the same way."""
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


@given(num_labels=st.integers(2, 6), features=st.integers(1, 4), seed=st.integers(0, 20))
def test_the_nearest_prototype_by_a_loop(num_labels, features, seed):
    prototypes = make(num_labels, features, seed)
    points = np.random.default_rng(seed + 1).normal(size=(40, features)).astype(np.float32)
    labels, margins = prototypes.nearest(points)
    for point, label, margin in zip(points, labels, margins, strict=True):
        distances = [np.sqrt(((point - center) ** 2).sum()) for center in prototypes.centers]
        first, second = sorted(distances)[:2]
        assert distances[label] == pytest.approx(first, abs=1e-6)
        assert margin == pytest.approx((second - first) / second, abs=1e-4)
        assert 0 <= margin <= 1


def test_margins_are_1_at_a_prototype_and_0_halfway():
    prototypes = Prototypes(np.array([[0.0], [1.0]], np.float32), np.full(2, 0.5, np.float32))
    labels, margins = prototypes.nearest(np.array([[0.0], [0.5], [1.0], [0.25]], np.float32))
    assert labels[[0, 2, 3]].tolist() == [0, 1, 0]
    np.testing.assert_allclose(margins, [1, 0, 1, 2 / 3], atol=1e-6)
    same = Prototypes(np.zeros((2, 1), np.float32), np.full(2, 0.5, np.float32))
    assert same.nearest(np.zeros((1, 1), np.float32))[1].tolist() == [0]
    alone = Prototypes(np.zeros((1, 1), np.float32), np.ones(1, np.float32))
    labels, margins = alone.nearest(np.ones((3, 1), np.float32))
    assert (labels.tolist(), margins.tolist()) == ([0, 0, 0], [1, 1, 1])


def test_pieces_of_many_points_give_what_the_whole_gives(monkeypatch):
    from sp_graph_seg.prototypes import prototypes as module

    prototypes = make(5)
    points = np.random.default_rng(0).normal(size=(1001, 3)).astype(np.float32)
    whole = prototypes.nearest(points)
    monkeypatch.setattr(module, "_AT_ONCE", 64)
    for part, one in zip(prototypes.nearest(points), whole, strict=True):
        np.testing.assert_array_equal(part, one)


def test_another_order_renames_the_labels():
    prototypes = make(4)
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    order = np.array([2, 0, 3, 1])
    other = prototypes.reordered(order)
    np.testing.assert_array_equal(order[other.nearest(points)[0]], prototypes.nearest(points)[0])
    np.testing.assert_array_equal(other.shares, prototypes.shares[order])


@given(num_labels=st.integers(1, 7), seed=st.integers(0, 20))
def test_mergers_are_nested_and_of_the_size_asked_for(num_labels, seed):
    prototypes = make(num_labels, seed=seed)
    finer = prototypes.merge(num_labels)
    assert finer.tolist() == list(range(num_labels))
    for wanted in range(num_labels - 1, 0, -1):
        coarser = prototypes.merge(wanted)
        assert list(dict.fromkeys(coarser.tolist())) == list(range(wanted))
        pairs = set(zip(finer.tolist(), coarser.tolist(), strict=True))
        assert len(pairs) == wanted + 1  # just two of the finer ones became one
        finer = coarser


def test_those_that_add_least_are_merged_first():
    """Ward by hand: s t / (s + t) d^2, with shares and not only distances."""
    centers = np.array([[0.0], [1.0], [2.2]], np.float32)
    alike = Prototypes(centers, np.array([0.4, 0.3, 0.3], np.float32))
    assert alike.merge(2).tolist() == [0, 0, 1]
    rare = Prototypes(centers, np.array([0.49, 0.49, 0.02], np.float32))
    assert rare.merge(2).tolist() == [0, 1, 1]


@pytest.mark.parametrize("features", [1, 2, 4])
def test_blobs_are_found_the_same_in_any_order(features):
    centers = np.random.default_rng(3).permutation(3)[:, None] * np.ones((3, features)) / 3
    points, truth = blobs(*centers, shares=[1, 0.5, 0.05])
    found, again = (fit_prototypes(part, 3) for part in (points, points[::-1].copy()))
    assert same_parts(found.nearest(points)[0], truth)
    assert same_parts(again.nearest(points)[0], truth)
    same = fit_prototypes(points, 3)
    np.testing.assert_array_equal(found.centers, same.centers)
    order, other = (np.argsort(f.centers[:, 0]) for f in (found, again))
    np.testing.assert_allclose(found.centers[order], again.centers[other], atol=0.01)
    np.testing.assert_allclose(np.sort(found.shares), np.bincount(truth)[[2, 1, 0]] / len(truth))
    assert found.centers.dtype == found.shares.dtype == np.float32


def test_one_feature_is_parted_by_balanced_thresholds():
    from sp_graph_seg.prototypes.thresholds import balanced_thresholds

    points, _ = blobs((0.2,), (0.5,), (0.9,), shares=[1, 0.3, 0.1], size=4000)
    labels, _ = fit_prototypes(points, 3).nearest(points)
    expected = np.searchsorted(balanced_thresholds(points, 3), points[:, 0])
    assert (labels == expected).mean() > 0.998


def test_a_rare_blob_is_found_among_common_ones():
    points, truth = blobs(
        (0.0, 0.0), (1.0, 0.0), (0.5, 0.6), shares=[1, 1, 0.02], size=5000, spread=0.12
    )
    labels, _ = fit_prototypes(points, 3).nearest(points)
    assert len(set(labels[truth == 2].tolist())) == 1
    assert (labels == labels[truth == 2][0]).mean() < 0.05


@pytest.mark.parametrize("features", [1, 2])
def test_there_are_no_more_prototypes_than_values(features):
    points = np.repeat(np.eye(2, features, dtype=np.float32), 20, axis=0)
    found = fit_prototypes(points, 4)
    assert len(found) == 2
    np.testing.assert_allclose(found.shares, 0.5)
    constant = fit_prototypes(np.ones((30, features), np.float32), 3)
    assert constant.centers.tolist() == [[1.0] * features]


@pytest.mark.parametrize(
    "centers",
    [
        [(0, 0, 0), (1, 1, 0)],
        [(0, 0, 0), (1, 0, 0), (0, 1, 1)],
        [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 1)],
    ],
    ids=len,
)
def test_as_many_prototypes_as_blobs(centers):
    points, truth = blobs(*centers, size=2000, spread=0.1)
    found = fit_distinct_prototypes(points)
    assert len(found) == len(centers)
    assert same_parts(found.nearest(points)[0], truth)


def test_blobs_that_lie_close_beside_the_distance_of_others_are_one_mode():
    points, truth = blobs((0, 0), (0.04, 0), (0, 1), size=2000, spread=0.004)
    found = fit_distinct_prototypes(points)
    assert len(found) == 2
    assert same_parts(found.nearest(points)[0], truth == 2)
    near = points[truth < 2]  # by themselves they are two
    assert same_parts(fit_distinct_prototypes(near).nearest(near)[0], truth[truth < 2])


def test_one_blob_gets_two_prototypes_at_least():
    points, _ = blobs((0.0, 0.0), size=2000)
    assert len(fit_distinct_prototypes(points)) == 2
