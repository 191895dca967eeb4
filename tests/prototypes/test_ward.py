"""Weighted Ward clusters against scikit-learn's, which repeats points instead."""

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from sp_graph_seg.prototypes.ward import merge_near, ward_clusters

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("num_clusters", [1, 2, 4, 7])
def test_a_weight_is_as_good_as_copies(num_clusters):
    points, weights = RNG.random((12, 3)), RNG.integers(1, 5, 12)
    ours = ward_clusters(points, weights, num_clusters)
    copies = np.repeat(points, weights, axis=0)
    theirs = AgglomerativeClustering(num_clusters).fit_predict(copies)
    assert adjusted_rand_score(theirs, np.repeat(ours, weights)) == 1


def test_clusters_are_numbered_by_their_first_point():
    points = np.array([[5.0], [0.0], [5.1], [9.0], [0.1]])
    assert ward_clusters(points, np.ones(5), 3).tolist() == [0, 1, 0, 2, 1]
    assert ward_clusters(points, np.ones(5), 9).tolist() == [0, 1, 2, 3, 4]


def test_what_is_near_is_merged_and_nothing_else():
    points = np.array([[0.0], [2.0], [10.0], [11.5], [20.0]])
    assert merge_near(points, np.ones(5), 3.0).tolist() == [0, 0, 1, 1, 2]
    assert merge_near(points, np.ones(5), 1.0).tolist() == [0, 1, 2, 3, 4]
    assert merge_near(points, np.ones(5), 1e3).tolist() == [0] * 5
