import math

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import (
    continuity_loss,
    ncut_loss,
    reconstruction_loss,
    similarity_loss,
    sort_edges,
    total_loss,
)

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


def two_pairs():
    return torch.tensor([[1, 0, 3, 2], [0, 1, 2, 3]]), torch.ones(4)


def test_known_values():
    edge_index, weight = two_pairs()
    right = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    wrong = right[[0, 2, 1, 3]]
    assert ncut_loss(right, edge_index, weight) == 0
    assert ncut_loss(wrong, edge_index, weight) == 1
    assert ncut_loss(torch.full((4, 2), 0.5), edge_index, weight) == 0.5
    assert ncut_loss(torch.full((4, 4), 0.25), edge_index, weight) == 0.75  # 1 - 1/F
    assert continuity_loss(right, edge_index, weight) == 0
    assert continuity_loss(wrong, edge_index, weight) == 1
    # -log(e / (e + 1)) at every node
    assert similarity_loss(right).item() == pytest.approx(math.log1p(math.exp(-1)))
    assert similarity_loss(1e4 * right) == 0


def test_target_is_in_the_second_row():
    """Only node 0 has a weight that arrives: A[0, 1] = 1, A[1, 0] = 0."""
    edge_index = torch.tensor([[1, 0], [0, 1]])
    x = torch.tensor([[5.0], [2.0]])
    loss = continuity_loss(x, edge_index, torch.tensor([1.0, 0.0]))
    assert loss == (abs(2 - 5) + abs(0 - 2)) / 2


def one_hot(column, num_nodes=6, num_features=3):
    return torch.nn.functional.one_hot(torch.full((num_nodes,), column), num_features).float()


MEMBERSHIPS = {
    "all one label": one_hot(1),
    "an empty label": torch.tensor([[0.3, 0.7, 0.0]]).repeat(6, 1),
    "no label": torch.zeros(6, 3),
    "uniform": torch.full((6, 3), 1 / 3),
    "denormal": torch.full((6, 3), 1e-42),
    "tiny": torch.full((6, 3), 1e-30),
}


@pytest.mark.parametrize("memberships", MEMBERSHIPS.values(), ids=MEMBERSHIPS.keys())
@pytest.mark.parametrize("weight", [0.0, 1.0, 1e-30, 1e-42])
@pytest.mark.parametrize("isolated", [0, 2, 6])
def test_ncut_is_finite_for_any_memberships(memberships, weight, isolated, random_graph):
    graph = random_graph(6, isolated=isolated, dtype=torch.float32, self_loops=1)
    x = memberships
    weights = torch.full_like(graph.edge_weight, weight)
    value, *gradients = value_and_gradients(ncut_loss, x, graph.edge_index, weights)
    assert 0 <= value <= 1
    assert all(gradient.isfinite().all() for gradient in gradients)


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


def test_labels_nobody_has_add_nothing(random_graph):
    graph = random_graph(8, 3, seed=2)
    f = graph.x.softmax(dim=-1)
    loss = ncut_loss(f, graph.edge_index, graph.edge_weight)
    padded = torch.nn.functional.pad(f, (0, 2))
    expected = 1 - (1 - loss) * 3 / 5
    torch.testing.assert_close(ncut_loss(padded, graph.edge_index, graph.edge_weight), expected)


def test_graph_without_edges_is_not_cut():
    none = torch.empty(2, 0, dtype=torch.long)
    assert ncut_loss(torch.rand(5, 3), none, torch.empty(0)) == 0
    assert continuity_loss(torch.rand(5, 3), none, torch.empty(0)) == 0


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


@pytest.mark.parametrize(("num_nodes", "num_pairs"), [(2708, 5278), (30000, 90000)])
def test_big_sparse_graph_equals_scipy(num_nodes, num_pairs):
    """As many nodes and edges as Cora, and more: float32 against 64 bits."""
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, num_nodes, (2, num_pairs))
    edge_index = np.array([[*one, *other], [*other, *one]])
    weight, x = rng.random(2 * num_pairs), rng.normal(size=(num_nodes, 7))
    A = scipy.sparse.coo_array((weight, edge_index[::-1]), shape=(num_nodes, num_nodes)).tocsr()
    f = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    ratio = (f * (A @ f)).sum(axis=0) / (A.sum(axis=1)[:, None] * f).sum(axis=0)
    linked = np.isin(np.arange(num_nodes), edge_index)
    expected = {
        ncut: 1 - ratio.mean(),
        continuity: (np.abs(A @ x - x) * linked[:, None]).mean(),
        similarity: -np.log(f.max(axis=1)).mean(),
    }
    features = torch.tensor(x, dtype=torch.float32)
    for loss, value in expected.items():
        result = loss(features, torch.from_numpy(edge_index), torch.tensor(weight).float())
        assert result.item() == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_similarity_with_given_labels(dtype, random_graph):
    x = random_graph(9, 4, seed=15).x
    labels = torch.arange(9) % 4
    expected = -torch.stack(
        [(row[y].exp() / row.exp().sum()).log() for row, y in zip(x, labels, strict=True)]
    ).mean()
    torch.testing.assert_close(similarity_loss(x, labels.to(dtype)), expected)
    assert similarity_loss(x, x.argmax(dim=1)) == similarity_loss(x) < expected


def test_reconstruction_loss_is_a_mean_square():
    image, other = torch.rand(2, 3, 5, 4), torch.rand(2, 3, 5, 4)
    assert reconstruction_loss(image, image) == 0
    expected = sum((a - b) ** 2 for a, b in zip(image.flatten(), other.flatten(), strict=True))
    expected = expected.item() / image.numel()
    assert reconstruction_loss(other, image).item() == pytest.approx(expected)
    result = reconstruction_loss(other.bfloat16(), image.half())
    assert result.dtype == torch.float32
    assert result.item() == pytest.approx(expected, rel=0.05)


def test_total_loss_is_eq_9():
    losses = {name: torch.rand((), requires_grad=True) for name in ("rec", "cut", "sim", "con")}
    betas = {"con": 0.5, "sim": 2.0, "cut": 0.0, "rec": 3.0, "other": 9.0}
    total = total_loss(losses, betas)
    total.backward()
    assert total.item() == pytest.approx(
        sum(betas[name] * loss.item() for name, loss in losses.items())
    )
    assert {name: loss.grad.item() for name, loss in losses.items()} == {
        name: betas[name] for name in losses
    }


X = torch.full((3, 2), 0.5)
EDGES = torch.tensor([[0, 1], [1, 0]])
WEIGHT = torch.ones(2)
BAD_GRAPHS = {
    "edge_index names nodes 0 to 3": {"edge_index": torch.tensor([[0, 3], [3, 0]])},
    "edge_index names nodes -1 to 0": {"edge_index": torch.tensor([[0, -1], [-1, 0]])},
    "edge_index .*reverse": {"edge_index": torch.tensor([[0, 1], [1, 2]])},
    "edge_index: .*float32": {"edge_index": EDGES.float()},
    "edge_index: .*int32": {"edge_index": EDGES.int()},
    r"edge_index: \(2, 2, 1\)": {"edge_index": EDGES[:, :, None]},
    r"edge_index: \(3, 2\)": {"edge_index": torch.zeros(3, 2, dtype=torch.long)},
    r"edge_weight: shape \(3,\)": {"edge_weight": torch.ones(3)},
    r"edge_weight: shape \(2, 1\)": {"edge_weight": torch.ones(2, 1)},
    "edge_weight: .*NaN": {"edge_weight": torch.tensor([1.0, math.nan])},
    "edge_weight: .*Inf": {"edge_weight": torch.tensor([math.inf, 1.0])},
    r"x: \(3,\)": {"x": X[:, 0]},
    r"x: \(1, 3, 2\)": {"x": X[None]},
    "x: .*int64": {"x": X.long()},
    r"x: .*\(0, 2\)": {"x": X[:0]},
    r"x: .*\(3, 0\)": {"x": X[:, :0]},
    r"batch: \(2,\)": {"batch": torch.zeros(2, dtype=torch.long)},
    "batch: .*float32": {"batch": torch.zeros(3)},
    r"batch: \(1, 3\)": {"batch": torch.zeros(1, 3, dtype=torch.long)},
    "batch: ": {"batch": torch.tensor([0, -1, 0])},
}


@pytest.mark.parametrize(("message", "bad"), BAD_GRAPHS.items(), ids=BAD_GRAPHS.keys())
@pytest.mark.parametrize("loss", [ncut_loss, continuity_loss])
def test_bad_graphs(loss, message, bad):
    good = {"x": X, "edge_index": EDGES, "edge_weight": WEIGHT}
    assert loss(**good).isfinite()
    with pytest.raises(InputError, match=f"^{message}") as caught:
        loss(**{**good, **bad})
    assert "\n" not in str(caught.value)


def test_ncut_refuses_what_is_negative():
    with pytest.raises(InputError, match=r"^x: memberships must not be negative"):
        ncut_loss(X - 1, EDGES, WEIGHT)
    with pytest.raises(InputError, match=r"^edge_weight: affinities must not be negative"):
        ncut_loss(X, EDGES, -WEIGHT)
    assert continuity_loss(X - 1, EDGES, -WEIGHT).isfinite()


BAD_NODES = {
    r"labels: \(2,\)": {"labels": torch.zeros(2, dtype=torch.long)},
    r"labels: \(3, 1\)": {"labels": torch.zeros(3, 1, dtype=torch.long)},
    "labels: .*float32": {"labels": torch.zeros(3)},
    "labels: .*0 to 1": {"labels": torch.tensor([0, 1, 2])},
    "labels: .*whole number": {"labels": torch.tensor([0, -1, 1])},
    **{key: bad for key, bad in BAD_GRAPHS.items() if key.startswith(("x", "batch"))},
}


@pytest.mark.parametrize(("message", "bad"), BAD_NODES.items(), ids=BAD_NODES.keys())
def test_similarity_refuses(message, bad):
    with pytest.raises(InputError, match=f"^{message}"):
        similarity_loss(**{"x": X, **bad})


@pytest.mark.parametrize("loss", ["ncut", "similarity", "continuity"])
def test_graphs_without_nodes_in_a_batch_do_not_count(random_graph, loss):
    graphs = [random_graph(n, density=0.7, dtype=torch.float64) for n in (4, 7)]
    batch = Batch.from_data_list(
        [
            Data(edge_index=graph.edge_index, edge_weight=graph.edge_weight, num_nodes=n)
            for graph, n in zip(graphs, (4, 7), strict=True)
        ]
    )
    x = torch.rand(11, 3, dtype=torch.float64)
    gaps = torch.where(batch.batch == 1, 4, 1)  # no graph 0, 2 or 3

    def value(batch_vector):
        if loss == "similarity":
            return similarity_loss(x, batch=batch_vector)
        function = ncut_loss if loss == "ncut" else continuity_loss
        return function(x, batch.edge_index, batch.edge_weight, batch_vector)

    torch.testing.assert_close(value(gaps), value(batch.batch))


def test_ncut_of_nan_is_nan():
    edge_index = torch.tensor([[0, 1], [1, 0]])
    x = torch.full((2, 2), float("nan"))
    assert ncut_loss(x, edge_index, torch.ones(2)).isnan()
