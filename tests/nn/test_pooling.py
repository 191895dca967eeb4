"""The sparse pooling layers against PyG's dense ones."""

import pytest
import torch
import torch_geometric.nn as pyg
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_dense_adj, to_dense_batch

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import DMoNPooling, MinCutPooling, NCutPooling, ncut_loss, sort_edges

F, C = 5, 3
LAYERS = (NCutPooling, MinCutPooling, DMoNPooling)
all_layers = pytest.mark.parametrize("layer", LAYERS)


def make(layer, channels=F, k=C, **kwargs):
    torch.manual_seed(0)
    return layer(channels, k, **kwargs).double()


@pytest.fixture(params=[[9], [12, 5, 20], [4, 4]])
def batch(request, random_graph):
    """Connected enough that PyG divides by no zero."""
    graphs = [random_graph(n, F, seed=n, density=0.8, self_loops=1) for n in request.param]
    return Batch.from_data_list(
        [Data(x=g.x, edge_index=g.edge_index, edge_weight=g.edge_weight) for g in graphs]
    )


def dense(data):
    """x, adjacency and mask as PyG's dense layers take them."""
    x, mask = to_dense_batch(data.x, data.batch)
    return x, to_dense_adj(data.edge_index, data.batch, data.edge_weight), mask


def by_pyg(layer, data):
    """Pooled x, pooled adjacency and the losses of PyG's own layer, with the same MLP."""
    x, adjacency, mask = dense(data)
    if isinstance(layer, DMoNPooling):
        theirs = pyg.DMoNPooling(F, C).double()
        theirs.load_state_dict(layer.state_dict())
        theirs.mlp = layer.mlp
        _, out, out_adjacency, *losses = theirs(x, adjacency, mask)
        if data.num_graphs > 1:  # PyG 2.8 divides the cluster loss by the sizes of all graphs
            each = [by_pyg(layer, Batch.from_data_list([d])) for d in data.to_data_list()]
            losses[2] = torch.stack([losses[2] for _, _, losses in each]).mean()
        return out, out_adjacency, losses
    out, out_adjacency, *losses = pyg.dense_mincut_pool(
        x, adjacency, layer.mlp(x), mask, layer.temp
    )
    return out, out_adjacency, losses


def pool(layer, data, **kwargs):
    return layer(data.x, data.edge_index, data.edge_weight, data.batch, **kwargs)


@pytest.mark.parametrize(
    ("layer", "temp"), [(MinCutPooling, 1.0), (MinCutPooling, 0.3), (DMoNPooling, 1.0)]
)
def test_equals_the_dense_layer_of_pyg(layer, temp, batch):
    """Outputs, and the gradients of all of them."""
    layer = make(layer, temp=temp)
    pooled = pool(layer, batch)
    adjacency = to_dense_adj(pooled.edge_index, pooled.batch, pooled.edge_weight)
    ours = pooled.x.unflatten(0, (-1, C)), adjacency
    theirs_x, theirs_adjacency, theirs_losses = by_pyg(layer, batch)
    torch.testing.assert_close(ours, (theirs_x, theirs_adjacency))
    torch.testing.assert_close(list(pooled.losses.values()), theirs_losses)

    noise = torch.rand_like(theirs_adjacency)
    total = ours[0].sum() + (ours[1] * noise).sum() + sum(pooled.losses.values())
    expected = theirs_x.sum() + (theirs_adjacency * noise).sum() + sum(theirs_losses)
    parameters = list(layer.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(total, parameters), torch.autograd.grad(expected, parameters)
    )


def test_ncut_pooling_minimises_ncut_loss(batch):
    layer = make(NCutPooling)
    pooled = pool(layer, batch)
    s = layer.mlp(batch.x).softmax(dim=-1)
    torch.testing.assert_close(pooled.s, s)
    expected = ncut_loss(s, batch.edge_index, batch.edge_weight, batch.batch)
    torch.testing.assert_close(pooled.losses["cut"], expected)
    same = pool(make(MinCutPooling), batch)
    torch.testing.assert_close(pooled.losses["orthogonality"], same.losses["orthogonality"])
    torch.testing.assert_close(pooled.edge_weight, same.edge_weight)


@all_layers
def test_shapes_and_ranges(layer, batch):
    """In single precision too; each loss is 0 or more but for the two that reward edges within."""
    layer = make(layer).float()
    data = batch.apply(lambda tensor: tensor.float(), "x", "edge_weight")
    pooled = pool(layer, data)
    num_graphs, num_edges = data.num_graphs, data.num_graphs * C * (C - 1)
    assert pooled.x.shape == (num_graphs * C, F)
    assert pooled.edge_index.shape == (2, num_edges)
    assert pooled.edge_weight.shape == (num_edges,)
    assert pooled.s.shape == (data.num_nodes, C)
    ranges = {
        "cut": (0, 1) if isinstance(layer, NCutPooling) else (-1, 0),
        "modularity": (-1, 0.5),
        "orthogonality": (0, 2**0.5),
        "collapse": (0, C**0.5 - 1),
    }
    for name, loss in pooled.losses.items():
        low, high = ranges[name]
        assert low <= loss <= high, name


@all_layers
def test_a_batch_is_pooled_graph_by_graph(layer, batch):
    layer = make(layer)
    pooled = pool(layer, batch)
    each = [pool(layer, Batch.from_data_list([data])) for data in batch.to_data_list()]
    torch.testing.assert_close(pooled.x, torch.cat([one.x for one in each]))
    torch.testing.assert_close(pooled.edge_weight, torch.cat([one.edge_weight for one in each]))
    torch.testing.assert_close(pooled.s, torch.cat([one.s for one in each]))
    for name, loss in pooled.losses.items():
        torch.testing.assert_close(loss, torch.stack([one.losses[name] for one in each]).mean())

    # Nodes of a graph need not lie together, and a graph may have no nodes.
    new = torch.randperm(batch.num_nodes, generator=torch.Generator().manual_seed(1))
    old = new.argsort()
    other = layer(batch.x[old], new[batch.edge_index], batch.edge_weight, 2 * batch.batch[old])
    torch.testing.assert_close(other.losses, pooled.losses)
    torch.testing.assert_close(other.x.unflatten(0, (-1, C))[::2].flatten(0, 1), pooled.x)
    with_size = pool(layer, batch, batch_size=batch.num_graphs, validate=False)
    torch.testing.assert_close(with_size.losses, pooled.losses)


@all_layers
def test_pooled_graphs_can_be_pooled_again(layer, batch):
    first, second = make(layer), make(layer, F, 2)
    fine = pool(first, batch)
    coarse = second(fine.x, fine.edge_index, fine.edge_weight, fine.batch)
    assert coarse.x.shape == (2 * batch.num_graphs, F)
    assert coarse.batch.tolist() == [g for g in range(batch.num_graphs) for _ in range(2)]
    (sum(coarse.losses.values()) + coarse.x.sum() + sum(fine.losses.values())).backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in first.mlp.parameters())


@all_layers
@pytest.mark.parametrize("k", [1, 2, 7])
@pytest.mark.parametrize("kwargs", [{"isolated": 6}, {"isolated": 3}, {"self_loops": 3}])
def test_is_finite_on_odd_graphs(layer, k, kwargs, random_graph):
    graph = random_graph(6, F, dtype=torch.float32, **kwargs)
    layer = make(layer, k=k).float()
    batch = torch.tensor([0, 0, 2, 2, 2, 2])
    is_within = batch[graph.edge_index[0]] == batch[graph.edge_index[1]]
    pooled = layer(graph.x, graph.edge_index[:, is_within], None, batch)
    (sum(pooled.losses.values()) + pooled.x.sum() + pooled.edge_weight.sum()).backward()
    assert all(loss.isfinite() for loss in pooled.losses.values())
    assert all(p.grad.isfinite().all() for p in layer.parameters())
    assert pooled.edge_index.shape == (2, 3 * k * (k - 1))


@all_layers
def test_inputs_of_every_kind(layer, random_graph, adjacency):
    graph = random_graph(9, F, seed=3)
    layer = make(layer, [F, 8])
    expected = layer(*graph)
    edges, weight = sort_edges(graph.edge_index, 9, graph.edge_weight)
    torch.testing.assert_close(layer(graph.x, edges, weight), expected)
    adj_t = adjacency(*graph[1:], 9).to_sparse_csr()
    torch.testing.assert_close(layer(graph.x, adj_t), expected)
    ones = layer(graph.x, graph.edge_index, torch.ones(weight.numel()))
    torch.testing.assert_close(layer(graph.x, graph.edge_index), ones)
    layer.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = layer(graph.x.float(), graph.edge_index)
    assert {loss.dtype for loss in half.losses.values()} == {torch.float32}
    torch.testing.assert_close(half.s.double(), ones.s, rtol=0.1, atol=0.1)


@all_layers
def test_gradients_in_features_and_weights(layer, random_graph):
    graph = random_graph(7, F, seed=2)
    edge_index = graph.edge_index
    module = make(layer)

    def total(x, weight):
        pooled = module(x, edge_index, weight)
        return pooled.x.sum() + pooled.edge_weight.square().sum() + sum(pooled.losses.values())

    inputs = graph.x.requires_grad_(), graph.edge_weight.requires_grad_()
    assert torch.autograd.gradcheck(total, inputs)
    assert torch.autograd.gradgradcheck(total, inputs)


@all_layers
def test_learns_the_two_cliques(layer):
    clique = 1 - torch.eye(6)
    matrix = torch.block_diag(clique, clique)
    matrix[0, 6] = matrix[6, 0] = 1
    edge_index = matrix.nonzero().t()
    torch.manual_seed(0)
    x = torch.randn(12, 4)
    x[:6, 0] += 2
    module = layer(4, 2)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        sum(module(x, edge_index).losses.values()).backward()
        optimizer.step()
    found = module(x, edge_index).s.argmax(dim=1)
    assert found.tolist() in ([0] * 6 + [1] * 6, [1] * 6 + [0] * 6)


@all_layers
def test_nothing_of_size_e_times_c_or_n_times_n_is_kept(layer, random_graph):
    graph = random_graph(60, F, density=1.0)
    module = make(layer)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, id_):
        module(graph.x, graph.edge_index, graph.edge_weight.requires_grad_())
    assert max(kept) <= max(60 * (2 * C + F + 2), 2 * graph.edge_weight.numel())


def id_(tensor):
    return tensor


@all_layers
def test_compiled_as_one_graph(layer, random_graph):
    graph = random_graph(9, F)
    module = make(layer)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*graph), module(*graph))


@all_layers
def test_dropout_and_reset(layer, random_graph):
    graph = random_graph(9, F)
    module = make(layer, dropout=0.5)
    assert not torch.equal(module(*graph).s, module.eval()(*graph).s)
    before = module(*graph).s
    module.reset_parameters()
    assert not torch.equal(module(*graph).s, before)
    assert repr(module) == f"{layer.__name__}(5, k=3)"


@all_layers
def test_refuses(layer, random_graph):
    graph = random_graph(9, F)
    module = make(layer)
    with pytest.raises(InputError, match=r"^edge_weight: some affinities are negative"):
        module(graph.x, graph.edge_index, -graph.edge_weight)
    with pytest.raises(InputError, match=r"^edge_index: .*reverse"):
        module(graph.x, torch.tensor([[0], [1]]))
    with pytest.raises(InputError, match=r"^batch: "):
        module(*graph, batch=torch.zeros(3, dtype=torch.long))
    with pytest.raises(InputError, match=r"^k=0, temp=1.0: are not both positive"):
        layer(F, 0)
