import copy
import pickle

import numpy as np
import pytest
import torch
import torch_geometric.transforms as T
from torch.utils.data.datapipes.iter import IterableWrapper
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from sp_graph_seg.transforms import ToRAG, color_distance


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, copy.copy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_copies_do_the_same(clone):
    image = torch.rand(3, 10, 9)
    rag = ToRAG(
        6,
        20.0,
        -1.0,
        superpixel_method="watershed",
        mask=image[0] > 0.1,
        spacing=(1, 2),
        attributes=["area"],
    )
    first, second = rag(image), clone(rag)(image)
    assert first.to_dict().keys() == second.to_dict().keys()
    for key, value in first.to_dict().items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(second[key]))
    assert repr(clone(rag)) == repr(rag)


def test_functional_name():
    image = torch.rand(3, 8, 8)
    (data,) = IterableWrapper([image]).to_rag(n_segments=4)
    assert torch.equal(data.edge_index, ToRAG(4)(image).edge_index)


def test_compose_with_transforms_of_pyg(edge_set):
    image = torch.rand(3, 16, 16)
    plain = ToRAG(12, 1e3)(image)
    assert plain.num_nodes > 6
    chain = T.Compose(
        [
            ToRAG(12, 1e3),
            T.ToUndirected(reduce="mean"),
            T.Cartesian(),
            T.AddSelfLoops("edge_weight"),
        ]
    )
    data = chain(image)
    loops = {(node, node) for node in range(plain.num_nodes)}
    assert edge_set(data.edge_index) == edge_set(plain.edge_index) | loops
    undirected = T.ToUndirected(reduce="mean")(plain.clone())
    torch.testing.assert_close(
        undirected.edge_attr[:, 0], color_distance(plain.x, undirected.edge_index)
    )
    assert torch.equal(undirected.pixel_index, plain.pixel_index)
    assert T.LargestConnectedComponents()(plain.clone()).num_nodes == plain.num_nodes
    assert T.Distance()(plain.clone()).edge_attr.shape == (plain.num_edges, 2)


@pytest.fixture
def three_graphs():
    sizes = [(8, 9), (1, 1), (12, 5)]
    pixels = [torch.rand(2, *size) for size in sizes]
    graphs = [
        ToRAG(6, 1e3, mask=image[0] > 0.01, attributes=["area", "bbox", "edge_boundary_length"])(
            image
        )
        for image in pixels
    ]
    return pixels, graphs


def test_batch_moves_pixel_index(three_graphs):
    pixels, graphs = three_graphs
    batch = Batch.from_data_list(graphs)
    assert batch.validate(raise_on_error=True)
    offsets = np.cumsum([0] + [graph.num_nodes for graph in graphs])
    moved = [g.pixel_index + int(o) for g, o in zip(graphs, offsets[:-1], strict=True)]
    assert torch.equal(batch.pixel_index, torch.cat(moved))
    assert batch.image_size.tolist() == [[8, 9], [1, 1], [12, 5]]
    assert batch.pixel_mask.sum() == batch.pixel_index.numel()
    assert batch.num_nodes == offsets[-1]

    # Pixels, in the order of the batch, find their own node in it.
    colors = torch.cat([image.flatten(1) for image in pixels], dim=1)[:, batch.pixel_mask]
    count = torch.bincount(batch.pixel_index, minlength=batch.num_nodes)
    sums = torch.zeros(batch.num_nodes, 2).index_add(0, batch.pixel_index, colors.t())
    torch.testing.assert_close(batch.x, sums / count[:, None])
    torch.testing.assert_close(batch.area, count.float())

    for graph, again in zip(graphs, batch.to_data_list(), strict=True):
        for key, value in graph.to_dict().items():
            assert torch.equal(torch.as_tensor(again[key]), torch.as_tensor(value))


def test_loader(three_graphs):
    _, graphs = three_graphs
    batches = list(DataLoader(graphs, batch_size=2))
    assert [batch.num_graphs for batch in batches] == [2, 1]
    expected = Batch.from_data_list(graphs[:2])
    for key in ("x", "edge_index", "edge_weight", "pixel_index", "pixel_mask", "batch"):
        assert torch.equal(batches[0][key], expected[key])
    assert isinstance(batches[0][0], Data)
