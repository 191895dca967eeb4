"""PyG tells attributes of nodes and edges by their length: here these lengths are alike."""

import copy
import pickle

import numpy as np
import pytest
import torch
import torch_geometric.transforms as T
import torch_geometric.typing
from torch_geometric import seed_everything
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.loader import DataLoader, NeighborLoader, RandomNodeLoader
from torch_geometric.loader.utils import filter_data

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import ATTRIBUTES, ImageGraph, ToPixelGraph, ToRAG, to_label_image
from sp_graph_seg.transforms.image_graph import OF_THE_IMAGE

#: Label maps by what is as many as what: P pixels, N nodes, E edges, K images.
MAPS = {
    "P == E": [[2, 0, 0, 2], [0, 0, 1, 2]],
    "N == E": [[0, 0, 0], [1, 0, 0]],
    "N == E == P": [[0, 1]],
    "N == K": [[0, 0, 0]],
    "N == P": [[0, 1, 2], [3, 4, 5]],
    "none": [[0, 0, 1, 1, 2], [3, 3, 3, 4, 4]],
}

#: The transforms of PyG that take a graph and run without further packages, but for HalfHop and GDC
#: (not for graphs with ``edge_attr``), RootedEgoNets (which makes a class of its own), and those
#: that ask a solver that is not the same twice.
TRANSFORMS = [
    T.AddRandomWalkPE(2),
    T.AddRemainingSelfLoops("edge_weight"),
    T.AddSelfLoops("edge_weight", fill_value="mean"),
    T.Cartesian(),
    T.Center(),
    T.Constant(),
    T.Distance(),
    T.GCNNorm(),
    T.LargestConnectedComponents(),
    T.LineGraph(),
    T.LinearTransformation(torch.tensor([[2.0, 1.0], [0.0, 1.0]])),
    T.LocalCartesian(),
    T.LocalDegreeProfile(),
    T.MaskToIndex(["train_mask"]),
    T.NormalizeFeatures(),
    T.NormalizeRotation(),
    T.NormalizeScale(),
    T.OneHotDegree(9),
    T.Pad(9, 40),
    T.Polar(norm=False),
    T.RandomFlip(0, p=1.0),
    T.RandomJitter(0.1),
    T.RandomLinkSplit(add_negative_train_samples=False, neg_sampling_ratio=0.0),
    T.RandomNodeSplit(num_val=1, num_test=1),
    T.RandomRotate(90),
    T.RandomScale((0.5, 2)),
    T.RandomShear(0.2),
    T.RemoveDuplicatedEdges(),
    T.RemoveSelfLoops(),
    T.RemoveTrainingClasses([1]),
    T.SIGN(1),
    T.SVDFeatureReduction(2),
    T.TargetIndegree(),
    T.ToDevice("cpu"),
    T.ToSparseTensor(),
    T.ToUndirected(reduce="mean"),
    T.TwoHop(),
    T.VirtualNode(),
    Data.coalesce,
    Data.sort,
]


def graph_of(labels, **options):
    labels = np.asarray(labels)
    image = np.random.default_rng(0).random((3, *labels.shape), dtype=np.float32)
    graph = ToRAG(superpixels=labels, attributes=ATTRIBUTES, **options)(
        Data(image=image, edge_map=image[0])
    )
    graph.y = torch.arange(graph.num_nodes)
    graph.train_mask = graph.y > 0
    graph.name = "a"
    return graph


@pytest.fixture(params=MAPS)
def graph(request):
    return graph_of(MAPS[request.param])


def without_image(graph):
    """The same as a plain ``Data``, without what PyG could take for something else."""
    return Data.from_dict({k: v for k, v in graph.to_dict().items() if k not in OF_THE_IMAGE})


def assert_equal(one, other, names):
    for name in names:
        if isinstance(other[name], torch.Tensor):
            torch.testing.assert_close(one[name], other[name], equal_nan=True)
        else:
            assert one[name] == other[name]


def test_the_maps_are_what_they_are_called():
    counts = {}
    for name, labels in MAPS.items():
        graph = graph_of(labels)
        numbers = zip("PNEK", (np.size(labels), graph.num_nodes, graph.num_edges, 1), strict=True)
        counts[name] = dict(numbers)
    for name, count in counts.items():
        symbols = [] if name == "none" else name.split(" == ")
        assert len({count[symbol] for symbol in symbols}) <= 1
    assert len(set(counts["none"].values())) == 4


def test_what_belongs_to_what(graph):
    edges = {name for name in graph.keys() if name.startswith("edge_")}  # noqa: SIM118
    assert set(graph.edge_attrs()) == edges
    assert set(graph.node_attrs()) == set(graph.keys()) - edges - OF_THE_IMAGE - {"num_nodes"}


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: getattr(t, "__name__", str(t)))
def test_transforms_of_pyg_do_what_they_do_without_an_image(graph, transform):
    if isinstance(transform, T.RandomLinkSplit) and graph.num_edges < 8:
        pytest.skip("too few edges to be split")
    before = graph.clone()
    results = []
    for data in (graph, without_image(graph)):
        seed_everything(0)
        results.append(transform(data))
    ours, plain = (r if isinstance(r, tuple) else (r,) for r in results)
    for one, other in zip(ours, plain, strict=True):
        assert isinstance(one, ImageGraph)
        assert set(one.keys()) == set(other.keys()) | OF_THE_IMAGE
        assert_equal(one, other, other.keys())
        assert_equal(one, before, OF_THE_IMAGE)


@pytest.mark.parametrize("subset", [[0], [], "all", "reversed", "half"])
@pytest.mark.parametrize("is_masked", [False, True])
def test_subgraphs_keep_their_pixels(graph, subset, is_masked):
    n = graph.num_nodes
    named = {"all": range(n), "reversed": range(n)[::-1], "half": range(0, n, 2)}
    ids = torch.tensor(
        list(named.get(subset, subset) if isinstance(subset, str) else subset)
    ).long()
    pixels = to_label_image(torch.arange(n), graph)
    expected = torch.where(torch.isin(pixels, ids), pixels, -1)
    if is_masked:
        ids = torch.isin(torch.arange(n), ids)
    part = graph.subgraph(ids)
    assert torch.equal(to_label_image(part.y, part), expected)
    assert_equal(part, without_image(graph).subgraph(ids), without_image(graph).keys())
    assert_equal(part, graph, ["image_size", "name"])
    assert part.validate()


def test_edge_subgraphs_keep_their_pixels(graph):
    part = graph.edge_subgraph(torch.arange(graph.num_edges) % 2 == 0)
    assert_equal(part, graph, OF_THE_IMAGE)
    assert part.num_edges == (graph.num_edges + 1) // 2


def test_the_largest_part_of_an_image_is_painted():
    graph = graph_of([[0, 1, 2, 2, 3]], mask=np.array([[1, 1, 1, 0, 1]]))
    part = T.LargestConnectedComponents()(graph)
    assert to_label_image(part.y, part).tolist() == [[0, 1, 2, -1, -1]]
    left = T.RemoveIsolatedNodes()(graph_of([[0, 1, 2, 2, 3]], mask=np.array([[1, 1, 1, 0, 1]])))
    with pytest.raises(InputError, match="nodes that were removed"):
        to_label_image(left.y, left)


@pytest.mark.parametrize(
    "clone",
    [
        copy.copy,
        copy.deepcopy,
        lambda data: data.clone(),
        lambda data: data.contiguous(),
        lambda data: data.cpu(),
        lambda data: pickle.loads(pickle.dumps(data)),
        lambda data: ImageGraph.from_dict(data.to_dict()),
        lambda data: Batch.from_data_list([data]).get_example(0),
    ],
)
def test_copies_are_alike(graph, clone):
    again = clone(graph)
    assert type(again) is ImageGraph
    assert set(again.keys()) == set(graph.keys())
    assert_equal(again, graph, graph.keys())
    assert set(again.edge_attrs()) == set(graph.edge_attrs())
    assert again._store._parent() is again


def test_a_dataset_in_memory(graph, tmp_path):
    InMemoryDataset.save([graph, graph], tmp_path / "graphs.pt")
    dataset = InMemoryDataset()
    dataset.load(str(tmp_path / "graphs.pt"))
    assert_equal(dataset[1], graph, graph.keys())
    assert type(dataset[1]) is ImageGraph


def test_batches_of_all_lengths():
    graphs = [graph_of(labels) for labels in MAPS.values()]
    graphs.append(graph_of([[0, 1, 2, 2, 3]], mask=np.array([[1, 1, 1, 0, 1]])))
    batch = Batch.from_data_list(graphs)
    assert isinstance(batch, ImageGraph)
    for data in (batch, pickle.loads(pickle.dumps(batch))):
        for one, other in zip(data.to_data_list(), graphs, strict=True):
            assert type(one) is ImageGraph
            assert_equal(one, other, other.keys())
    assert set(batch.node_attrs()) == {*graphs[0].node_attrs(), "batch"}
    assert set(batch.edge_attrs()) == set(graphs[0].edge_attrs())
    (loaded,) = DataLoader(graphs, batch_size=len(graphs))
    assert_equal(loaded, batch, batch.keys())
    one = Batch.from_data_list([graphs[3]] * 2)  # as many images as nodes
    assert not {"name", "image_size"} & {*one.node_attrs(), *one.edge_attrs()}


def test_a_loader_of_random_nodes(graph):
    painted = torch.full_like(to_label_image(graph.y, graph), -1)
    for part in RandomNodeLoader(graph, num_parts=2, shuffle=True):
        labels = to_label_image(part.y, part)
        assert (painted[labels >= 0] == -1).all()
        painted = torch.where(labels >= 0, labels, painted)
    assert torch.equal(painted, to_label_image(graph.y, graph))


def test_what_loaders_take_of_a_graph(graph):
    """What NeighborLoader and others do when they have sampled: all nodes, in another order."""
    n = graph.num_nodes
    nodes, edges = torch.arange(n).flip(0), torch.arange(graph.num_edges)[::2]
    part = filter_data(graph, nodes, *graph.edge_index[:, edges], edges)
    assert_equal(part, graph, OF_THE_IMAGE)
    for name in graph.node_attrs():
        torch.testing.assert_close(part[name], graph[name].flip(0), equal_nan=True)
    for name in set(graph.edge_attrs()) - {"edge_index"}:
        torch.testing.assert_close(part[name], graph[name][edges])
    part.n_id = nodes
    with pytest.raises(InputError, match="a loader cut"):
        to_label_image(part.y, part)


@pytest.mark.skipif(
    not (torch_geometric.typing.WITH_PYG_LIB or torch_geometric.typing.WITH_TORCH_SPARSE),
    reason="NeighborLoader needs pyg-lib or torch-sparse",
)
def test_a_loader_of_neighbors(graph):
    for part in NeighborLoader(graph, [-1], batch_size=2):
        assert_equal(part, graph, OF_THE_IMAGE)
        assert torch.equal(part.x, graph.x[part.n_id])
        assert torch.equal(part.edge_attr, graph.edge_attr[part.e_id])
        with pytest.raises(InputError, match="a loader cut"):
            to_label_image(part.y, part)


def test_pixels_are_nodes(graph):
    pixels = ToPixelGraph()(torch.rand(3, 2, 3))
    part = pixels.subgraph(torch.tensor([4, 0]))
    assert to_label_image(torch.tensor([7, 8]), part).tolist() == [[8, -1, -1], [-1, 7, -1]]


def test_a_sorted_edge_index(graph):
    edges = graph.sorted_edge_index()
    assert edges.is_sorted_by_col
    assert edges.is_undirected
    assert torch.equal(edges.as_tensor(), graph.edge_index)
    x = torch.rand(graph.num_nodes, 4)
    expected = torch.zeros_like(x).index_add(0, graph.edge_index[1], x[graph.edge_index[0]])
    torch.testing.assert_close(edges.matmul(x, transpose=True), expected)
    if graph.num_edges:
        graph.edge_index = graph.edge_index.flip(1)
        if graph.num_edges > 2:
            with pytest.raises(ValueError, match="not sorted"):
                graph.sorted_edge_index()
