"""The losses on any graph: the dense formula, and what may change nothing."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data

from sp_graph_seg.nn import continuity_loss, ncut_loss, similarity_loss, sort_edges

# Each loss as a function of (x, edge_index, edge_weight, batch) with any x, and the same written
# plainly, as a function of (x, A, nodes with neighbours).


def ncut(x, edge_index, edge_weight, batch=None):
    return ncut_loss(x.softmax(dim=-1), edge_index, edge_weight, batch)


def dense_ncut(x, A, linked):
    f = x.softmax(dim=-1)
    loss, all_empty = x.new_ones(()), True
    for p in range(f.size(1)):
        total = (A.sum(dim=1) * f[:, p]).sum()
        if total > 0:
            loss = loss - f[:, p] @ A @ f[:, p] / total / f.size(1)
            all_empty = False
    return x.sum() * 0 if all_empty else loss


def similarity(x, edge_index, edge_weight, batch=None):
    return similarity_loss(x, batch=batch)


def dense_similarity(x, A, linked):
    terms = [row.exp().max() / row.exp().sum() for row in x]
    return -torch.stack(terms).log().mean()


def continuity(x, edge_index, edge_weight, batch=None):
    return continuity_loss(x, edge_index, edge_weight, batch)


def dense_continuity(x, A, linked):
    loss = x.sum() * 0
    for i in linked:
        neighbors = sum((A[i, j] * x[j] for j in range(len(x))), x.new_zeros(x.size(1)))
        loss = loss + (neighbors - x[i]).abs().sum()
    return loss / x.numel()


DENSE = {ncut: dense_ncut, similarity: dense_similarity, continuity: dense_continuity}
all_losses = pytest.mark.parametrize("loss", DENSE, ids=lambda loss: loss.__name__)
graph_losses = pytest.mark.parametrize("loss", [ncut, continuity], ids=lambda loss: loss.__name__)

GRAPHS = {
    "plain": {"num_nodes": 12, "num_features": 4},
    "one feature": {"num_nodes": 6, "num_features": 1},
    "isolated nodes": {"num_nodes": 9, "isolated": 3},
    "no edges": {"num_nodes": 4, "isolated": 4},
    "one node": {"num_nodes": 1},
    "one node, one feature": {"num_nodes": 1, "num_features": 1},
    "loops and duplicates": {"num_nodes": 8, "self_loops": 4, "duplicates": 5},
    "complete": {"num_nodes": 7, "density": 1.0},
}
some_graphs = pytest.mark.parametrize("kwargs", GRAPHS.values(), ids=GRAPHS.keys())
graph_args = st.fixed_dictionaries(
    {
        "num_nodes": st.integers(2, 15),
        "num_features": st.integers(1, 5),
        "seed": st.integers(0, 1000),
        "density": st.sampled_from([0.1, 0.3, 1.0]),
        "isolated": st.integers(0, 2),
        "self_loops": st.integers(0, 2),
        "duplicates": st.integers(0, 2),
    }
)


def value_and_gradients(loss, x, edge_index, edge_weight, batch=None):
    x, edge_weight = (t.detach().clone().requires_grad_() for t in (x, edge_weight))
    value = loss(x, edge_index, edge_weight, batch)
    gradients = torch.autograd.grad(
        value, (x, edge_weight), allow_unused=True, materialize_grads=True
    )
    return value.detach(), *gradients


@all_losses
@some_graphs
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_and_gradients_equal_the_dense_formula(loss, kwargs, dtype, random_graph, adjacency):
    graph = random_graph(seed=7, dtype=dtype, **kwargs)

    def dense(x, edge_index, edge_weight, batch):
        matrix = adjacency(edge_index, edge_weight, graph.num_nodes)
        return DENSE[loss](x, matrix, edge_index[1].unique().tolist())

    result = value_and_gradients(loss, *graph)
    assert result[0].shape == ()
    assert result[0].dtype == dtype
    torch.testing.assert_close(result, value_and_gradients(dense, *graph))


@graph_losses
def test_gradient_of_either_input_alone(loss, random_graph):
    """The path with a gradient of the weights and the one without agree."""
    graph = random_graph(10, seed=8)
    _, grad_x, grad_weight = value_and_gradients(loss, *graph)
    x = graph.x.clone().requires_grad_()
    loss(x, graph.edge_index, graph.edge_weight).backward()
    torch.testing.assert_close(x.grad, grad_x)
    weight = graph.edge_weight.clone().requires_grad_()
    loss(graph.x, graph.edge_index, weight).backward()
    torch.testing.assert_close(weight.grad, grad_weight)


@all_losses
def test_gradcheck(loss, random_graph):
    graph = random_graph(6, 3, seed=9, isolated=1, self_loops=1, duplicates=1)
    assert torch.autograd.gradcheck(
        lambda x, w: loss(x, graph.edge_index, w),
        (graph.x.requires_grad_(), graph.edge_weight.requires_grad_()),
    )


def test_gradcheck_of_ncut_in_memberships(random_graph):
    graph = random_graph(6, 3, seed=9)
    assert torch.autograd.gradcheck(
        lambda x: ncut_loss(x, graph.edge_index, graph.edge_weight),
        graph.x.abs().requires_grad_(),
    )


@graph_losses
@given(kwargs=graph_args)
def test_order_and_kind_of_edges_change_nothing(loss, kwargs, random_graph):
    """Shuffled edges, sorted ones, and an EdgeIndex in PyG's or in our order are one graph."""
    x, edge_index, weight = random_graph(**kwargs)
    n = x.size(0)
    value, grad_x, grad_weight = value_and_gradients(loss, x, edge_index, weight)
    ours = (edge_index[1] * n + edge_index[0]).argsort(stable=True)
    loose = (edge_index[1] * n - edge_index[0]).argsort(stable=True)  # targets in order only
    pyg = EdgeIndex(edge_index[:, loose], sparse_size=(n, n), sort_order="col", is_undirected=True)
    for edges, order in [
        (edge_index[:, ours], ours),
        (sort_edges(edge_index, n)[0], ours),
        (pyg, loose),
        (EdgeIndex(edge_index.contiguous()), torch.arange(weight.numel())),
        (edge_index.flip(1), torch.arange(weight.numel()).flip(0)),
    ]:
        result = value_and_gradients(loss, x, edges, weight[order])
        torch.testing.assert_close(result, (value, grad_x, grad_weight[order]))


@all_losses
@given(kwargs=graph_args, seed=st.integers(0, 1000))
def test_numbers_of_nodes_change_nothing(loss, kwargs, seed, random_graph):
    x, edge_index, weight = random_graph(**kwargs)
    new = torch.randperm(x.size(0), generator=torch.Generator().manual_seed(seed))
    renamed = torch.empty_like(x)
    renamed[new] = x
    value, grad_x, grad_weight = value_and_gradients(loss, x, edge_index, weight)
    result = value_and_gradients(loss, renamed, new[edge_index], weight)
    torch.testing.assert_close(result[0], value)
    torch.testing.assert_close(result[1][new], grad_x)
    torch.testing.assert_close(result[2], grad_weight)


@all_losses
@given(kwargs=graph_args, seed=st.integers(0, 1000))
def test_order_of_features_changes_nothing(loss, kwargs, seed, random_graph):
    x, edge_index, weight = random_graph(**kwargs)
    order = torch.randperm(x.size(1), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(loss(x[:, order], edge_index, weight), loss(x, edge_index, weight))


SIZES = [
    [{"num_nodes": 5}, {"num_nodes": 9}],
    [{"num_nodes": 1}, {"num_nodes": 60}, {"num_nodes": 2, "density": 1.0}],
    [{"num_nodes": 7, "isolated": 3}, {"num_nodes": 4, "isolated": 4}, {"num_nodes": 6}],
    [{"num_nodes": 6, "self_loops": 2, "duplicates": 2}] * 2,
]


def collate(graphs):
    """The batch by PyG itself."""
    data = [Data(x=g.x, edge_index=g.edge_index, edge_weight=g.edge_weight) for g in graphs]
    batch = Batch.from_data_list(data)
    return batch.x, batch.edge_index, batch.edge_weight, batch.batch


@all_losses
@pytest.mark.parametrize("sizes", SIZES)
def test_batch_is_the_mean_of_its_graphs(loss, sizes, random_graph):
    graphs = [random_graph(seed=seed, **kwargs) for seed, kwargs in enumerate(sizes)]
    batch = collate(graphs)
    each = [value_and_gradients(loss, *graph) for graph in graphs]
    values, grads_x, grads_weight = (list(parts) for parts in zip(*each, strict=True))
    expected = (
        torch.stack(values).mean(),
        torch.cat(grads_x) / len(graphs),
        torch.cat(grads_weight) / len(graphs),
    )
    torch.testing.assert_close(value_and_gradients(loss, *batch), expected)

    # Nodes of a graph need not lie together.
    x, edge_index, weight, number = batch
    new = torch.randperm(x.size(0), generator=torch.Generator().manual_seed(1))
    old = new.argsort()
    shuffled = loss(x[old], new[edge_index], weight, number[old])
    torch.testing.assert_close(shuffled, expected[0])


@all_losses
def test_copies_of_a_graph_have_its_loss(loss, random_graph):
    graph = random_graph(8, seed=11, isolated=1)
    torch.testing.assert_close(loss(*collate([graph] * 3)), loss(*graph))


@given(kwargs=graph_args, scale=st.sampled_from([0.0, 1e-3, 1.0, 50.0]))
def test_bounds(kwargs, scale, random_graph):
    x, edge_index, weight = random_graph(**kwargs)
    x = scale * x
    for memberships in (x.softmax(dim=-1), x.abs().clamp(max=1), (x > 0).double()):
        assert -1e-12 <= ncut_loss(memberships, edge_index, weight) <= 1 + 1e-12
    assert 0 <= similarity_loss(x) <= math.log(x.size(1)) + 1e-12
    assert continuity_loss(x, edge_index, weight) >= 0


@given(kwargs=graph_args, constant=st.floats(-100, 100))
def test_continuity_of_constant_features_is_0(kwargs, constant, random_graph):
    x, edge_index, weight = random_graph(**kwargs)
    degree = torch.zeros(x.size(0)).double().index_add(0, edge_index[1], weight)
    loss = continuity_loss(torch.full_like(x, constant), edge_index, weight / degree[edge_index[1]])
    assert loss <= 1e-12 * max(1, abs(constant))


@given(kwargs=graph_args, factor=st.sampled_from([1e-6, 0.5, 1e6]))
def test_scale_of_weights_and_features(kwargs, factor, random_graph):
    x, edge_index, weight = random_graph(**kwargs)
    torch.testing.assert_close(ncut(x, edge_index, factor * weight), ncut(x, edge_index, weight))
    torch.testing.assert_close(
        continuity(factor * x, edge_index, weight), factor * continuity(x, edge_index, weight)
    )
    torch.testing.assert_close(
        similarity_loss(x + 7 * factor, None), similarity_loss(x, None), atol=1e-9, rtol=1e-9
    )


# exp(-95) is denormal in 32 bits and exp(-120) is 0: labels that hardly anyone or nobody has.
@pytest.mark.parametrize("logit", [0.0, -80.0, -88.0, -95.0, -100.0, -103.0, -120.0, -1e30])
@all_losses
@some_graphs
def test_loss_and_gradients_are_finite(loss, logit, kwargs, random_graph):
    graph = random_graph(**{**kwargs, "dtype": torch.float32})
    x = torch.zeros_like(graph.x)  # constant features
    x[:, -1] = logit
    for weight in (graph.edge_weight, torch.zeros_like(graph.edge_weight)):
        result = value_and_gradients(loss, x, graph.edge_index, weight)
        assert all(part.isfinite().all() for part in result)


@all_losses
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_32_bits(loss, dtype, random_graph):
    graph = random_graph(200, 4, seed=12, dtype=torch.float32, density=0.1)
    x = (graph.x.softmax(dim=-1)).to(dtype)
    weight = graph.edge_weight.to(dtype)
    function = ncut_loss if loss is ncut else loss
    result = function(x, graph.edge_index, weight)
    assert result.dtype == torch.float32
    expected = function(x.float(), graph.edge_index, weight.float())
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


@all_losses
def test_autocast_changes_nothing(loss, random_graph):
    graph = random_graph(50, 4, seed=13, dtype=torch.float32)
    expected = value_and_gradients(loss, *graph)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = value_and_gradients(loss, *graph)
    assert result[0].dtype == torch.float32
    torch.testing.assert_close(result, expected)


def test_weights_of_another_precision(random_graph):
    graph = random_graph(9, seed=14, dtype=torch.float32)
    weight = graph.edge_weight.double().requires_grad_()
    loss = ncut(graph.x, graph.edge_index, weight)
    loss.backward()
    assert loss.dtype == torch.float32
    assert weight.grad.dtype == torch.float64
    torch.testing.assert_close(
        ncut(graph.x, graph.edge_index, torch.ones(weight.shape, dtype=torch.long)),
        ncut(graph.x, graph.edge_index, torch.ones(weight.shape)),
    )
