import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from sp_graph_seg.evaluation import (
    CLUSTERING_SCORES,
    contingency_table,
    score_clustering,
)


def from_sklearn(truth, labels):
    return [
        metrics.rand_score(truth, labels),
        metrics.adjusted_mutual_info_score(truth, labels),
        metrics.fowlkes_mallows_score(truth, labels),
        *metrics.homogeneity_completeness_v_measure(truth, labels),
    ]


def check(truth, labels):
    scores = score_clustering(contingency_table(labels, truth))
    assert tuple(scores) == CLUSTERING_SCORES
    np.testing.assert_allclose(list(scores.values()), from_sklearn(truth, labels), atol=1e-10)
    assert all(type(score) is float for score in scores.values())
    return scores


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_scikit_learn_agrees(pairs):
    check(*np.array(pairs).T)


@pytest.mark.parametrize("num_labels", [2, 30, 400])
def test_scikit_learn_agrees_on_an_image(label_map, num_labels):
    truth = label_map((60, 80), num_labels=9, seed=1).ravel()
    check(truth, label_map((60, 80), num_labels, seed=2).ravel())
    rng = np.random.default_rng(0)
    check(truth, rng.integers(0, num_labels, truth.size))


@pytest.mark.parametrize(
    ("truth", "labels"),
    [
        ([0], [0]),
        ([0, 0, 0], [7, 7, 7]),
        ([0, 1, 2], [5, 3, 4]),
        ([0, 0, 1], [0, 0, 0]),
        ([0, 0, 0], [0, 0, 1]),
        ([0, 0, 1, 1], [0, 1, 2, 3]),
        ([0, 0, 1, 1], [0, 1, 0, 1]),
    ],
)
def test_limits_are_those_of_scikit_learn(truth, labels):
    check(truth, labels)


def test_a_constant_segmentation_scores_0():
    scores = check([0, 0, 1, 2], [0, 0, 0, 0])
    assert (scores["v"], scores["h"], scores["c"], scores["ami"]) == (0, 0, 1, 0)


def test_names_of_labels_do_not_matter(label_map):
    labels, truth = label_map((20, 30), 6, seed=3), label_map((20, 30), 4, seed=4)
    renamed = np.random.default_rng(0).permutation(99)[labels]
    first, second = (score_clustering(contingency_table(side, truth)) for side in (labels, renamed))
    assert first == pytest.approx(second, abs=1e-12)
