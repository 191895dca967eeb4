"""What PyG's tests ask of ``HeteroData``, asked of the graph of several scales.

``docs/pyg_checks.md`` lists which test of PyG each one answers.
"""

import copy

import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric.data import HeteroData, InMemoryDataset
from torch_geometric.data.summary import Summary
from torch_geometric.loader import DataLoader

from sp_graph_seg.transforms import ToMultiscale

LIES_IN = ("cell", "lies_in", "superpixel")
TOUCHES = ("superpixel", "touches", "superpixel")


def grid(step):
    """A level whose superpixels are squares."""

    def level(image):
        rows, columns = (torch.arange(size) // step for size in image.shape[1:])
        return (rows[:, None] * 100 + columns).numpy()

    return level


@pytest.fixture
def graphs():
    to_graph = ToMultiscale([grid(2), grid(3)])
    generator = torch.Generator().manual_seed(0)
    return [to_graph(torch.rand(3, *size, generator=generator)) for size in ((6, 6), (4, 9))]


@pytest.fixture
def graph(graphs):
    return graphs[0]


def assert_same(one, other):
    assert (one.node_types, one.edge_types) == (other.node_types, other.edge_types)
    for mine, theirs in zip(one.stores, other.stores, strict=True):
        assert set(mine.keys()) == set(theirs.keys())
        for key in mine.keys():  # noqa: SIM118
            assert torch.equal(torch.as_tensor(mine[key]), torch.as_tensor(theirs[key])), key


def test_types_and_sizes(graph):
    assert graph.validate()
    node_types, edge_types = graph.metadata()
    assert node_types == ["pixel", "cell", "superpixel"]
    assert edge_types == [("pixel", "lies_in", "cell"), LIES_IN, TOUCHES]
    assert graph.num_nodes == 36 + 16 + 13
    assert graph.num_node_features == dict.fromkeys(node_types, 3)
    assert graph.num_edge_features[TOUCHES] == 1
    assert set(graph.collect("x")) == set(graph.x_dict) == set(node_types)


def test_copies(graph):
    assert_same(HeteroData.from_dict(graph.to_dict()), graph)
    shallow, deep = copy.copy(graph), copy.deepcopy(graph)
    for clone in (shallow, deep):
        assert_same(clone, graph)
        assert all(store._parent() is clone for store in clone.stores)
    assert shallow["cell"].x.data_ptr() == graph["cell"].x.data_ptr() != deep["cell"].x.data_ptr()


def test_subgraphs(graph):
    kept = {"cell": torch.tensor([3, 0]), "superpixel": graph["superpixel"].level == 1}
    part = graph.subgraph(kept)
    assert part.validate()
    assert torch.equal(part["cell"].x, graph["cell"].x[[3, 0]])
    assert part["superpixel"].level.tolist() == [1] * 4
    cell, superpixel = graph[LIES_IN].edge_index
    expected = [
        (new, int(s) - 9)
        for new, old in enumerate((3, 0))
        for s in superpixel[cell == old]
        if s >= 9
    ]
    assert sorted(zip(*part[LIES_IN].edge_index.tolist(), strict=True)) == expected
    levels = graph.edge_type_subgraph([TOUCHES])
    assert (levels.node_types, levels.edge_types) == (["superpixel"], [TOUCHES])
    fewer = graph.edge_subgraph({TOUCHES: torch.arange(4)})
    assert torch.equal(fewer[TOUCHES].edge_weight, graph[TOUCHES].edge_weight[:4])
    assert torch.equal(fewer[LIES_IN].edge_index, graph[LIES_IN].edge_index)


def test_one_graph_of_all_nodes_and_back(graph):
    whole = graph.to_homogeneous()
    assert whole.num_nodes == graph.num_nodes
    assert whole.num_edges == graph.num_edges
    assert torch.equal(whole.x, torch.cat(list(graph.x_dict.values())))
    again = whole.to_heterogeneous()
    for name in graph.node_types:
        assert torch.equal(again[name].x, graph[name].x)
    for name in graph.edge_types:
        assert torch.equal(again[name].edge_index, graph[name].edge_index)


def test_ids(graph):
    graph.generate_ids()
    for store in graph.node_stores:
        assert store.n_id.tolist() == list(range(store.num_nodes))
    for store in graph.edge_stores:
        assert store.e_id.tolist() == list(range(store.num_edges))


def test_reversed_edges(graph):
    both = T.ToUndirected()(graph.clone())
    reverse = both["superpixel", "rev_lies_in", "cell"].edge_index
    assert torch.equal(reverse, graph[LIES_IN].edge_index.flip(0))
    assert both.is_undirected()


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_tensors(graph):
    edges = graph[LIES_IN].edge_index
    sparse = T.ToSparseTensor(layout=torch.sparse_csr)(graph)
    dense = sparse[LIES_IN].adj_t.to_dense()
    expected = torch.zeros(13, 16)
    expected[edges[1], edges[0]] = 1
    assert torch.equal(dense, expected)


def test_in_memory(graphs, tmp_path):
    InMemoryDataset.save(graphs, tmp_path / "graphs.pt")
    dataset = InMemoryDataset()
    dataset.load(str(tmp_path / "graphs.pt"), data_cls=HeteroData)
    assert len(dataset) == 2
    for one, other in zip(dataset, graphs, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_loaders(graphs, num_workers):
    batches = list(DataLoader([*graphs, *graphs], batch_size=2, num_workers=num_workers))
    assert len(batches) == 2
    for batch in batches:
        assert batch.num_graphs == len(batch) == 2
        assert all(store._parent() is batch for store in batch.stores)
        assert batch["cell"].ptr.tolist() == [0, 16, 16 + graphs[1]["cell"].num_nodes]
        shift = torch.tensor([[16], [13]])
        edges = [graphs[0][LIES_IN].edge_index, graphs[1][LIES_IN].edge_index + shift]
        assert torch.equal(batch[LIES_IN].edge_index, torch.cat(edges, dim=1))


def test_a_summary(graphs):
    summary = Summary.from_dataset(graphs)
    assert summary.num_graphs == 2
    for name in graphs[0].node_types:
        sizes = torch.tensor([graph[name].num_nodes for graph in graphs]).float()
        assert summary.num_nodes_per_type[name].mean == sizes.mean()
        assert summary.num_nodes_per_type[name].max == sizes.max()
    edges = torch.tensor([graph[TOUCHES].num_edges for graph in graphs]).float()
    assert summary.num_edges_per_type[TOUCHES].min == edges.min()
