"""The losses under torch's other ways: second derivatives, ``torch.func``, compiled, on CUDA."""

import warnings

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import Data
from torch_geometric.transforms import ToSparseTensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import continuity_loss, ncut_loss, similarity_loss, sort_edges


def ncut(x, *args, **kwargs):
    return ncut_loss(x.softmax(dim=-1), *args, **kwargs)


def similarity(x, edge_index, edge_weight, **kwargs):
    return similarity_loss(x, **kwargs)


graph_losses = pytest.mark.parametrize("loss", [ncut, continuity_loss])
all_losses = pytest.mark.parametrize("loss", [ncut, continuity_loss, similarity])
BATCH = torch.tensor([0, 0, 0, 2, 2, 0, 2, 2])  # no graph 1


@pytest.fixture
def graph(random_graph):
    return random_graph(8, 3, seed=9, isolated=1, self_loops=1, duplicates=1)


@pytest.fixture
def batched(graph):
    """The same without the edges between the graphs of BATCH."""
    is_within = BATCH[graph.edge_index[0]] == BATCH[graph.edge_index[1]]
    return graph.x, graph.edge_index[:, is_within], graph.edge_weight[is_within]


@graph_losses
@pytest.mark.parametrize("batch", [None, BATCH])
def test_second_derivatives(loss, batch, batched):
    x, edge_index, weight = batched
    assert torch.autograd.gradgradcheck(
        lambda x, w: loss(x, edge_index, w, batch=batch),
        (x.requires_grad_(), weight.requires_grad_()),
    )


@graph_losses
def test_hessian_of_the_weights_equals_the_dense_formula(loss, graph, adjacency):
    """By autograd twice, as a learned affinity or an implicit gradient takes it."""

    def dense(w):
        matrix = adjacency(graph.edge_index, w, 8)
        linked = torch.zeros(8).index_fill(0, graph.edge_index[1], 1)
        if loss is continuity_loss:
            return ((matrix @ graph.x - graph.x).abs().mean(dim=1) * linked).mean()
        f = graph.x.softmax(dim=-1)
        return 1 - ((f * (matrix @ f)).sum(0) / (f.T @ matrix.sum(1))).mean()

    def ours(w):
        return loss(graph.x, graph.edge_index, w)

    hessian = torch.autograd.functional.hessian
    expected = hessian(dense, graph.edge_weight)
    torch.testing.assert_close(hessian(ours, graph.edge_weight), expected)
    by_func = torch.func.hessian(lambda w: loss(graph.x, graph.edge_index, w, validate=False))
    torch.testing.assert_close(by_func(graph.edge_weight), expected)


@all_losses
def test_torch_func(loss, graph):
    x, edge_index, weight = graph
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(leaf, edge_index, weight), leaf)
    torch.testing.assert_close(torch.func.grad(loss)(x, edge_index, weight), expected)
    tangent = torch.rand_like(x)
    _, slope = torch.func.jvp(lambda x: loss(x, edge_index, weight), (x,), (tangent,))
    torch.testing.assert_close(slope, (expected * tangent).sum())


@all_losses
def test_vmap_is_a_loop(loss, graph):
    many = torch.stack([graph.x, graph.x.flip(0), 2 * graph.x])

    def of_one(x):
        return loss(x, graph.edge_index, graph.edge_weight, validate=False)

    torch.testing.assert_close(
        torch.func.vmap(of_one)(many), torch.stack([of_one(x) for x in many])
    )
    torch.testing.assert_close(
        torch.func.vmap(torch.func.grad(of_one))(many),
        torch.stack([torch.func.grad(of_one)(x) for x in many]),
    )


def test_vmap_over_weights_and_what_it_cannot_check(graph):
    many = torch.stack([graph.edge_weight, 2 * graph.edge_weight])

    def of_one(weight, validate):
        return continuity_loss(graph.x, graph.edge_index, weight, validate=validate)

    torch.testing.assert_close(
        torch.func.vmap(lambda weight: of_one(weight, False))(many),
        torch.stack([of_one(weight, True) for weight in many]),
    )
    with pytest.raises(InputError, match=r"^validate: .* torch.vmap; use validate=False"):
        torch.func.vmap(lambda weight: of_one(weight, True))(many)


def gradients(loss, x, edge_index, weight, **kwargs):
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    value = loss(x, edge_index, weight, **kwargs)
    return value.detach(), *torch.autograd.grad(
        value, (x, weight), allow_unused=True, materialize_grads=True
    )


@all_losses
@pytest.mark.parametrize("batch", [None, BATCH])
def test_compiled_as_one_graph(loss, batch, batched):
    """The backend is the one that makes no machine code: what it traces is what counts here."""
    kwargs = {} if batch is None else {"batch": batch, "batch_size": 3}
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(
        gradients(compiled, *batched, **kwargs), gradients(loss, *batched, **kwargs)
    )


@graph_losses
def test_compiled_for_graphs_of_any_size(loss, random_graph):
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=True)
    for num_nodes in (5, 9, 14):
        graph = random_graph(num_nodes, seed=num_nodes)
        batch = torch.zeros(num_nodes, dtype=torch.long)
        result = compiled(*graph, batch=batch, batch_size=1)
        torch.testing.assert_close(result, loss(*graph))


@graph_losses
def test_compiled_and_exported(loss, graph):
    class Model(torch.nn.Module):
        def forward(self, x, edge_index, edge_weight):
            return loss(x, edge_index, edge_weight)

    expected = loss(*graph)
    program = torch.export.export(Model(), tuple(graph)).module()
    torch.testing.assert_close(program(*graph), expected)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    edges, weight = sort_edges(graph.edge_index, 8, graph.edge_weight)
    torch.testing.assert_close(compiled(graph.x, edges, weight), expected)


class Synchronisations(TorchDispatchMode):
    """Counts the operations that hand a value to Python or whose size depends on values."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        waits = ("_local_scalar_dense", "nonzero", "bincount", "is_nonzero", "equal.", "unique")
        self.count += any(f"aten.{name}" in f"{function}." for name in waits)
        return function(*args, **(kwargs or {}))


@all_losses
@pytest.mark.parametrize(("validate", "most"), [(False, 0), (True, 2)])
def test_waits_for_the_device(loss, validate, most, batched, monkeypatch):
    x, edge_index, weight = batched
    edges, weight = sort_edges(edge_index, 8, weight)
    # No operation, but it waits as well.
    monkeypatch.setattr(torch.Tensor, "tolist", None, raising=False)
    with Synchronisations() as waits:
        value = loss(
            x.requires_grad_(), edges, weight, batch=BATCH, batch_size=3, validate=validate
        )
        value.backward()
    assert waits.count <= most


@all_losses
@pytest.mark.parametrize("batch_size", [None, 3, 5])
def test_without_checks_and_with_a_batch_size_nothing_changes(loss, batch_size, batched):
    expected = gradients(loss, *batched, batch=BATCH)
    for validate in (True, False):
        result = gradients(loss, *batched, batch=BATCH, batch_size=batch_size, validate=validate)
        torch.testing.assert_close(result, expected)


@all_losses
def test_a_batch_size_that_is_too_small(loss, batched):
    with pytest.raises(InputError, match=r"^batch_size=2 must exceed each number in batch"):
        loss(*batched, batch=BATCH, batch_size=2)


@graph_losses
def test_no_weights_are_ones(loss, graph, adjacency):
    expected = loss(graph.x, graph.edge_index, torch.ones_like(graph.edge_weight))
    torch.testing.assert_close(loss(graph.x, graph.edge_index), expected)
    edges, _ = sort_edges(graph.edge_index, 8)
    torch.testing.assert_close(loss(graph.x, edges, None), expected)


@graph_losses
def test_adj_t(loss, graph, adjacency):
    adj_t = adjacency(*graph[1:], 8).to_sparse_csr()
    torch.testing.assert_close(loss(graph.x, adj_t), loss(*graph))


@graph_losses
def test_adj_t_of_pyg_s_own_transform(loss, random_graph):
    graph = random_graph(8, seed=4)
    data = Data(x=graph.x, edge_index=graph.edge_index, edge_weight=graph.edge_weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's sparse rows are in beta
        data = ToSparseTensor(layout=torch.sparse_csr)(data)
    torch.testing.assert_close(loss(data.x, data.adj_t), loss(*graph))


@pytest.fixture
def default_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@all_losses
@pytest.mark.usefixtures("default_float64")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_another_default_type_changes_nothing(loss, dtype, graph):
    inputs = graph.x.to(dtype), graph.edge_index, graph.edge_weight.to(dtype)
    result = gradients(loss, *inputs)
    assert {part.dtype for part in result} == {dtype}
    torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(result, gradients(loss, *inputs))


@all_losses
@pytest.mark.parametrize("no_gradients", [torch.no_grad, torch.inference_mode])
def test_without_gradients(loss, no_gradients, graph):
    expected = loss(*graph)
    with no_gradients():
        result = loss(graph.x.requires_grad_(), graph.edge_index, graph.edge_weight)
    assert not result.requires_grad
    torch.testing.assert_close(result.clone(), expected.detach())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@all_losses
@pytest.mark.parametrize("batch", [None, BATCH])
def test_cuda_equals_the_cpu(loss, batch, batched):
    on_cpu = gradients(loss, *batched, batch=batch)
    batch = None if batch is None else batch.cuda()
    on_cuda = gradients(loss, *(part.cuda() for part in batched), batch=batch)
    torch.testing.assert_close(tuple(part.cpu() for part in on_cuda), on_cpu)
