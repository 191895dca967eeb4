import numpy as np

from sp_graph_seg.baselines.kmeans import distinct_colors, kmeans_centers


def test_distinct_colors_are_those_of_numpy():
    colors = np.random.default_rng(0).integers(0, 3, (200, 3)).astype(np.float32)
    expected, expected_counts = np.unique(colors, axis=0, return_counts=True)
    found, counts = distinct_colors(colors)
    order = np.lexsort(found.T[::-1])
    np.testing.assert_array_equal(found[order], expected)
    np.testing.assert_array_equal(counts[order], expected_counts)


def test_centres_weigh_colours_by_how_often_they_are():
    colors = np.array([[0.9]] + 3 * [[0.0]] + [[0.2]])
    np.testing.assert_allclose(kmeans_centers(colors, 2, seed=0), [[0.05], [0.9]])
    assert kmeans_centers(colors, 9, seed=0).tolist() == [[0.0], [0.2], [0.9]]
