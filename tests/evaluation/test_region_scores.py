import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import rand_score

from sp_graph_seg.evaluation import (
    contingency_table,
    contingency_tables,
    score_regions,
)
from sp_graph_seg.evaluation.region_scores import best_overlaps, variation_of_information

MAPS = arrays(np.int64, (4, 6), elements=st.integers(0, 3))


def bits(*maps):
    """Entropy of what several maps say together of a pixel."""
    _, counts = np.unique(np.stack([m.ravel() for m in maps]), axis=1, return_counts=True)
    share = counts / counts.sum()
    return -np.sum(share * np.log2(share))


def overlaps(labels, truth):
    """The best intersection over union of each region, mask by mask."""
    found, regions = ([m == value for value in np.unique(m)] for m in (labels, truth))
    return [max((a & b).sum() / (a | b).sum() for a in found) for b in regions]


def refinement(one, other):
    """Mean share of a pixel's region that lies outside of its other region."""
    regions = [((one == a), (other == b)) for a, b in zip(one.flat, other.flat, strict=True)]
    return np.mean([(mine & ~theirs).sum() / mine.sum() for mine, theirs in regions])


@given(MAPS, MAPS, MAPS)
def test_the_definitions_hold(labels, one, other):
    scores = score_regions(contingency_tables(labels, [one, other]))
    rands = [rand_score(truth.ravel(), labels.ravel()) for truth in (one, other)]
    assert scores["pri"] == pytest.approx(np.mean(rands))
    vi = [2 * bits(labels, truth) - bits(labels) - bits(truth) for truth in (one, other)]
    assert scores["vi"] == pytest.approx(np.mean(vi), abs=1e-9)
    covered = sum(
        np.bincount(truth.ravel())[np.unique(truth)] @ overlaps(labels, truth)
        for truth in (one, other)
    )
    assert scores["covering"] == pytest.approx(covered / (2 * labels.size))
    errors = [min(refinement(labels, truth), refinement(truth, labels)) for truth in (one, other)]
    assert scores["gce"] == pytest.approx(np.mean(errors))
    np.testing.assert_allclose(best_overlaps(contingency_table(labels, one)), overlaps(labels, one))


def test_a_perfect_segmentation(label_map):
    truth = label_map((20, 30), 7)
    scores = score_regions(contingency_tables(truth[::-1] + 5, [truth[::-1]] * 3))
    assert scores == {"pri": 1.0, "vi": 0.0, "covering": 1.0, "gce": 0.0}


def test_vi_is_in_bits_and_symmetric():
    halves, quarters = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3])
    for one, other in ((halves, quarters), (quarters, halves)):
        assert variation_of_information(contingency_table(one, other)) == pytest.approx(1.0)


def test_covering_counts_pixels_only_where_both_are_labelled():
    labels, truth = np.array([0, 0, 1, 1, -1]), np.array([0, 0, 0, -1, 1])
    # R = {0, 1, 2}, best overlap 2 / 3 with label 0; the pixels 3 and 4 are out.
    assert score_regions(contingency_tables(labels, [truth]))["covering"] == pytest.approx(2 / 3)
