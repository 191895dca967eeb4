import itertools

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from sp_graph_seg import ToRAG
from sp_graph_seg.baselines.spectral import affinity_matrix, spectral_labels


@pytest.fixture
def graphs(label_map):
    rng = np.random.default_rng(0)
    return [ToRAG(superpixels=label_map((9, 12), seed=n))(rng.random((2, 9, 12))) for n in range(3)]


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
