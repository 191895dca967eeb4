import importlib

import pytest
import torch
from torch_geometric import EdgeIndex

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn.propagate import (
    has_neighbors,
    in_degree,
    plain_edges,
    propagate,
    sort_edges,
)

module = importlib.import_module("sp_graph_seg.nn.propagate")  # the name is its function's, too

GRAPHS = {
    "plain": {"num_nodes": 9},
    "one feature": {"num_nodes": 5, "num_features": 1},
    "isolated nodes": {"num_nodes": 9, "isolated": 3},
    "no edges": {"num_nodes": 4, "isolated": 4},
    "one node": {"num_nodes": 1},
    "loops and duplicates": {"num_nodes": 8, "self_loops": 4, "duplicates": 5},
    "complete": {"num_nodes": 7, "density": 1.0},
}


@pytest.fixture(params=GRAPHS.values(), ids=GRAPHS.keys())
def graph(request, random_graph):
    return random_graph(seed=5, **request.param)


def source_out_of_order(edge_index, num_nodes):
    """Sorted by target, as PyG asks for, but with the sources the other way round."""
    order = (edge_index[1] * num_nodes + num_nodes - 1 - edge_index[0]).argsort(stable=True)
    ready = EdgeIndex(
        edge_index[:, order],
        sparse_size=(num_nodes, num_nodes),
        sort_order="col",
        is_undirected=True,
    )
    return ready, order


def test_sort_edges_sorts_by_target_then_source(graph):
    edges, weight = sort_edges(graph.edge_index, graph.num_nodes, graph.edge_weight)
    pairs = zip(*graph.edge_index.tolist(), graph.edge_weight.tolist(), strict=True)
    expected = sorted(pairs, key=lambda edge: (edge[1], edge[0]))  # stable, as documented
    source, target = edges.as_tensor().tolist()
    assert list(zip(source, target, weight.tolist(), strict=True)) == expected
    edges.validate()
    assert edges.is_undirected
    assert edges.is_sorted_by_col
    assert edges.sparse_size() == (graph.num_nodes, graph.num_nodes)


def test_sort_edges_trusts_its_own_result(graph):
    edges, weight = sort_edges(graph.edge_index, graph.num_nodes, graph.edge_weight)
    again, same = sort_edges(edges, graph.num_nodes, weight)
    assert again is edges
    assert same is weight
    assert sort_edges(edges, graph.num_nodes)[1] is None


def test_sort_edges_leaves_its_input_alone(graph):
    before = graph.edge_index.clone(), graph.edge_weight.clone()
    sort_edges(graph.edge_index, graph.num_nodes, graph.edge_weight)
    assert torch.equal(graph.edge_index, before[0])
    assert torch.equal(graph.edge_weight, before[1])


def test_sort_edges_takes_a_transposed_list_of_pairs():
    pairs = torch.tensor([[1, 0], [0, 1], [2, 1], [1, 2]])  # sorted, but no contiguous (2, E)
    edges, _ = sort_edges(pairs.t(), 3)
    assert torch.equal(edges.as_tensor(), pairs.t())


def test_sources_of_an_edge_index_may_come_in_any_order(random_graph, adjacency):
    graph = random_graph(8, density=0.6)
    loose, order = source_out_of_order(graph.edge_index, 8)
    edges, weight = sort_edges(loose, 8, graph.edge_weight[order])
    assert edges is loose
    assert_equals_a_dense_product(graph.x, edges, weight, adjacency)


def assert_equals_a_dense_product(x, edges, weight, adjacency):
    leaves = [leaf for leaf in (x, weight) if leaf.requires_grad]
    upstream = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    result = propagate(x, edges, weight)
    dense = adjacency(plain_edges(edges), weight, x.size(0)) @ x
    torch.testing.assert_close(result, dense)
    if leaves:
        torch.testing.assert_close(
            torch.autograd.grad(result, leaves, upstream),
            torch.autograd.grad(dense, leaves, upstream),
        )


@pytest.mark.parametrize("grad_of", ["x", "weight", "both"])
@pytest.mark.parametrize("at_once", [3, 1 << 18])
@pytest.mark.parametrize("way", ["rows", "scatter", "plain edges"])
def test_value_and_gradients_equal_a_dense_product(
    graph, adjacency, grad_of, at_once, way, monkeypatch
):
    """By rows; by adding up messages, as where there are no sparse rows; and without sorting."""
    monkeypatch.setitem(module._EDGES_AT_ONCE, "cpu", at_once)
    if way == "scatter":
        monkeypatch.setattr(module, "_WITH_SPARSE_ROWS", ())
    edges, weight = graph.edge_index, graph.edge_weight
    if way != "plain edges":
        edges, weight = sort_edges(edges, graph.num_nodes, weight)
    x = graph.x.clone().requires_grad_(grad_of != "weight")
    weight = weight.clone().requires_grad_(grad_of != "x")
    assert_equals_a_dense_product(x, edges, weight, adjacency)


@pytest.mark.parametrize("way", ["rows", "scatter"])
def test_gradients_of_every_kind(random_graph, way, monkeypatch):
    """First and second, backward and forward."""
    if way == "scatter":
        monkeypatch.setattr(module, "_WITH_SPARSE_ROWS", ())
    graph = random_graph(6, 2, isolated=1, self_loops=2, duplicates=2)
    edges, weight = sort_edges(graph.edge_index, 6, graph.edge_weight)
    inputs = graph.x.requires_grad_(), weight.requires_grad_()

    def function(x, w):
        return propagate(x, edges, w)

    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, inputs, check_fwd_over_rev=True)


def test_expanded_gradient(random_graph):
    """The gradient of a sum is an expanded scalar, which sparse products do not take."""
    graph = random_graph(6)
    edges, weight = sort_edges(graph.edge_index, 6, graph.edge_weight.requires_grad_())
    x = graph.x.requires_grad_()
    propagate(x, edges, weight).sum().backward()
    column_sums = torch.zeros(6, dtype=x.dtype).index_add(
        0, graph.edge_index[0], graph.edge_weight.detach()
    )
    torch.testing.assert_close(x.grad, column_sums[:, None].expand_as(x))


def test_nothing_of_size_e_times_f_is_kept(random_graph):
    graph = random_graph(40, 8, density=1.0)
    edges, weight = sort_edges(graph.edge_index, 40, graph.edge_weight.requires_grad_())
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, id_):
        out = propagate(graph.x.requires_grad_(), edges, weight)
        assert sum(kept) <= graph.x.numel() + graph.edge_weight.numel()
        inputs = graph.x, weight
        torch.autograd.grad(out.square().sum(), inputs, create_graph=True)
    assert 0 < max(kept) <= max(graph.x.numel(), graph.edge_weight.numel())


def id_(tensor):
    return tensor


def test_in_degree_and_neighbors(graph, adjacency):
    edges, weight = sort_edges(graph.edge_index, graph.num_nodes, graph.edge_weight)
    rows = adjacency(graph.edge_index, graph.edge_weight, graph.num_nodes).sum(dim=1)
    torch.testing.assert_close(in_degree(edges, weight, graph.num_nodes), rows)
    targets = set(graph.edge_index[1].tolist())
    assert has_neighbors(edges, graph.num_nodes).tolist() == [
        node in targets for node in range(graph.num_nodes)
    ]


@pytest.mark.parametrize(
    ("edge_index", "num_nodes", "num_weights", "name"),
    [
        ([[0, 1], [1, 3]], 3, 2, "edge_index names nodes 0 to 3"),
        ([[0, -1], [-1, 0]], 3, 2, "edge_index names nodes -1 to 0"),
        ([[0], [1]], 3, 1, "edge_index: .*reverse"),
        ([[0, 1, 0], [1, 0, 1]], 3, 3, "edge_index: .*reverse"),  # twice there, once back
        ([[0, 1, 2], [1, 2, 0]], 3, 3, "edge_index: .*reverse"),  # a directed cycle
        ([[0, 1]], 3, 2, "edge_index: "),
        ([0, 1], 3, 2, "edge_index: "),
        ([[0.0, 1.0], [1.0, 0.0]], 3, 2, "edge_index: .*float32"),
        ([[0, 1], [1, 0]], 3, 3, "edge_weight: "),
        ([[0, 1], [1, 0]], 0, 2, "x: has no rows"),
    ],
)
def test_refuses(edge_index, num_nodes, num_weights, name):
    with pytest.raises(InputError, match=f"^{name}"):
        sort_edges(torch.tensor(edge_index), num_nodes, torch.ones(num_weights))


def test_refuses_int32_and_a_matrix_of_weights():
    edge_index = torch.tensor([[0, 1], [1, 0]])
    with pytest.raises(InputError, match=r"edge_index: .*int32"):
        sort_edges(edge_index.int(), 2)
    with pytest.raises(InputError, match="edge_weight: "):
        sort_edges(edge_index, 2, torch.ones(2, 1))


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
def test_adj_t_holds_edges_and_weights(graph, adjacency, layout):
    matrix = adjacency(graph.edge_index, graph.edge_weight, graph.num_nodes)
    adj_t = matrix.to_sparse(layout=layout).requires_grad_()
    edges, weight = sort_edges(adj_t, graph.num_nodes)
    torch.testing.assert_close(adjacency(edges.as_tensor(), weight, graph.num_nodes), matrix)
    if weight.numel():
        (gradient,) = torch.autograd.grad(weight.square().sum(), adj_t)
        torch.testing.assert_close(gradient.to_dense(), 2 * matrix)


def test_entries_of_adj_t_that_are_repeated_are_added(adjacency):
    indices = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0]])
    adj_t = torch.sparse_coo_tensor(indices, torch.tensor([1.0, 2, 4, 8]), (2, 2))
    edges, weight = sort_edges(adj_t, 2)
    assert not adj_t.is_coalesced()
    assert torch.equal(
        adjacency(edges.as_tensor(), weight, 2), torch.tensor([[0.0, 3.0], [12.0, 0.0]])
    )


class FakeSparseTensor:
    """What ``torch_sparse.SparseTensor`` answers; that package is optional."""

    def __init__(self, value):
        self.value = value

    def sizes(self):
        return [2, 2]

    def coo(self):
        return torch.tensor([0, 1]), torch.tensor([1, 0]), self.value


@pytest.mark.parametrize("value", [None, torch.tensor([3.0, 5.0])])
def test_adj_t_of_torch_sparse(monkeypatch, value):
    for name in ("is_sparse", "to_edge_index"):
        function = getattr(module, name)
        monkeypatch.setitem(function.__globals__, "SparseTensor", FakeSparseTensor)
    edges, weight = sort_edges(FakeSparseTensor(value), 2)
    assert edges.tolist() == [[1, 0], [0, 1]]
    assert torch.equal(weight, torch.ones(2) if value is None else value)


def test_refuses_an_adj_t_that_does_not_fit():
    adj_t = torch.eye(3).to_sparse_csr()
    with pytest.raises(
        InputError, match=r"^edge_index: adj_t has shape \(3, 3\), but x has 4 rows"
    ):
        sort_edges(adj_t, 4)
    with pytest.raises(InputError, match=r"^edge_weight: adj_t already holds the weights"):
        sort_edges(adj_t, 3, torch.ones(3))
    with pytest.raises(InputError, match=r"^edge_index: "):
        sort_edges(torch.eye(4).to_sparse_bsr((2, 2)), 4)
    one_way = torch.tensor([[0.0, 1.0], [0.0, 0.0]]).to_sparse_csr()
    with pytest.raises(InputError, match=r"^edge_index: .*reverse"):
        sort_edges(one_way, 2)
