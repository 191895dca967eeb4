"""The score against its formula in loops over pixels and edges, and the laws it has to keep."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from sp_graph_seg import ToRAG
from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation import unsupervised_score

SEEDS = st.integers(0, 10_000)


def make_graph(seed=0, shape=(6, 7), num_nodes=9, **options):
    """A graph of noise, and its nodes as a map ``(H, W)``."""
    rng = np.random.default_rng(seed)
    image = rng.random((3, *shape), dtype=np.float32)
    graph = ToRAG(superpixels=rng.integers(0, num_nodes, shape), **options)(image)
    return graph, rng


def vote(labels, graph):
    """The area and the label of each node, or None, pixel by pixel."""
    pixels = labels.ravel().tolist()
    if "pixel_mask" in graph:
        pixels = [p for p, is_in in zip(pixels, graph.pixel_mask.tolist(), strict=True) if is_in]
    nodes = [[] for _ in range(graph.num_nodes)]
    for node, label in zip(graph.pixel_index.tolist(), pixels, strict=True):
        nodes[node].append(label)
    winners = []
    for votes in nodes:
        known = sorted(label for label in votes if label >= 0)
        winners.append(max(known, key=known.count) if known else None)
    return [len(votes) for votes in nodes], winners


def naive_score(labels, graph):
    area, y = vote(labels, graph)
    x = graph.x.double().tolist()
    nodes = [i for i in range(len(y)) if y[i] is not None]

    def scatter_around_mean(members):
        weight = sum(area[i] for i in members)
        mean = [sum(area[i] * x[i][c] for i in members) / weight for c in range(len(x[0]))]
        return sum(area[i] * math.dist(x[i], mean) ** 2 for i in members)

    present = sorted({y[i] for i in nodes})
    within = sum(scatter_around_mean([i for i in nodes if y[i] == p]) for p in present)
    explained = 1 - within / scatter_around_mean(nodes)
    edges = [(i, j) for j, i in graph.edge_index.t().tolist() if {i, j} <= set(nodes)]
    ratios = []
    for p in present:
        weights = [(math.exp(-10 * math.dist(x[i], x[j])), y[j]) for i, j in edges if y[i] == p]
        if weights:
            own = sum(weight for weight, label in weights if label == p)
            ratios.append(own / sum(weight for weight, _ in weights))
    return explained * sum(ratios) / len(ratios) if ratios else 0.0


@given(SEEDS, st.integers(2, 5), st.integers(-2, 0))
def test_it_is_the_formula(seed, num_labels, lowest):
    graph, rng = make_graph(seed)
    labels = rng.integers(lowest, num_labels, (6, 7))
    score = unsupervised_score(labels, graph)
    assert score == pytest.approx(naive_score(labels, graph), rel=1e-5, abs=1e-9)
    assert 0 <= score <= 1


@given(SEEDS, st.permutations(range(4)))
def test_names_of_labels_mean_nothing(seed, names):
    graph, rng = make_graph(seed)
    node_labels = rng.integers(0, 4, graph.num_nodes)
    labels = node_labels[graph.pixel_index.numpy()].reshape(6, 7)
    score = unsupervised_score(labels, graph)
    assert score == pytest.approx(unsupervised_score(np.array(names)[labels], graph))
    # In order of size, large and with gaps: not even what is equally frequent changes.
    assert score == unsupervised_score(np.array([3, 70, 10**12, 2**62])[labels], graph)


@given(SEEDS, st.integers(-1, 3))
def test_one_label_scores_nothing(seed, label):
    graph, rng = make_graph(seed)
    labels = np.full((6, 7), abs(label))
    if label < 0:
        labels[rng.random(labels.shape) < 0.5] = -1
    assume((labels >= 0).any())
    assert unsupervised_score(labels, graph) == pytest.approx(0, abs=1e-12)
    assert unsupervised_score(labels, graph) >= 0


def test_a_label_for_each_superpixel_scores_nothing():
    graph, _ = make_graph()
    assert unsupervised_score(graph.pixel_index.reshape(6, 7).numpy(), graph) == 0


def test_one_colour_and_one_superpixel_score_nothing():
    halves = np.arange(8) // 4 * np.ones((6, 1), dtype=int)
    even = ToRAG(superpixels=np.arange(48).reshape(6, 8))(np.full((3, 6, 8), 0.5))
    assert unsupervised_score(halves, even) == 0
    noise = np.random.default_rng(0).random((3, 6, 8))
    single = ToRAG(superpixels=np.zeros((6, 8), dtype=int))(noise)
    assert unsupervised_score(halves, single) == 0


def test_a_score_by_hand():
    # Four pixels in a row, 0, 0, 1 and 1: the cut in the middle explains all.
    graph = ToRAG(superpixels=np.arange(4)[None])(np.array([[[0.0, 0, 1, 1]]]))
    across = math.exp(-10)
    right = unsupervised_score(np.array([[5, 5, 2, 2]]), graph)
    assert right == pytest.approx(2 / (2 + across))
    # One beside it: within is (0 + 0 + 1 of three) 2/3 of a total of 1.
    ratios = (2 + 2 * across) / (3 + 2 * across), 0.0
    wrong = unsupervised_score(np.array([[0, 0, 0, 1]]), graph)
    assert wrong == pytest.approx((1 - 2 / 3) * sum(ratios) / 2)


def test_the_true_segmentation_scores_most():
    rng = np.random.default_rng(3)
    image = np.full((3, 24, 32), 0.2) + rng.normal(0, 0.02, (3, 24, 32))
    image[:, :, 14:] += 0.5
    blocks = np.arange(24)[:, None] // 2 * 16 + np.arange(32) // 2
    graph = ToRAG(superpixels=blocks)(image)
    columns = np.arange(32) * np.ones((24, 1), dtype=int)
    scores = {x: unsupervised_score(columns >= x, graph) for x in range(2, 32, 2)}
    assert max(scores, key=scores.get) == 14
    assert scores[14] > 0.9
    assert scores[14] > 1.1 * max(scores[12], scores[16])
    assert scores[14] > unsupervised_score(np.minimum(columns // 7, 3), graph)  # split further


@given(SEEDS)
def test_unlabelled_superpixels_count_in_neither_factor(seed):
    # Without its last columns the image scores as with labels on the others only.
    rng = np.random.default_rng(seed)
    image, nodes = rng.random((3, 5, 8), dtype=np.float32), np.arange(40).reshape(5, 8)
    labels = rng.integers(0, 3, (5, 8))
    labels[:, 5:] = -1
    whole = unsupervised_score(labels, ToRAG(superpixels=nodes)(image))
    part = unsupervised_score(labels[:, :5], ToRAG(superpixels=nodes[:, :5])(image[..., :5]))
    assert whole == pytest.approx(part, rel=1e-5, abs=1e-9)


def test_pixels_without_a_label_do_not_vote():
    nodes = np.array([[0, 0, 0, 1, 1, 1]])
    graph = ToRAG(superpixels=nodes)(np.array([[[0.1, 0.1, 0.1, 0.8, 0.8, 0.8]]]))
    sparse = np.array([[-1, -3, 2, 4, -1, -1]])
    assert unsupervised_score(sparse, graph) == unsupervised_score(nodes, graph)


@given(SEEDS)
def test_what_a_mask_leaves_out_does_not_count(seed):
    mask = np.ones((6, 7), dtype=bool)
    mask[:2, 3:] = False
    graph, rng = make_graph(seed, mask=mask)
    labels = rng.integers(-1, 3, (6, 7))
    score = unsupervised_score(labels, graph)
    assert score == pytest.approx(naive_score(labels, graph), rel=1e-5, abs=1e-9)
    labels[~mask] = rng.integers(-5, 90, (~mask).sum())
    assert unsupervised_score(labels, graph) == score


@given(SEEDS)
def test_what_is_brighter_all_over_scores_the_same(seed):
    graph, rng = make_graph(seed)
    labels = rng.integers(0, 3, (6, 7))
    brighter = graph.clone()
    brighter.x = graph.x + 0.25
    score = unsupervised_score(labels, graph)
    assert unsupervised_score(labels, brighter) == pytest.approx(score, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, bool, torch.int64])
def test_any_type_of_labels(dtype):
    graph, rng = make_graph()
    labels = rng.integers(0, 2, (6, 7))
    typed = torch.tensor(labels) if dtype is torch.int64 else labels.astype(dtype)
    assert unsupervised_score(typed, graph) == unsupervised_score(labels, graph)


@pytest.mark.parametrize("shape", [(7, 6), (42,), (6, 8), (1, 6, 7)])
def test_labels_of_another_size_are_refused(shape):
    graph, _ = make_graph()
    with pytest.raises(InputError, match=r"^labels: the size is .*, but .* \(6, 7\); give"):
        unsupervised_score(np.zeros(shape, dtype=int), graph)


def test_labels_that_are_none_are_refused():
    graph, _ = make_graph()
    with pytest.raises(InputError, match=r"^labels: every pixel is unlabelled"):
        unsupervised_score(np.full((6, 7), -1), graph)
