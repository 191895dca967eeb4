import math

import pytest
import torch

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import affinity, color_distance, softmax_adjacency


@pytest.fixture(params=[torch.float32, torch.float64])
def graph(request, random_graph):
    return random_graph(9, 4, seed=1, dtype=request.param, isolated=2)


def test_color_distance_is_eq_2(graph):
    result = color_distance(graph.x, graph.edge_index)
    expected = [
        math.sqrt(sum((a - b) ** 2 for a, b in zip(graph.x[i], graph.x[j], strict=True)))
        for j, i in graph.edge_index.t().tolist()
    ]
    assert result.dtype == graph.x.dtype
    torch.testing.assert_close(result, torch.tensor(expected, dtype=graph.x.dtype))


def test_color_distance_has_finite_gradients_where_colors_are_equal(random_graph):
    graph = random_graph(6, 3, seed=2)
    x = graph.x.clone()
    x[1:4] = x[0]
    x.requires_grad_()
    color_distance(x, graph.edge_index).sum().backward()
    assert x.grad.isfinite().all()
    constant = torch.zeros(6, 3, requires_grad=True)
    color_distance(constant, graph.edge_index).sum().backward()
    assert not constant.grad.any()
    assert torch.autograd.gradcheck(
        lambda x: color_distance(x, graph.edge_index), graph.x.clone().requires_grad_()
    )


@pytest.mark.parametrize("tau", [-10.0, -1.0, -1e-3])
def test_affinity_falls_with_distance(tau):
    distance = torch.linspace(0, 3, 20, dtype=torch.float64)
    result = affinity(distance, tau)
    expected = torch.tensor([math.exp(tau * d) for d in distance], dtype=torch.float64)
    torch.testing.assert_close(result, expected)
    assert result[0] == 1
    assert (result.diff() < 0).all()
    assert (result > 0).all()


@pytest.mark.parametrize("tau", [0.0, 1.0, math.nan])
def test_affinity_refuses(tau):
    with pytest.raises(InputError, match=r"^tau="):
        affinity(torch.ones(3), tau)


@pytest.mark.parametrize("tau", [-5.0, 0.0, 1.0, 3.0])
def test_softmax_adjacency_is_eq_8(graph, tau):
    edges, w = graph.edge_index.t().tolist(), graph.edge_weight.tolist()
    result = softmax_adjacency(graph.edge_weight, graph.edge_index, graph.num_nodes, tau)
    expected = []
    for edge, (_, i) in enumerate(edges):
        total = sum(math.exp(tau * w[k]) for k, (_, to) in enumerate(edges) if to == i)
        expected.append(math.exp(tau * w[edge]) / total)
    assert result.dtype == graph.edge_weight.dtype
    torch.testing.assert_close(result, torch.tensor(expected, dtype=result.dtype))


@pytest.mark.parametrize("tau", [-1e3, -1.0, 0.0, 1.0, 1e3])
def test_softmax_adjacency_adds_up_to_1_at_each_target(random_graph, adjacency, tau):
    graph = random_graph(30, seed=3, isolated=4, density=0.2)
    weight = softmax_adjacency(graph.edge_weight, graph.edge_index, graph.num_nodes, tau)
    rows = adjacency(graph.edge_index, weight, graph.num_nodes).sum(dim=1)
    linked = torch.bincount(graph.edge_index[1], minlength=graph.num_nodes) > 0
    assert 0 < linked.sum() < graph.num_nodes
    torch.testing.assert_close(rows, linked.double())


def test_sign_of_tau_says_which_neighbours_weigh_most():
    edge_index = torch.tensor([[1, 2, 0, 0], [0, 0, 1, 2]])
    distance = torch.tensor([0.1, 0.9, 0.1, 0.9])
    similar, all_alike, different = (
        softmax_adjacency(distance, edge_index, 3, tau)[:2].tolist() for tau in (-2.0, 0.0, 2.0)
    )
    assert similar[0] > similar[1]
    assert all_alike == [0.5, 0.5]
    assert different[0] < different[1]


def test_softmax_adjacency_gradient(random_graph):
    graph = random_graph(6, seed=4)
    assert torch.autograd.gradcheck(
        lambda w: softmax_adjacency(w, graph.edge_index, 6, -1.5),
        graph.edge_weight.clone().requires_grad_(),
    )


def test_no_edges():
    none = torch.empty(2, 0, dtype=torch.long)
    assert color_distance(torch.rand(3, 2), none).shape == (0,)
    assert softmax_adjacency(torch.empty(0), none, 3).shape == (0,)
