import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sp_graph_seg.prototypes.thresholds import (
    balanced_thresholds,
    count_modes,
    histogram,
    mode_depths,
    otsu_thresholds,
)


def mixture(*modes, size=40000, seed=0):
    """Values of normals, each ``(mean, standard deviation, share)``."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(m, s, round(share * size)) for m, s, share in modes])


@pytest.mark.parametrize("num_labels", [2, 3, 4])
def test_otsu_is_that_of_scikit_image(num_labels):
    from skimage.filters import threshold_multiotsu

    values = mixture((40, 8, 0.5), (110, 10, 0.3), (180, 12, 0.2)).round().clip(0, 255)
    levels, counts = np.unique(values, return_counts=True)
    ours = np.searchsorted(otsu_thresholds(levels, counts, num_labels), values)
    theirs = np.digitize(values, threshold_multiotsu(values.astype(np.uint8), num_labels), True)
    np.testing.assert_array_equal(ours, theirs)


@given(
    weights=st.lists(st.floats(0.01, 20), min_size=2, max_size=8),
    num_labels=st.integers(2, 4),
    seed=st.integers(0, 9),
)
def test_otsu_takes_any_weights(weights, num_labels, seed):
    """The best of all splits by the weighted variance inside of the classes."""
    levels = np.sort(np.random.default_rng(seed).random(len(weights)))
    weights = np.array(weights)

    def within(thresholds):
        classes = np.searchsorted(thresholds, levels)
        total = 0.0
        for k in set(classes.tolist()):
            value, weight = levels[classes == k], weights[classes == k]
            total += (weight * (value - np.average(value, weights=weight)) ** 2).sum()
        return total

    count = min(num_labels, len(levels)) - 1
    middles = (levels[1:] + levels[:-1]) / 2
    best = min(within(np.array(t)) for t in itertools.combinations(middles, count))
    assert within(otsu_thresholds(levels, weights, num_labels)) == pytest.approx(best, abs=1e-8)


def test_a_histogram_has_few_values_as_they_are():
    levels, counts = histogram(np.array([[0.5, 0.25], [0.5, 1.0]], np.float32))
    assert (levels.tolist(), counts.tolist()) == ([0.25, 0.5, 1.0], [1, 2, 1])


def test_a_histogram_is_not_stretched_by_stray_values():
    values = np.append(np.random.default_rng(0).random(20000), [1e6, -1e6])
    levels, counts = histogram(values)
    assert counts.sum() == len(values)
    assert levels.min() >= 0
    assert levels.max() <= 1
    assert len(levels) == 128


def test_a_histogram_of_nearly_constant_values_keeps_all_of_them():
    """So few values differ from the rest that both quantiles are the same."""
    values = np.zeros(1_000_000)
    values[:200] = np.linspace(0.1, 1, 200)
    levels, counts = histogram(values)
    assert counts.sum() == len(values)
    assert counts.max() == len(values) - 200
    assert len(levels) > 50


def test_a_rare_phase_is_found_where_otsu_splits_a_common_one():
    values = mixture((0.3, 0.05, 0.8), (0.55, 0.05, 0.18), (0.75, 0.05, 0.02))
    truth = np.repeat([0, 1, 2], [32000, 7200, 800])

    def agreement(thresholds):
        return (np.searchsorted(thresholds, values) == truth).mean()

    assert agreement(otsu_thresholds(*histogram(values), 3)) < 0.6
    assert agreement(balanced_thresholds(values, 3)) > 0.95


def test_balanced_thresholds_ascend_and_are_as_many_as_there_are_values():
    values = np.random.default_rng(1).random(5000).astype(np.float32)
    thresholds = balanced_thresholds(values, 5)
    assert len(thresholds) == 4
    assert (np.diff(thresholds) > 0).all()
    assert balanced_thresholds(np.array([2.0, 1.0, 2.0]), 5).tolist() == [1.5]
    assert balanced_thresholds(np.full(9, 3.0), 3).tolist() == []


@pytest.mark.parametrize(
    ("modes", "count"),
    [
        ([(0.5, 0.1, 1.0)], 1),
        ([(0.3, 0.05, 0.5), (0.7, 0.05, 0.5)], 2),
        ([(0.3, 0.05, 0.97), (0.8, 0.05, 0.03)], 2),
        ([(0.2, 0.04, 0.3), (0.5, 0.04, 0.4), (0.8, 0.04, 0.3)], 3),
        ([(0.45, 0.1, 0.5), (0.55, 0.1, 0.5)], 1),  # nearer than their width
        ([(0.3, 0.03, 0.9985), (0.7, 0.01, 0.0015)], 1),  # under 0.2 %
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_modes_of_normals_are_counted(modes, count, seed):
    assert count_modes(mixture(*modes, size=60000, seed=seed)) == count


def test_the_depth_of_a_mode_is_that_of_the_density():
    """Of two equal normals d standard deviations apart: log of peak over valley."""
    sigma, distance = 0.05, 0.2
    x = np.linspace(0, distance, 2001)
    density = sum(np.exp(-((x - m) ** 2) / (2 * sigma**2)) for m in (0, distance))
    (depth,) = [d for d in mode_depths(mixture((0, sigma, 0.5), (distance, sigma, 0.5))) if d > 0.1]
    assert depth == pytest.approx(np.log(density.max() / density[1000]), abs=0.2)


@pytest.mark.parametrize(("scale", "shift"), [(7.0, 0.0), (1.0, -3.0), (250.0, 1000.0), (-1.0, 0)])
def test_depths_do_not_depend_on_scale_and_shift(scale, shift):
    values = mixture((0.3, 0.05, 0.5), (0.55, 0.05, 0.3), (0.8, 0.05, 0.2))
    depths, same = mode_depths(values)[:2], mode_depths(scale * values + shift)[:2]
    np.testing.assert_allclose(depths, same, rtol=0.02)
    assert depths == sorted(depths, reverse=True)


def test_a_constant_has_one_mode():
    assert mode_depths(np.full(100, 0.5)) == []
    assert count_modes(np.full(100, 0.5)) == 1
