"""Zones of nodes whose common boundary cannot be seen."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch_geometric.data import Data

from sp_graph_seg.prototypes.zones import find_zones, mean_over_zones


def graph_of(pairs, lengths, count):
    one, other = np.array(pairs).reshape(-1, 2).T
    edges = torch.tensor(np.array([[*one, *other], [*other, *one]]))
    length = torch.tensor([*lengths, *lengths], dtype=torch.float32)
    return Data(edge_index=edges, edge_boundary_length=length, num_nodes=count)


def chain(count):
    return graph_of([(n, n + 1) for n in range(count - 1)], [1] * (count - 1), count)


def test_a_ramp_is_one_zone_and_a_step_parts_two():
    colors = np.array([[0.0], [1.5], [3.0], [4.5], [6.0], [9.0], [10.0]])
    assert find_zones(chain(7), colors).tolist() == [0, 0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("lengths", [(1, 9), (9, 1)])
def test_long_boundaries_count_more(lengths):
    """Nodes 0 and 1 become a zone, and 2 and 3. Then jumps of 3 and 1.3 part both zones."""
    graph = graph_of([(0, 1), (2, 3), (0, 2), (1, 3)], [50, 50, *lengths], 4)
    colors = np.array([[0.0], [1.2], [3.0], [2.5]])
    together = np.average([3.0, 1.3], weights=lengths) < 2
    assert find_zones(graph, colors).tolist() == ([0] * 4 if together else [0, 0, 1, 1])


@given(seed=st.integers(0, 30), spread=st.sampled_from([1.0, 3.0, 10.0]))
def test_zones_are_connected_and_no_invisible_boundary_is_left(seed, spread):
    rng = np.random.default_rng(seed)
    count = 25
    pairs = [(n, n + 1) for n in range(count - 1)] + [(n, n + 5) for n in range(count - 5)]
    lengths = rng.integers(1, 9, len(pairs))
    graph = graph_of(pairs, lengths, count)
    colors = rng.normal(0, spread, (count, 2))
    zones = find_zones(graph, colors)
    assert sorted(set(zones.tolist())) == list(range(zones.max() + 1))
    inside = [pair for pair in pairs if zones[pair[0]] == zones[pair[1]]]
    one, other = np.array(inside, np.int32).reshape(-1, 2).T  # SciPy before 1.13 takes no other
    links = coo_array((np.ones(len(one)), (one, other)), shape=(count, count))
    assert connected_components(links, directed=False)[0] == zones.max() + 1
    jumps, total = {}, {}
    for (i, j), length in zip(pairs, lengths, strict=True):
        if zones[i] != zones[j]:
            key = tuple(sorted((zones[i], zones[j])))
            sign = 1 if zones[i] < zones[j] else -1
            jumps[key] = jumps.get(key, 0) + sign * length * (colors[i] - colors[j])
            total[key] = total.get(key, 0) + length
    assert all(np.linalg.norm(jump) / total[key] >= 2 - 1e-9 for key, jump in jumps.items())


def test_equal_differences_end():
    ring = graph_of([(n, (n + 1) % 6) for n in range(6)], [1] * 6, 6)
    assert find_zones(ring, np.zeros((6, 1))).tolist() == [0] * 6
    lone = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), edge_boundary_length=torch.zeros(0))
    assert find_zones(lone, np.zeros((2, 3))).tolist() == [0, 1]


def test_means_over_zones_by_a_loop():
    rng = np.random.default_rng(0)
    values, areas = rng.random((9, 3)), rng.random(9)
    zones = np.array([0, 1, 1, 2, 0, 2, 2, 1, 0])
    means = mean_over_zones(values, zones, areas)
    for node in range(9):
        same = zones == zones[node]
        expected = np.average(values[same], axis=0, weights=areas[same])
        np.testing.assert_allclose(means[node], expected)
