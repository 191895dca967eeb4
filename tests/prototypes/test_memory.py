import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from sp_graph_seg.prototypes.memory import recall

SIDE = 1.9


def frame(count=40, seed=0, shift=0.0):
    """Nodes at random places of a picture of 60x100 with their colours and probabilities."""
    rng = np.random.default_rng(seed)
    pos = rng.random((count, 2)) * [60, 100] + shift
    graph = Data(pos=torch.from_numpy(pos), image_size=torch.tensor([[60, 100]]))
    return graph, rng.random((count, 3)) * 100, rng.dirichlet(np.ones(4), count)


def test_the_first_frame_remembers_nothing():
    graph, colors, probabilities = frame()
    result, memory = recall(probabilities, graph, colors, None, 0.9, SIDE)
    np.testing.assert_array_equal(result, probabilities)
    np.testing.assert_array_equal(memory.probabilities, probabilities)


def test_a_frame_that_has_not_changed_keeps_its_probabilities():
    """Nodes far from one another: each is mixed with itself alone."""
    graph, colors, probabilities = frame()
    colors = 200 * np.arange(len(colors))[:, None] * np.ones(3)
    _, memory = recall(probabilities, graph, colors, None, 0.9, SIDE)
    for _ in range(4):
        result, memory = recall(probabilities, graph, colors, memory, 0.9, SIDE)
        np.testing.assert_allclose(result, probabilities, atol=1e-12)


def test_what_is_remembered_has_its_share_where_nothing_changed():
    graph, colors, old = frame()
    colors = 200 * np.arange(len(colors))[:, None] * np.ones(3)
    new = frame(seed=1)[2]
    _, memory = recall(old, graph, colors, None, 0.7, SIDE)
    result, memory = recall(new, graph, colors, memory, 0.7, SIDE)
    np.testing.assert_allclose(result, 0.3 * new + 0.7 * old, atol=1e-9)
    np.testing.assert_array_equal(memory.probabilities, result)
    again, _ = recall(new, graph, colors, memory, 0.7, SIDE)
    np.testing.assert_allclose(again, 0.3 * new + 0.7 * result, atol=1e-9)


def test_recall_by_a_loop():
    graph, colors, old = frame()
    moved, changed, new = frame(seed=1)
    keys = [
        np.concatenate([c / 6.0, g.pos.numpy() / SIDE], axis=1)
        for g, c in ((graph, colors), (moved, colors + 0.03 * changed))
    ]
    _, memory = recall(old, graph, colors, None, 0.9, SIDE)
    result, _ = recall(new, moved, colors + 0.03 * changed, memory, 0.9, SIDE)
    for node in range(len(new)):
        distance = np.linalg.norm(keys[0] - keys[1][node], axis=1)
        six = np.argsort(distance)[:6]
        weight = np.exp(-(distance[six] ** 2 - distance[six].min() ** 2) / 2)
        past = (weight[:, None] * old[six]).sum(axis=0) / weight.sum()
        trust = 0.9 * np.exp(-(distance.min() ** 2) / (2 * 2.0**2))
        np.testing.assert_allclose(result[node], (1 - trust) * new[node] + trust * past)
    np.testing.assert_allclose(result.sum(axis=1), 1)


@pytest.mark.parametrize("what", ["colours", "places"])
def test_a_new_thing_is_not_taken_for_an_old_one(what):
    graph, colors, old = frame()
    _, memory = recall(old, graph, colors, None, 0.9, SIDE)
    new = frame(seed=1)[2]
    other = frame(shift=500.0)[0] if what == "places" else graph
    result, _ = recall(new, other, colors + (300 if what == "colours" else 0), memory, 0.9, SIDE)
    np.testing.assert_allclose(result, new, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_frame_of_few_nodes_is_remembered(count):
    graph, colors, old = frame(count)
    _, memory = recall(old, graph, colors, None, 0.9, SIDE)
    new_graph, new_colors, new = frame(30, seed=2)
    result, _ = recall(new, new_graph, new_colors, memory, 0.9, SIDE)
    np.testing.assert_allclose(result.sum(axis=1), 1)


def test_places_are_compared_in_superpixels():
    """A picture twice as large, with superpixels twice as wide, is remembered alike."""
    results = []
    for scale in (1, 2):
        graph, colors, old = frame()
        moved, changed, new = frame(seed=1)
        for each in (graph, moved):
            each.pos = scale * each.pos
        _, memory = recall(old, graph, colors, None, 0.9, scale * SIDE)
        results.append(recall(new, moved, colors + 0.03 * changed, memory, 0.9, scale * SIDE)[0])
    np.testing.assert_allclose(*results)
    assert np.abs(results[0] - new).max() > 0.01
