"""Statistics of merged regions against those of their pixels, and the order of merging."""

import numpy as np

from sp_graph_seg.regions.merging import MergingRegions, merge_greedily
from sp_graph_seg.transforms.touching import find_touching, region_means, region_sizes

RNG = np.random.default_rng(0)


def make_regions(labels, values, strength):
    touching = find_touching(labels)
    num = len(touching.pairs)
    total = strength.ravel()[touching.first] + strength.ravel()[touching.second]
    return MergingRegions(
        region_sizes(labels),
        region_means(values, labels),
        touching.pairs,
        np.bincount(touching.which, minlength=num),
        np.bincount(touching.which, total, num)[:, None],
    )


def lightness_difference(regions, i, others):
    return np.abs(regions.mean[others, 0] - regions.mean[i, 0])


def test_statistics_of_merged_regions_are_those_of_their_pixels():
    labels = np.kron(np.arange(20).reshape(4, 5), np.ones((2, 3), int))
    values, strength = RNG.random((8, 15, 2)), RNG.random((8, 15))
    regions = make_regions(labels, values, strength)
    now = labels.copy()
    for number, (i, j, _) in enumerate(merge_greedily(regions, lightness_difference)):
        touching = find_touching(np.unique(now, return_inverse=True)[1].reshape(now.shape))
        ids = np.unique(now)
        assert {tuple(pair) for pair in ids[touching.pairs]} == {
            (a, b) for a in ids for b in regions.edges[a] if a < b
        }
        for region in (i, j):
            np.testing.assert_allclose(regions.mean[region], values[now == region].mean(axis=0))
            assert regions.size[region] == (now == region).sum()
        again = make_regions(np.searchsorted(ids, now), values, strength)
        one, other = np.searchsorted(ids, (i, j))
        np.testing.assert_allclose(regions.edges[i][j], again.edges[one][other])
        now[(now == i) | (now == j)] = regions.num_leaves + number
    assert np.unique(now).tolist() == [2 * 20 - 2]


def test_the_least_different_neighbours_merge_first():
    labels = np.array([[0, 1, 2, 3]])
    values = np.array([[[0.0], [0.4], [0.5], [0.0]]])  # 0 and 3 are alike, but do not touch
    regions = make_regions(labels, values, np.zeros((1, 4)))
    order = [(i, j) for i, j, _ in merge_greedily(regions, lightness_difference)]
    assert order == [(1, 2), (0, 4), (3, 5)]


def test_parts_that_do_not_touch_are_left():
    labels = np.array([[0, 1, -1, 2]])
    regions = make_regions(labels, np.zeros((1, 4, 1)), np.zeros((1, 4)))
    assert len(list(merge_greedily(regions, lightness_difference))) == 1
