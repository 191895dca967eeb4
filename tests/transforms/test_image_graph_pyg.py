"""What PyG's tests ask of its own ``Data`` and ``Batch``, asked of the graph of an image.

``docs/pyg_checks.md`` lists which test of PyG each one answers.
"""

import copy

import numpy as np
import pytest
import torch
import torch_geometric.transforms as T
from torch.utils.data.datapipes.iter import IterableWrapper
from torch_geometric.data import Batch, Data, InMemoryDataset, OnDiskDataset
from torch_geometric.data.datapipes import DatasetAdapter
from torch_geometric.loader import DataLoader

from sp_graph_seg.transforms import ImageGraph, ToRAG, to_label_image

SIZES = [(7, 9), (1, 1), (12, 5)]


def image_of(size, channels=3, seed=0):
    return torch.rand(channels, *size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def graphs():
    """Of images of different sizes; that of the second has one node and no edge."""
    return [ToRAG(6, 1e3)(image_of(size, seed=k)) for k, size in enumerate(SIZES)]


@pytest.fixture
def graph(graphs):
    return graphs[0]


def assert_same(one, other):
    assert type(one) is type(other)
    assert set(one.keys()) == set(other.keys())
    for key in other.keys():  # noqa: SIM118
        assert torch.equal(torch.as_tensor(one[key]), torch.as_tensor(other[key])), key


def test_superpixels_of_grey_images():
    """As of ``ToSLIC``; its ``seg`` is the label image of the nodes."""
    to_graph = T.Compose([ToRAG(30, 1e3)])
    assert str(to_graph) == f"Compose([\n  {ToRAG(30, 1e3)}\n])"
    pairs = [(to_graph(image_of((28, 28), 1, seed)), 7 - 5 * seed) for seed in (0, 1)]
    for graph, _ in pairs:
        n = graph.num_nodes
        assert graph.x.shape == (n, 1)
        assert graph.pos.shape == (n, 2)
        seg = to_label_image(torch.arange(n), graph)
        assert seg.shape == (28, 28)
        assert seg.unique().tolist() == list(range(n))
    ((batch, y),) = DataLoader(pairs, batch_size=2)
    assert batch.num_graphs == len(batch) == 2
    assert y.tolist() == [7, 2]
    assert len(batch.x) == len(batch.pos) == len(batch.batch) == batch.ptr[-1]
    assert batch.pixel_index.shape == (2 * 28 * 28,)


def test_access_by_name(graph):
    n, e = graph.num_nodes, graph.num_edges
    assert graph["x"] is graph.x is graph.get("x")
    assert graph.get("y", 2) == 2
    assert next(graph("x")) == ("x", graph.x)
    assert len(graph) == len(graph.keys()) == len(graph.to_dict()) == len(graph.to_namedtuple())
    assert "pixel_index" in graph
    assert "y" not in graph
    assert (graph.num_node_features, graph.num_edge_features) == (3, 1)
    assert (graph.num_node_types, graph.num_edge_types) == (1, 1)
    assert graph.__cat_dim__("pixel_index", graph.pixel_index) == -1
    assert graph.__inc__("pixel_index", graph.pixel_index) == n
    assert graph.__inc__("pixel_mask", graph.pixel_mask) == 0
    graph.title = "a"
    del graph.title
    assert str(graph) == (
        f"ImageGraph(x=[{n}, 3], edge_index=[2, {e}], edge_attr=[{e}, 1], pos=[{n}, 2], "
        f"edge_weight=[{e}], pixel_index=[63], pixel_mask=[63], num_nodes={n}, "
        "image_size=[1, 2])"
    )


def test_changes_in_place(graph):
    before = graph.clone()
    graph.apply_(lambda x: x.mul_(2), "x")
    assert torch.equal(graph.x, 2 * before.x)
    assert graph.requires_grad_("x").x.requires_grad
    assert not graph.detach_("x").x.requires_grad
    assert graph.share_memory_().pixel_index.is_shared()
    graph.update(Data(x=before.x, z=before.pos))
    assert torch.equal(graph.x, before.x)
    assert torch.equal(graph.z, before.pos)
    graph.generate_ids()
    assert graph.n_id.tolist() == list(range(graph.num_nodes))
    assert graph.e_id.tolist() == list(range(graph.num_edges))


def test_shallow_and_deep_copies(graph):
    shallow, deep = copy.copy(graph), copy.deepcopy(graph)
    assert shallow.x.data_ptr() == graph.x.data_ptr() != deep.x.data_ptr()
    shallow.x = None
    assert graph.x is not None


def test_lists_follow_their_nodes(graph):
    graph.words = [f"node {node}" for node in range(graph.num_nodes)]
    part = graph.subgraph(torch.tensor([3, 1]))
    assert part.words == ["node 3", "node 1"]


@pytest.mark.parametrize("which", [0, 1], ids=["edges", "no edges"])
def test_heterogeneous_graphs(graphs, which):
    graph = graphs[which]
    hetero = graph.to_heterogeneous(
        node_type_names=["node"], edge_type_names=[("node", "to", "node")]
    )
    assert torch.equal(hetero["node"].x, graph.x)
    assert torch.equal(hetero["node", "node"].edge_index, graph.edge_index)


def test_the_feature_store_holds_what_belongs_to_nodes(graph):
    names = {attribute.attr_name for attribute in graph.get_all_tensor_attrs()}
    assert names == {"x", "pos"}
    assert graph.get_tensor_size(attr_name="x") == tuple(graph.x.shape)
    graph.put_tensor(0, attr_name="x", index=slice(1, None))
    assert torch.equal(graph.get_tensor(attr_name="x", index=None), graph.x)
    assert not graph.x[1:].any()
    assert graph.remove_tensor(attr_name="x", index=None)
    assert "x" not in graph


@pytest.mark.parametrize(
    ("index", "kept"),
    [
        ([1, 0], [1, 0]),
        (torch.tensor([2, 0]), [2, 0]),
        (torch.tensor([True, False, True]), [0, 2]),
        (np.array([1, 0]), [1, 0]),
        (np.array([False, True, False]), [1]),
        (slice(2), [0, 1]),
    ],
    ids=str,
)
def test_graphs_of_a_batch_are_selected(graphs, index, kept):
    batch = Batch.from_data_list(graphs)
    assert batch.num_graphs == len(batch) == 3
    assert batch.ptr.tolist() == np.cumsum([0] + [g.num_nodes for g in graphs]).tolist()
    selected = batch[index]
    assert len(selected) == len(kept)
    for one, number in zip(selected, kept, strict=True):
        assert_same(one, graphs[number])


def test_batches_of_batches_and_of_one(graphs):
    (again,) = Batch.from_data_list(graphs[:1]).to_data_list()
    assert_same(again, graphs[0])
    two = Batch.from_data_list(graphs[::2])
    batch = Batch.from_data_list([two, two])
    assert batch.num_graphs == 2
    assert torch.equal(batch.x, torch.cat([two.x, two.x]))
    assert torch.equal(
        batch.pixel_index, torch.cat([two.pixel_index, two.pixel_index + two.num_nodes])
    )


def test_batches_name_the_graph_of_each_pixel(graphs):
    batch = Batch.from_data_list(graphs, follow_batch=["pixel_index"])
    sizes = [height * width for height, width in SIZES]
    expected = np.repeat(np.arange(3), sizes)
    assert batch.pixel_index_batch.tolist() == expected.tolist()
    assert torch.equal(batch.pixel_index_batch, batch.batch[batch.pixel_index])
    assert batch.pixel_index_ptr.tolist() == np.cumsum([0, *sizes]).tolist()


def test_nested_and_empty_fields_of_a_batch(graphs):
    for graph in graphs:
        graph.pair = {"color": graph.x, "place": [graph.pos, graph.pos + 1]}
        graph.words = []
    batch = Batch.from_data_list(graphs)
    assert torch.equal(batch.pair["color"], batch.x)
    assert torch.equal(batch.pair["place"][1], batch.pos + 1)
    assert batch.words == [[], [], []]
    assert torch.equal(batch[2].pair["place"][0], graphs[2].pos)


class WithThumbnail(ImageGraph):
    """A graph with a field that a batch stacks."""

    def __cat_dim__(self, key, value, *args, **kwargs):
        is_stacked = key == "thumbnail"
        return None if is_stacked else super().__cat_dim__(key, value, *args, **kwargs)


def test_fields_that_are_stacked(graphs):
    more = [
        WithThumbnail.from_dict({**graph.to_dict(), "thumbnail": torch.full((4,), k)})
        for k, graph in enumerate(graphs)
    ]
    batch = Batch.from_data_list(more)
    assert batch.thumbnail.tolist() == [[k] * 4 for k in range(3)]
    assert_same(batch[1], more[1])
    data, slices = InMemoryDataset.collate(more)
    assert data.thumbnail.shape == (3, 4)
    assert slices["pixel_index"].tolist() == np.cumsum([0, 63, 1, 60]).tolist()


def test_a_batch_in_a_file(graphs, tmp_path):
    batch = Batch.from_data_list(graphs)
    torch.save(batch, tmp_path / "batch.pt")
    loaded = torch.load(tmp_path / "batch.pt", weights_only=False)
    assert loaded._store._parent() is loaded
    assert type(loaded).__name__ == "ImageGraphBatch"
    assert_same(loaded, batch)


def test_a_data_base_of_graphs(graphs, tmp_path):
    dataset = OnDiskDataset(tmp_path)
    dataset.append(graphs[0])
    dataset.extend(graphs[1:])
    assert_same(dataset.get(0), graphs[0])
    for one, number in zip(dataset.multi_get([2, 0]), (2, 0), strict=True):
        assert_same(one, graphs[number])
    dataset.close()


def test_data_pipes(graphs):
    images = [image_of(size, seed=k) for k, size in enumerate(SIZES)]
    pipe = DatasetAdapter(images).to_rag(n_segments=6, compactness=1e3)
    for one, other in zip(pipe, graphs, strict=True):
        assert_same(one, other)
    batches = list(IterableWrapper(graphs).batch_graphs(batch_size=2, drop_last=True))
    assert [batch.num_graphs for batch in batches] == [2]
    adapter = DatasetAdapter(graphs)
    adapter.apply_sharding(2, 0)
    assert sum(1 for _ in adapter) == 2
