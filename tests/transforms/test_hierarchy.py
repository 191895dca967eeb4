"""Merged nodes against the graph of the merged superpixels, PyG's pooling and the other levels."""

import itertools

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.nn import avg_pool

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import NCutPooling
from sp_graph_seg.regions import build_region_tree
from sp_graph_seg.transforms import (
    ImageGraph,
    ToMultiscale,
    ToPixelGraph,
    ToRAG,
    cell_image,
    connected_components,
    graph_hierarchy,
    level_images,
    merge_nodes,
    to_label_image,
)


def image_of(*size, channels=3):
    return torch.rand(channels, *size, generator=torch.Generator().manual_seed(0))


def tiles():
    """An image of 48 tiles, and its region tree."""
    image = image_of(6, 8).repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    return image, build_region_tree(image.numpy())


def paint(graph):
    return to_label_image(torch.arange(graph.num_nodes), graph).numpy()


def assert_same(one, other):
    assert type(one) is type(other) is ImageGraph
    assert set(one.keys()) == set(other.keys())
    for key in other.keys():  # noqa: SIM118
        torch.testing.assert_close(torch.as_tensor(one[key]), torch.as_tensor(other[key]))


@pytest.mark.parametrize("size", [(12, 15), (5, 6, 7)])
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_graph_of_the_merged_superpixels(size, masked, label_map):
    image = image_of(*size)
    mask = image[0].numpy() < 0.9 if masked else None
    fine = ToRAG(superpixels=label_map(size), mask=mask)(image)
    groups = np.random.default_rng(0).integers(0, 3, fine.num_nodes + 1)
    groups[-1] = -1
    coarse = connected_components(groups[paint(fine)], mask)
    fine, merged = graph_hierarchy(fine, [coarse])
    assert 1 < merged.num_nodes < fine.num_nodes
    assert_same(merged, ToRAG(superpixels=coarse, mask=mask)(image))
    assert torch.equal(merged.pixel_index, fine.cluster[fine.pixel_index])


def test_pixels_are_merged_as_by_pyg():
    graph = ToPixelGraph(radius=1.5)(image_of(5, 6))
    cluster = torch.randint(0, 7, (30,), generator=torch.Generator().manual_seed(1))
    assert len(cluster.unique()) == 7
    merged = merge_nodes(graph, cluster)
    expected = avg_pool(cluster, Data(x=graph.x, pos=graph.pos, edge_index=graph.edge_index))
    torch.testing.assert_close(merged.x, expected.x)
    torch.testing.assert_close(merged.pos, expected.pos)
    assert torch.equal(merged.edge_index.flip(0), expected.edge_index)  # sorted by target
    assert merged.validate()


def test_ids_of_groups_may_have_gaps():
    graph = ToRAG(superpixels=[[0, 1, 2, 3, 4]])(image_of(1, 5))
    fine, merged = graph_hierarchy(graph, [[8, 8, 2, 100, 2]])
    assert fine.cluster.tolist() == [1, 1, 0, 2, 0]
    assert merged.num_nodes == 3
    assert "cluster" not in merged
    assert "cluster" not in graph


def test_cuts_of_a_region_tree_are_a_hierarchy():
    image, tree = tiles()
    cuts = [tree.cut(count) for count in (20, 12, 3)]
    graphs = graph_hierarchy(ToRAG(superpixels=tree.leaves)(image), cuts)
    for graph, cut in zip(graphs[1:], cuts, strict=True):
        np.testing.assert_array_equal(paint(graph), cut)
    for fine, coarse in itertools.pairwise(graphs):
        assert torch.equal(coarse.pixel_index, fine.cluster[fine.pixel_index])


def test_a_hierarchy_is_a_graph_of_several_scales():
    image, tree = tiles()
    graphs = graph_hierarchy(ToRAG(superpixels=tree.cut(20))(image), [tree.cut(12), tree.cut(3)])
    scales = ToMultiscale([lambda _, graph=graph: paint(graph) for graph in graphs], tau=-10.0)(
        image
    )
    torch.testing.assert_close(
        scales["superpixel"].x, torch.cat([graph.x for graph in graphs]), rtol=1e-5, atol=1e-6
    )
    start = np.cumsum([0] + [graph.num_nodes for graph in graphs[:-1]])
    edges = [graph.edge_index + int(s) for graph, s in zip(graphs, start, strict=True)]
    touches = scales["superpixel", "touches", "superpixel"]
    assert torch.equal(touches.edge_index, torch.cat(edges, dim=1))
    again = graph_hierarchy(ToRAG(superpixels=cell_image(scales))(image), level_images(scales))
    for graph, other in zip(again[1:], graphs, strict=True):
        np.testing.assert_array_equal(paint(graph), paint(other))


def test_clusters_of_a_pooling_layer_are_a_level():
    graph = ToRAG(superpixels=np.arange(20).reshape(4, 5))(image_of(4, 5))
    torch.manual_seed(0)
    pooled = NCutPooling(3, 4)(10 * graph.x, graph.edge_index, graph.edge_weight)
    chosen = pooled.s.argmax(dim=1)
    (fine, merged) = graph_hierarchy(graph, [chosen])
    for node in range(merged.num_nodes):
        members = chosen[fine.cluster == node]
        assert len(members.unique()) == 1
        torch.testing.assert_close(
            merged.x[node], graph.x[chosen == members[0]].mean(dim=0), rtol=1e-5, atol=1e-6
        )


def test_one_node_is_left():
    (_, merged) = graph_hierarchy(ToPixelGraph()(image_of(3, 4)), [torch.zeros(12).long()])
    torch.testing.assert_close(merged.x[0], image_of(3, 4).mean(dim=(1, 2)))
    assert merged.edge_index.shape == (2, 0)


def test_what_cannot_be_merged_is_named():
    graph = ToRAG(superpixels=[[0, 1, 2]])(image_of(1, 3))
    with pytest.raises(InputError, match=r"^cluster: shape \(2,\) must be \(3,\)"):
        merge_nodes(graph, torch.tensor([0, 1]))
    for cluster in ([0, 2, 2], [-1, 0, 1]):
        with pytest.raises(InputError, match=r"^cluster: the new nodes are not numbered from 0"):
            merge_nodes(graph, torch.tensor(cluster))
    with pytest.raises(InputError, match=r"^cluster: the type torch.float32 must be an integer"):
        merge_nodes(graph, torch.tensor([0.0, 0.0, 1.0]))
    with pytest.raises(InputError, match=r"^graph: the graph is a batch"):
        merge_nodes(Batch.from_data_list([graph, graph]), torch.zeros(6).long())
    with pytest.raises(InputError, match=r"^levels: a node has no label"):
        graph_hierarchy(graph, [[[0, 0, -1]]])
    with pytest.raises(InputError, match=r"^levels: an array of shape \(2, 2\)"):
        graph_hierarchy(graph, [np.zeros((2, 2), int)])
