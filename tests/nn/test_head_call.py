"""Heads are called by the names in their signatures: PyG's layers and models, bare."""

import copy

import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn
from torch_geometric.data import Data

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import (
    SuperpixelNet,
    WNet,
    call_head,
    check_head,
    check_image_head,
    graph_of_head,
    sort_edges,
)
from sp_graph_seg.transforms import ToRAG

F = 4


def mlp(size=F):
    return nn.Sequential(nn.Linear(size, F), nn.ReLU(), nn.Linear(F, F))


class OfData(nn.Module):
    def forward(self, data):
        return data.x * data.edge_weight.sum() + data.pos.sum()


class OfOtherNames(nn.Module):
    """The features under a name of its own, and the rest in another order."""

    def forward(self, features, batch, edge_weight, edge_index, scale=1.0):
        return features + edge_weight.sum() + edge_index.size(1) + batch.size(0) + scale


# What makes the head, and the names beside x that reach it.
WEIGHT, ATTR = ("edge_index", "edge_weight"), ("edge_index", "edge_attr")
HEADS = {
    "GCNConv": (lambda: pyg.GCNConv(F, 3), WEIGHT),
    "GraphConv": (lambda: pyg.GraphConv(F, 3), WEIGHT),
    "ChebConv": (lambda: pyg.ChebConv(F, 3, 2), (*WEIGHT, "batch")),
    "TAGConv": (lambda: pyg.TAGConv(F, 3), WEIGHT),
    "ARMAConv": (lambda: pyg.ARMAConv(F, 3), WEIGHT),
    "LEConv": (lambda: pyg.LEConv(F, 3), WEIGHT),
    "SAGEConv": (lambda: pyg.SAGEConv(F, 3), ("edge_index",)),
    "lazy SAGEConv": (lambda: pyg.SAGEConv(-1, 3), ("edge_index",)),
    "GINConv": (lambda: pyg.GINConv(mlp()), ("edge_index",)),
    "GINEConv": (lambda: pyg.GINEConv(mlp(), edge_dim=1), ATTR),
    "EdgeConv": (lambda: pyg.EdgeConv(mlp(2 * F)), ("edge_index",)),
    "GATConv": (lambda: pyg.GATConv(F, 3), ("edge_index",)),
    "GATv2Conv": (lambda: pyg.GATv2Conv(F, 3, heads=2), ("edge_index",)),
    "GATv2Conv of edges": (lambda: pyg.GATv2Conv(F, 3, edge_dim=1), ATTR),
    "TransformerConv": (lambda: pyg.TransformerConv(F, 3), ("edge_index",)),
    "TransformerConv of edges": (lambda: pyg.TransformerConv(F, 3, edge_dim=1), ATTR),
    "PNAConv": (
        lambda: pyg.PNAConv(F, 3, ["mean", "max"], ["identity"], torch.tensor([0, 2, 1])),
        ("edge_index",),
    ),
    "NNConv": (lambda: pyg.NNConv(F, 3, nn.Linear(1, F * 3)), ATTR),
    "GPSConv": (lambda: pyg.GPSConv(F, pyg.GCNConv(F, F), heads=2), ("edge_index", "batch")),
    "PointTransformerConv": (
        lambda: pyg.PointTransformerConv(F, 3, nn.Linear(2, 3)),
        ("edge_index", "pos"),
    ),
    "GCN": (lambda: pyg.GCN(F, 8, 2, 3), WEIGHT),
    "GraphSAGE": (lambda: pyg.GraphSAGE(F, 8, 2, 3), ("edge_index",)),
    "GAT": (lambda: pyg.GAT(F, 8, 2, 3, v2=True), ("edge_index",)),
    "GAT of edges": (lambda: pyg.GAT(F, 8, 2, 3, v2=True, edge_dim=1), ATTR),
    "GIN": (lambda: pyg.GIN(F, 8, 2, 3), ("edge_index",)),
    "MLP": (lambda: pyg.MLP([F, 8, 3]), ()),
    "Linear": (lambda: nn.Linear(F, 3), ()),
    "nn.Sequential": (mlp, ()),
    "Sequential": (
        lambda: pyg.Sequential(
            "x, edge_index, edge_weight",
            [(pyg.GCNConv(F, 3), "x, edge_index, edge_weight -> x"), nn.ReLU()],
        ),
        WEIGHT,
    ),
    "of Data": (OfData, WEIGHT),
    "of other names": (OfOtherNames, (*WEIGHT, "batch")),
}
OF_X_ONLY = ("MLP", "Linear", "nn.Sequential")
every_head = pytest.mark.parametrize("name", HEADS)


@pytest.fixture
def graph(random_graph):
    x, edge_index, edge_weight = random_graph(10, F, dtype=torch.float32, density=0.5)
    return {
        "x": x,
        "edge_index": edge_index,
        "edge_weight": edge_weight,
        "pos": torch.rand(10, 2, generator=torch.Generator().manual_seed(0)),
        "batch": torch.zeros(10, dtype=torch.long),
    }


def make(name):
    torch.manual_seed(0)
    return HEADS[name][0]().eval()


def by_hand(head, name, graph):
    """The head called by keyword with the names that the table says."""
    names = HEADS[name][1]
    if name == "of Data":
        return graph["x"] * graph["edge_weight"].sum() + graph["pos"].sum()
    if name in OF_X_ONLY:
        return head(graph["x"])
    if name == "of other names":
        rest = (graph[key] for key in ("batch", "edge_weight", "edge_index"))
        return head(graph["x"], *rest)
    parts = {**graph, "edge_attr": graph["edge_weight"].unsqueeze(-1)}
    return head(graph["x"], **{key: parts[key] for key in names})


@every_head
def test_heads_work_bare(name, graph):
    head = make(name)
    num_outputs = check_head(head, F, pos_dim=2, has_batch=True)
    out = call_head(head, **graph)
    assert out.shape == (10, num_outputs)
    torch.testing.assert_close(out, by_hand(head, name, graph))
    torch.testing.assert_close(call_head(copy.deepcopy(head), **graph), out)

    # The order of the edges counts as little as the class of their tensor.
    edges, weight = sort_edges(graph["edge_index"], 10, graph["edge_weight"])
    again = call_head(head, **{**graph, "edge_index": edges, "edge_weight": weight})
    torch.testing.assert_close(again, out, rtol=1e-4, atol=1e-5)


@every_head
def test_superpixel_net_takes_them(name, graph):
    net = SuperpixelNet(WNet(3, F, width=4, depth=1), make(name))
    x = net.cluster(graph["x"], Data.from_dict({**graph, "x": None}))
    assert x.size(1) == net.num_outputs
    torch.testing.assert_close(x, by_hand(net.head, name, graph))


class OfColors(nn.Module):
    def forward(self, x, color, pos, edge_attr):
        return torch.cat([x, color, pos], dim=1) + edge_attr.sum()


def test_the_graph_of_an_image_has_what_a_head_may_name():
    image = torch.rand(2, 8, 12, generator=torch.Generator().manual_seed(0))
    graph = ToRAG(superpixels=torch.arange(96).view(8, 12) // 5)(image)
    seen = graph_of_head(graph, tau=-3.0)
    assert torch.equal(seen.color, graph.x)
    assert torch.equal(seen.pos, graph.pos / 12)
    assert torch.equal(seen.batch, torch.zeros(graph.num_nodes, dtype=torch.long))
    weight = torch.exp(-3.0 * graph.edge_attr[:, 0])
    torch.testing.assert_close(seen.edge_weight, weight)
    net = SuperpixelNet(WNet(2, F, width=4, depth=1), OfColors())
    assert net.num_outputs == F + 2 + 2
    z = torch.rand(graph.num_nodes, F)
    expected = torch.cat([z, graph.x, graph.pos / 12], dim=1) + weight.sum()
    torch.testing.assert_close(net.cluster(z, seen), expected)
    assert check_image_head(OfColors(), F, color_dim=2, ndim=3) == F + 2 + 3


def test_edge_attr_of_the_graph_goes_before_the_weights(graph):
    head = make("GATv2Conv of edges")
    edge_attr = torch.rand(graph["edge_weight"].numel(), 1)
    out = call_head(head, **graph, edge_attr=edge_attr)
    torch.testing.assert_close(out, head(graph["x"], graph["edge_index"], edge_attr))
    wide = pyg.GATv2Conv(F, 3, edge_dim=2)
    assert check_head(wide, F, edge_dim=2) == 3
    with pytest.raises(InputError, match=r"^head: GATv2Conv cannot be called on nodes of 4 feat"):
        check_head(wide, F)


def test_a_trial_changes_nothing(graph):
    head = nn.Sequential(nn.Linear(F, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    head[1].eval()
    before = copy.deepcopy(head.state_dict())
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert check_head(head, F) == 3
    assert torch.equal(torch.rand(2), expected)
    torch.testing.assert_close(head.state_dict(), before, rtol=0, atol=0)
    assert [layer.training for layer in head] == [True, False, True]


def test_a_trial_sizes_lazy_layers():
    head = pyg.GraphConv(-1, 5).double()
    assert check_head(head, F) == 5
    other = pyg.GraphConv(-1, 5).double()
    check_head(other, F)
    other.load_state_dict(head.state_dict())
    assert head.lin_rel.weight.shape == (5, F)


class Returns(nn.Module):
    def __init__(self, out):
        super().__init__()
        self.out = out

    def forward(self, x):
        return self.out


class NoNames(nn.Module):
    def forward(self, *args):
        return args[0]


REFUSED = {
    r"DenseGCNConv needs 'adj'": lambda: pyg.DenseGCNConv(F, 3),
    r"GCN2Conv needs 'x_0'": lambda: pyg.GCN2Conv(F, 0.1),
    r"HypergraphConv needs 'hyperedge_index'": lambda: pyg.HypergraphConv(F, 3),
    r"RGCNConv cannot be called on nodes of 4 features": lambda: pyg.RGCNConv(F, 3, 2),
    r"GCNConv cannot be called on nodes of 4 features": lambda: pyg.GCNConv(F + 1, 3),
    r"PointTransformerConv needs 'pos'": lambda: pyg.PointTransformerConv(F, 3),
    r"NoNames.forward does not name its arguments": NoNames,
    r"Returns returned tuple for 3 nodes": lambda: Returns((1, 2)),
    r"Returns returned \(3,\) for 3 nodes": lambda: Returns(torch.zeros(3)),
    r"Returns returned \(1, 4\) for 3 nodes": lambda: Returns(torch.zeros(1, 4)),
    r"Returns returned .* floating-point": lambda: Returns(torch.zeros(3, 4, dtype=torch.long)),
}


@pytest.mark.parametrize(("message", "make_head"), REFUSED.items(), ids=REFUSED.keys())
def test_refused_by_name(message, make_head):
    with pytest.raises(InputError, match=f"^head: {message}") as caught:
        check_head(make_head(), F)
    assert "\n" not in str(caught.value)
