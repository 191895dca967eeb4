import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from sp_graph_seg import ToRAG
from sp_graph_seg.baselines.kmeans import distinct_colors, kmeans_centers
from sp_graph_seg.baselines.otsu import gray_histogram, otsu_thresholds
from sp_graph_seg.baselines.spectral import affinity_matrix, spectral_labels


@pytest.fixture
def graphs(label_map):
    rng = np.random.default_rng(0)
    return [ToRAG(superpixels=label_map((9, 12), seed=n))(rng.random((2, 9, 12))) for n in range(3)]


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


def test_affinities_are_those_of_neighbours(graphs):
    (graph, *_) = graphs
    expected = np.zeros((graph.num_nodes, graph.num_nodes))
    for source, target in graph.edge_index.T.tolist():
        distance = np.linalg.norm(graph.x[source].double() - graph.x[target].double())
        expected[target, source] = np.exp(-10 * distance)
    np.testing.assert_allclose(affinity_matrix([graph]).toarray(), expected, rtol=1e-5)


def test_images_are_linked_by_their_colours(graphs):
    matrix = affinity_matrix(graphs).toarray()
    np.testing.assert_array_equal(matrix, matrix.T)
    assert connected_components(matrix)[0] == 1
    starts = np.cumsum([0] + [graph.num_nodes for graph in graphs])
    parts = [slice(*pair) for pair in itertools.pairwise(starts)]
    largest = int(np.argmax([graph.num_nodes for graph in graphs]))
    main = graphs[largest].x.double().numpy()
    for number, graph in enumerate(graphs):
        block = matrix[parts[number], parts[largest]]
        if number != largest:
            distance = np.linalg.norm(graph.x.double().numpy()[:, None] - main, axis=-1)
            expected = np.where(
                distance == distance.min(axis=1, keepdims=True), np.exp(-10 * distance), 0
            )
            np.testing.assert_allclose(block, expected, rtol=1e-5)


def test_spectral_labels_part_two_cliques():
    clique, bridge = np.ones((5, 5)) - np.eye(5), 0.01 * np.eye(5)
    matrix = csr_array(np.block([[clique, bridge], [bridge, clique]]))
    labels = spectral_labels(matrix, 2, seed=0)
    assert len(set(labels[:5])) == len(set(labels[5:])) == 1
    assert set(labels) == {0, 1}


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
