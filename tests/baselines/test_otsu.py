import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sp_graph_seg.baselines.otsu import gray_histogram
from sp_graph_seg.prototypes.thresholds import otsu_thresholds


def test_a_histogram_has_the_values_themselves_or_256_bins():
    levels, counts = gray_histogram(np.array([0.5, 0.1, 0.5], np.float32))
    np.testing.assert_allclose(levels, [0.1, 0.5])
    assert counts.tolist() == [1, 2]
    levels, counts = gray_histogram(np.append(np.linspace(0, 0.999, 1000), 2.0))
    assert len(levels) == 129  # there is nothing between 1 and the last bin
    assert counts.sum() == 1001


@given(
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=7),
    num_labels=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_otsu_finds_the_best_of_all_splits(counts, num_labels, seed):
    levels = np.sort(np.random.default_rng(seed).random(len(counts)))
    pixels = np.repeat(levels, counts)

    def within(thresholds):
        labels = np.searchsorted(thresholds, pixels)
        return sum(((v := pixels[labels == k]) - v.mean()).var() * v.size for k in set(labels))

    middles = (levels[1:] + levels[:-1]) / 2
    num_thresholds = min(num_labels, len(levels)) - 1
    best = min(within(np.array(t)) for t in itertools.combinations(middles, num_thresholds))
    thresholds = otsu_thresholds(levels, np.array(counts), num_labels)
    assert len(thresholds) == num_thresholds
    assert within(thresholds) == pytest.approx(best, abs=1e-9)
