"""The losses where their value is known, and where it is hard to compute."""

import math

import numpy as np
import pytest
import scipy.sparse
import torch
from torch_geometric.data import Batch, Data

from sp_graph_seg.nn import (
    continuity_loss,
    ncut_loss,
    reconstruction_loss,
    similarity_loss,
    total_loss,
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
    x = memberships.clone().requires_grad_()
    weights = torch.full_like(graph.edge_weight, weight).requires_grad_()
    value = ncut_loss(x, graph.edge_index, weights)
    gradients = torch.autograd.grad(value, (x, weights), materialize_grads=True)
    assert 0 <= value <= 1
    assert all(gradient.isfinite().all() for gradient in gradients)


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
        "cut": 1 - ratio.mean(),
        "con": (np.abs(A @ x - x) * linked[:, None]).mean(),
        "sim": -np.log(f.max(axis=1)).mean(),
    }
    features = torch.tensor(x, dtype=torch.float32)
    edges = torch.from_numpy(edge_index), torch.tensor(weight).float()
    losses = {
        "cut": ncut_loss(features.softmax(dim=-1), *edges),
        "con": continuity_loss(features, *edges),
        "sim": similarity_loss(features),
    }
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(expected, rel=1e-5)


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
