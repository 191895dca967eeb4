import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch_geometric.data import Data

from sp_graph_seg import ToRAG
from sp_graph_seg.prototypes.descriptors import (
    describe_nodes,
    diffuse,
    links,
    mean_features,
    node_colors,
    noise_whitening,
)


def make_graph(image, **options):
    attributes = ("area", "edge_boundary_length")
    graph = ToRAG(n_segments=60, attributes=attributes, **options)(image)
    return graph, graph.pixel_index.numpy().reshape(image.shape[1:])


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.random((3, 5, 6)), np.ones((8, 8)))
    return (0.9 * blocks + 0.1 * rng.random(blocks.shape)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_colors_of_nodes_by_a_loop(channels):
    from skimage.color import rgb2lab

    rng = np.random.default_rng(channels)
    image = rng.random((channels, 9, 11)).astype(np.float32)
    nodes = rng.integers(-1, 6, (9, 11))
    colors = node_colors(image, nodes)
    assert colors.shape == (6, channels)
    for node in range(6):
        pixels = image[:, nodes == node].T  # (n, C)
        values = rgb2lab(pixels[None])[0] if channels == 3 else 100 * pixels
        np.testing.assert_allclose(colors[node], values.mean(axis=0), rtol=1e-4, atol=1e-4)


def random_links(count=30, channels=4, seed=0):
    """Nodes on a line; neighbours differ by correlated noise, which counts more in channel 0."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(count, channels)) * np.array([5, 1, 1, 0.5])[:channels]
    noise[:, -1] += noise[:, 0] / 3
    colors = noise + 10 * np.linspace(0, 1, count)[:, None] * rng.normal(size=channels)
    one, other = np.arange(count - 1), np.arange(1, count)
    edges = np.array([[*one, *other], [*other, *one]])
    return colors, Data(edge_index=torch.from_numpy(edges), num_nodes=count)


def noise_of(colors, graph):
    source, target = graph.edge_index.numpy()
    steps = colors[source] - colors[target]
    return steps.T @ steps / len(steps) / 2


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_whitened_noise_is_white_and_the_variance_stays(channels):
    colors, graph = random_links(400, channels)
    whitening = noise_whitening([colors], [graph])
    white = colors @ whitening
    noise = noise_of(white, graph)
    mean = np.trace(noise) / channels
    np.testing.assert_allclose(noise / mean, np.eye(channels), atol=0.02)
    variance = np.trace(np.atleast_2d(np.cov(colors.T)))
    assert np.trace(np.atleast_2d(np.cov(white.T))) == pytest.approx(variance)


def test_whitening_sees_all_images_and_harms_no_constant():
    (one, graph), (other, same) = random_links(seed=0), random_links(seed=1)
    together = noise_whitening([one, other], [graph, same])
    shifted = Data(edge_index=torch.cat([graph.edge_index, same.edge_index + 30], 1), num_nodes=60)
    np.testing.assert_allclose(
        together, noise_whitening([np.concatenate([one, other])], [shifted]), atol=1e-8
    )
    assert np.isfinite(noise_whitening([np.ones((30, 3))], [graph])).all()
    lone = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=1)
    assert np.isfinite(noise_whitening([np.ones((1, 3))], [lone])).all()


def test_links_by_a_loop(image):
    graph, _ = make_graph(image)
    descriptors = np.random.default_rng(0).normal(0, 8, (graph.num_nodes, 4))
    expected = np.zeros((graph.num_nodes,) * 2)
    lengths = graph.edge_boundary_length.numpy().ravel()
    for (source, target), length in zip(graph.edge_index.t().tolist(), lengths, strict=True):
        distance = ((descriptors[source] - descriptors[target]) ** 2).sum()
        expected[target, source] = length * np.exp(-distance / (2 * 15**2))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(links(graph, descriptors).toarray(), expected, atol=1e-6)


def test_rows_of_links_sum_to_one_even_for_a_node_unlike_all_others(image):
    graph, _ = make_graph(image)
    descriptors = np.zeros((graph.num_nodes, 2))
    descriptors[0] = 1e5
    np.testing.assert_allclose(links(graph, descriptors).sum(axis=1), 1)


def test_diffusion_keeps_constants_and_nodes_without_neighbours():
    adjacency = csr_array(np.array([[0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 1, 0, 0], [0, 0, 0, 0]]))
    constant = np.full((4, 2), 3.5)
    np.testing.assert_allclose(diffuse(constant, adjacency), constant)
    values = np.array([[0.0], [1.0], [5.0], [7.0]])
    before = values.copy()
    smooth = diffuse(values, adjacency)
    assert smooth[3] == 7
    assert np.ptp(smooth[:3]) < np.ptp(values[:3])
    np.testing.assert_array_equal(values, before)
    np.testing.assert_array_equal(diffuse(values, adjacency, steps=0), values)


def test_diffusion_tends_to_personalised_pagerank():
    """APPNP in closed form: a (I - (1 - a) A)^-1 with a = 0.3."""
    rng = np.random.default_rng(0)
    dense = rng.random((7, 7)) * (1 - np.eye(7))
    dense /= dense.sum(axis=1, keepdims=True)
    values = rng.normal(size=(7, 3))
    expected = 0.3 * np.linalg.solve(np.eye(7) - 0.7 * dense, values)
    np.testing.assert_allclose(diffuse(values, csr_array(dense), 80), expected, atol=1e-9)


def test_descriptors_hold_whitened_colors_and_place(image):
    graph, nodes = make_graph(image)
    colors = node_colors(image, nodes)
    without = describe_nodes(graph, colors, np.eye(3), 0.0)
    np.testing.assert_array_equal(without[:, 3:], 0)
    doubled = describe_nodes(graph, colors, 2 * np.eye(3), 0.5)
    place = graph.pos.numpy() * 100 / 48  # hundredths of the longer side
    raw = np.concatenate([2 * colors, 0.5 * place], axis=1)
    np.testing.assert_allclose(doubled, diffuse(raw, links(graph, raw)), rtol=1e-5)


def test_smoothing_stops_at_strong_edges():
    """Two halves of noise: variance falls inside, the step stays."""
    rng = np.random.default_rng(0)
    image = np.zeros((1, 48, 48), np.float32)
    image[:, :, 24:] = 0.8
    image += rng.random(image.shape, np.float32) * 0.2
    graph, nodes = make_graph(image)
    colors = node_colors(image, nodes)
    smooth = describe_nodes(graph, colors, np.eye(1), 0.0)[:, :1]
    right = colors[:, 0] > 50
    assert smooth[right].mean() - smooth[~right].mean() > 75
    assert smooth[right].std() < 0.7 * colors[right].std()


def test_mean_features_by_a_loop():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 3)).astype(np.float32)
    nodes = rng.integers(-1, 5, 40)
    expected = [features[nodes == node].mean(axis=0) for node in range(5)]
    np.testing.assert_allclose(mean_features(features, nodes), expected, atol=1e-6)
