import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse import coo_array, csr_array
from skimage.graph import cut_normalized, cut_threshold, merge_hierarchical, rag_mean_color
from torch_geometric.data import Batch, Data

from sp_graph_seg import ToRAG
from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import (
    ATTRIBUTES,
    ToPixelGraph,
    affinity,
    from_networkx,
    from_scipy,
    softmax_adjacency,
    to_label_image,
    to_networkx,
    to_scipy,
)


@pytest.fixture
def quarters():
    """Four quarters with ids 0 1 / 2 3; the upper two nearly alike, as are the lower two."""
    labels = np.kron([[0, 1], [2, 3]], np.ones((4, 5), dtype=int))
    image = np.array([0.1, 0.15, 0.9, 0.85])[labels] * np.ones((3, 1, 1))
    return image, labels


@pytest.fixture
def data(quarters):
    image, labels = quarters
    return ToRAG(superpixels=labels)(image)


@pytest.fixture
def rag(label_map):
    labels = label_map((14, 17))
    return ToRAG(superpixels=labels)(np.random.default_rng(0).random((3, 14, 17)))


def node_image(data):
    return to_label_image(torch.arange(data.num_nodes), data).numpy()


def merged(labels):
    """Whether each quarter but the first belongs to it."""
    first, *others = (labels[row, column] for row in (0, -1) for column in (0, -1))
    return [bool(other == first) for other in others]


def test_label_image_of_a_graph(rag, label_map):
    labels = to_label_image(torch.arange(rag.num_nodes), rag)
    assert labels.shape == (14, 17)
    # Each node lies in one label of the map it was made from.
    pairs = set(zip(labels.flatten().tolist(), label_map((14, 17)).ravel().tolist(), strict=True))
    assert len(pairs) == rag.num_nodes


@pytest.mark.parametrize("shape", [(6, 7), (3, 4, 5)])
def test_label_image_fills_outside_the_mask(label_map, shape):
    mask = np.random.default_rng(0).random(shape) < 0.6
    data = ToRAG(superpixels=label_map(shape), mask=mask)(np.zeros((1, *shape)))
    for fill in (-1, 255):
        painted = to_label_image(torch.full((data.num_nodes,), 7), data, fill=fill).numpy()
        assert np.array_equal(painted, np.where(mask, 7, fill))


def test_label_image_of_one_image_of_a_batch(data, quarters):
    mask = np.ones((5, 6), dtype=bool)
    mask[0] = False
    other = ToPixelGraph(mask=mask)(np.zeros((3, 5, 6)))
    for graphs in ([data, data], [other, other]):
        batch = Batch.from_data_list(graphs)
        for k, graph in enumerate(graphs):
            one = batch.get_example(k)
            assert np.array_equal(node_image(one), node_image(graph))
    batch = Batch.from_data_list([data, data])
    assert np.array_equal(node_image(batch.get_example(1)), quarters[1])
    with pytest.raises(InputError, match=r"data: the graph is a batch of images; .*get_example"):
        to_label_image(torch.zeros(8), batch)


def test_label_image_keeps_the_type_of_the_labels(data):
    for dtype in (torch.uint8, torch.float64, torch.bool):
        assert to_label_image(torch.ones(4, dtype=dtype), data).dtype == dtype


def test_label_image_refuses_another_number_of_labels(data):
    with pytest.raises(InputError, match=r"labels: shape \(3,\) must be \(4,\)"):
        to_label_image(torch.zeros(3), data)


def test_scipy_holds_the_edges_that_arrive_in_rows(rag, adjacency):
    matrix = to_scipy(rag)
    expected = adjacency(rag.edge_index, rag.edge_weight, rag.num_nodes)
    assert np.array_equal(matrix.toarray(), expected.numpy())
    ones = softmax_adjacency(rag.edge_attr[:, 0], rag.edge_index, rag.num_nodes)
    np.testing.assert_allclose(to_scipy(rag, ones).sum(axis=1), 1, rtol=1e-5)  # Eq. 8
    ones = to_scipy(rag, torch.ones(rag.num_edges))
    assert ones.sum() == rag.num_edges


def test_scipy_and_back(rag):
    back = from_scipy(to_scipy(rag))
    assert torch.equal(back.edge_index, rag.edge_index)
    assert torch.equal(back.edge_weight, rag.edge_weight)
    assert back.num_nodes == rag.num_nodes


def test_from_scipy_adds_up_duplicates_and_leaves_its_argument_alone():
    matrix = csr_array((np.array([1.0, 2.0]), np.array([1, 1]), np.array([0, 2, 2])), shape=(2, 2))
    data = from_scipy(matrix)
    assert (data.edge_index.tolist(), data.edge_weight.tolist()) == ([[1], [0]], [3.0])
    assert matrix.nnz == 2
    empty = from_scipy(coo_array((3, 3)))
    assert (empty.num_nodes, empty.num_edges) == (3, 0)


def test_from_scipy_refuses_what_is_not_square():
    with pytest.raises(InputError, match="matrix: the size 2x3 is not square"):
        from_scipy(csr_array((2, 3)))


def test_networkx_carries_what_scikit_image_does(quarters, data):
    image, labels = quarters
    ours, theirs = to_networkx(data), rag_mean_color(image.transpose(1, 2, 0), labels)
    assert set(ours.nodes) == set(theirs.nodes)
    for node in theirs:
        for key in ("labels", "pixel count", "total color", "mean color"):
            assert np.allclose(ours.nodes[node][key], theirs.nodes[node][key], atol=1e-5), key
    touching = {frozenset(edge) for edge in data.edge_index.t().tolist()}
    assert {frozenset(edge) for edge in ours.edges} == touching
    for one, other, weight in ours.edges(data="weight"):
        assert weight == pytest.approx(theirs.edges[one, other]["weight"], abs=1e-5)


def test_networkx_and_back_in_any_order_of_the_nodes(rag):
    graph = to_networkx(rag)
    shuffled = nx.Graph()
    order = np.random.default_rng(0).permutation(rag.num_nodes).tolist()
    shuffled.add_nodes_from((node, graph.nodes[node]) for node in order)
    shuffled.add_edges_from((b, a, edge) for a, b, edge in graph.edges(data=True))
    for back in (from_networkx(graph), from_networkx(shuffled)):
        assert torch.equal(back.edge_index, rag.edge_index)
        assert torch.equal(back.edge_weight, rag.edge_weight)
        assert torch.equal(back.edge_attr, rag.edge_attr)
        assert torch.equal(back.x, rag.x)
        assert torch.equal(back.pos, rag.pos)
        assert torch.equal(back.node_id, torch.arange(rag.num_nodes))
        assert back.is_undirected()


def test_networkx_of_a_volume(label_map):
    data = ToRAG(superpixels=label_map((4, 5, 6)))(np.zeros((1, 4, 5, 6)))
    back = from_networkx(to_networkx(data))
    assert torch.equal(back.pos, data.pos)
    assert torch.equal(back.edge_index, data.edge_index)


def test_a_graph_of_scikit_image_becomes_ours(quarters, data):
    image, labels = quarters
    # Its ids need not start at 0 nor be without gaps.
    graph = rag_mean_color(image.transpose(1, 2, 0), labels * 10 + 5, connectivity=1)
    ours = from_networkx(graph)
    assert ours.node_id.tolist() == [5, 15, 25, 35]
    assert torch.equal(ours.edge_index, data.edge_index)
    torch.testing.assert_close(ours.x, data.x)
    torch.testing.assert_close(ours.edge_weight, data.edge_attr[:, 0])


def test_a_graph_without_weights_or_colors_becomes_ours():
    graph = nx.Graph([(3, 1), (1, 1)])
    graph.add_node(2, pos=(0.0, 1.0))
    data = from_networkx(graph)
    assert data.node_id.tolist() == [1, 2, 3]
    assert data.edge_index.tolist() == [[0, 2, 0], [0, 0, 2]]  # a self-loop stays one edge
    assert data.edge_weight.tolist() == [1, 1, 1]
    assert data.x is None
    assert data.pos is None
    empty = from_networkx(nx.Graph())
    assert (empty.num_nodes, tuple(empty.edge_index.shape)) == (0, (2, 0))


def test_a_multigraph_adds_up_its_edges():
    data = from_networkx(nx.MultiGraph([(0, 1), (1, 0)]))
    assert data.edge_weight.tolist() == [2, 2]


def test_directed_graphs_and_other_names_are_refused():
    with pytest.raises(InputError, match=r"graph: the graph is directed; .*to_undirected"):
        from_networkx(nx.DiGraph([(0, 1)]))
    with pytest.raises(InputError, match="some node ids are not integers"):
        from_networkx(nx.Graph([("a", "b")]))


def test_asymmetric_weights_are_refused(data, rag):
    softmax = softmax_adjacency(rag.edge_attr[:, 0], rag.edge_index, rag.num_nodes)
    for graph, weight in ((rag, softmax), (data, torch.arange(data.num_edges))):
        with pytest.raises(InputError, match="weight: the two directions of an edge have"):
            to_networkx(graph, weight)


def test_merge_hierarchical_runs(data):
    def merge(graph, src, dst):
        one, other = graph.nodes[src], graph.nodes[dst]
        other["total color"] = other["total color"] + one["total color"]
        other["pixel count"] += one["pixel count"]
        other["mean color"] = other["total color"] / other["pixel count"]

    def weigh(graph, src, dst, neighbor):
        difference = graph.nodes[dst]["mean color"] - graph.nodes[neighbor]["mean color"]
        return {"weight": np.linalg.norm(difference)}

    labels = merge_hierarchical(
        node_image(data),
        to_networkx(data),
        thresh=0.3,
        rag_copy=False,
        in_place_merge=True,
        merge_func=merge,
        weight_func=weigh,
    )
    assert merged(labels) == [True, False, False]
    assert len(np.unique(labels)) == 2


def test_merge_hierarchical_runs_on_a_copy(data):
    def weigh(graph, src, dst, neighbor):
        return {"weight": 1.0}

    labels = merge_hierarchical(
        node_image(data),
        to_networkx(data),
        thresh=0.3,
        rag_copy=True,
        in_place_merge=False,
        merge_func=lambda graph, src, dst: None,
        weight_func=weigh,
    )
    assert merged(labels) == [True, False, False]


def test_cut_threshold_runs(data):
    assert merged(cut_threshold(node_image(data), to_networkx(data), 0.3)) == [True, False, False]


def test_cut_normalized_runs(data):
    graph = to_networkx(data, affinity(data.edge_attr[:, 0], tau=-10.0))
    labels = cut_normalized(node_image(data), graph, rng=0)
    assert merged(labels) == [True, False, False]


def test_networkx_of_a_graph_without_edges():
    data = ToRAG(superpixels=np.zeros((2, 3), dtype=int))(np.zeros((1, 2, 3)))
    graph = to_networkx(data)
    assert (len(graph), graph.number_of_edges()) == (1, 0)
    assert isinstance(from_networkx(graph), Data)


def test_node_attributes_survive_networkx(data):
    data = data.clone()
    data.y = torch.arange(data.num_nodes)
    data.area = torch.rand(data.num_nodes)
    back = from_networkx(to_networkx(data))
    for name in ("x", "pos", "y", "area"):
        torch.testing.assert_close(back[name], data[name])
    assert torch.equal(back.edge_index, data.edge_index)


def test_a_graph_without_colours_goes_to_networkx_and_back():
    club = nx.karate_club_graph()
    data = from_networkx(club)
    again = from_networkx(to_networkx(data))
    assert torch.equal(again.edge_index, data.edge_index)
    assert torch.equal(again.edge_weight, data.edge_weight)


def test_every_attribute_survives_networkx(label_map):
    mask = np.ones((9, 11), bool)
    mask[3:5, 2:6] = False
    to_rag = ToRAG(
        superpixels=label_map((9, 11)), mask=mask, edge_weight="softmax", attributes=ATTRIBUTES
    )
    image = np.random.default_rng(0).random((3, 9, 11))
    data = to_rag(Data(image=image, edge_map=image[0]))
    data.edge_step = data.pos[data.edge_index[0]] - data.pos[data.edge_index[1]]
    data.y = torch.arange(data.num_nodes)
    data.name = "a"
    graph = to_networkx(data)
    one, other = data.edge_index[:, 0].tolist()
    step = data.edge_step[0].tolist()
    assert graph.edges[one, other]["edge_step"][one, other] == step
    back = from_networkx(graph)
    assert set(back.keys()) == set(data.keys()) | {"node_id"}
    for name, value in data.to_dict().items():
        assert torch.equal(back[name], value) if torch.is_tensor(value) else back[name] == value


def test_pixels_follow_their_nodes_when_scikit_image_merges_them(data, quarters):
    graph = to_networkx(data)
    graph.merge_nodes(0, 1)
    back = from_networkx(graph)
    assert back.num_nodes == 3
    assert back.node_id.tolist() == [1, 2, 3]
    expected = np.array([0, 0, 1, 2])[quarters[1]]
    assert np.array_equal(node_image(back), expected)
    graph.remove_node(1)
    back = from_networkx(graph)
    assert np.array_equal(node_image(back), np.array([-1, -1, 0, 1])[quarters[1]])


def test_edge_attributes_of_others_are_called_so():
    graph = nx.Graph()
    graph.add_edge(0, 1, width=2, kind="road", shape=[1.0, 2.0])
    graph.add_edge(1, 2, width=5, kind="rail", shape=[3.0, 4.0])
    graph.add_edge(1, 2, length=9)
    data = from_networkx(graph)
    assert data.edge_width.tolist() == [2, 2, 5, 5]
    assert data.edge_shape.tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]]
    assert set(data.keys()) == {
        "edge_index", "edge_shape", "edge_weight", "edge_width", "node_id", "num_nodes"
    }  # fmt: skip


def test_labels_of_a_part_of_a_graph_are_painted_where_it_is(data, quarters):
    for subset in (torch.tensor([3, 1]), torch.tensor([False, True, False, True])):
        part = data.subgraph(subset)
        kept = [3, 1] if subset.dtype == torch.long else [1, 3]
        painted = to_label_image(torch.tensor(kept), part).numpy()
        assert np.array_equal(painted, np.array([-1, 1, -1, 3])[quarters[1]])


def test_labels_of_what_a_loader_took_are_refused(data):
    data.n_id = torch.tensor([3, 2, 1, 0])
    with pytest.raises(InputError, match=r"a loader cut from .* data\.n_id"):
        to_label_image(torch.zeros(4), data)
    less = data.clone()
    less.num_nodes = 2
    with pytest.raises(InputError, match="nodes that were removed"):
        to_label_image(torch.zeros(2), less)
