"""The multi-scale graph against loops over pixels; batches, pickles, masks, volumes, odd images."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import (
    LEVELS,
    VOLUME_LEVELS,
    ToMultiscale,
    WatershedLevel,
    affinity,
    cell_image,
    color_distance,
    level_images,
    superpixel_means,
)

RNG = np.random.default_rng(0)
TOUCHES = ("superpixel", "touches", "superpixel")


def given_levels(ids):
    """Levels that make given ids ``(M, *size)``."""
    return [lambda _, own=own: own for own in ids]


def random_graph(size=(6, 7), mask=None):
    ids = RNG.integers(0, 3, (4, *size))
    image = RNG.random((2, *size))
    return ToMultiscale(given_levels(ids), mask=mask)(image), ids, image


@pytest.mark.parametrize("size", [(6, 7), (3, 4, 5)])
@pytest.mark.parametrize("with_mask", [False, True])
def test_it_is_what_loops_over_pixels_make(size, with_mask):
    mask = RNG.random(size) < 0.7 if with_mask else None
    graph, ids, image = random_graph(size, mask)
    inside = np.ones(size, bool) if mask is None else mask
    graph.validate()
    assert (graph.pixel_mask.numpy() == inside.ravel()).all()
    assert torch.equal(graph["pixel"].x, torch.tensor(image[:, inside].T, dtype=torch.float32))
    cells, levels = cell_image(graph), level_images(graph)
    assert (levels[:, ~inside] == -1).all()
    assert (cells[~inside] == -1).all()
    assert len(levels) == 4
    # A cell is where all levels agree.
    own, rows = cells[inside], ids[:, inside].T
    assert ((own[:, None] == own) == (rows[:, None] == rows).all(axis=-1)).all()
    # Pixels that share a superpixel share an id of its level.
    for number, level in enumerate(levels[:, inside]):
        assert ((level[:, None] == level) == (rows[:, None, number] == rows[:, number])).all()
        assert (graph["superpixel"].level[level] == number).all()
    places = np.argwhere(inside)
    nodes = {"cell": [cells], "superpixel": levels}
    for name, maps in nodes.items():
        for node in range(graph[name].num_nodes):
            here = np.any([m == node for m in maps], axis=0)
            assert graph[name].num_pixels[node] == here.sum() > 0
            np.testing.assert_allclose(graph[name].x[node], image[:, here].mean(axis=1), rtol=1e-5)
            expected = places[here[inside]].mean(axis=0)
            np.testing.assert_allclose(graph[name].pos[node], expected, rtol=1e-5)


def test_edges_join_superpixels_of_a_level_that_share_a_face():
    graph, _, _ = random_graph()
    expected = set()
    for level in level_images(graph):
        for one, other in ((level[1:], level[:-1]), (level[:, 1:], level[:, :-1])):
            pairs = {(int(i), int(j)) for i, j in zip(one.flat, other.flat, strict=True) if i != j}
            expected |= pairs | {(j, i) for i, j in pairs}
    edge_index = graph[TOUCHES].edge_index
    assert [tuple(pair) for pair in edge_index.T.tolist()] == sorted(
        expected, key=lambda pair: pair[::-1]
    )
    distance = color_distance(graph["superpixel"].x, edge_index)
    assert torch.equal(graph[TOUCHES].edge_attr, distance[:, None])
    assert torch.equal(graph[TOUCHES].edge_weight, affinity(distance, -20.0))


def test_means_are_those_of_pixels():
    graph, _, _ = random_graph(mask=RNG.random((6, 7)) < 0.8)
    values = RNG.random((6, 7, 3))
    means = superpixel_means(graph, values)
    for level in level_images(graph):
        for node in np.unique(level[level >= 0]):
            np.testing.assert_allclose(means[node], values[level == node].mean(axis=0))


def test_batches_and_pickles_keep_every_graph():
    graphs = [random_graph(size)[0] for size in ((6, 7), (4, 9), (3, 3))]
    for again in (pickle.loads(pickle.dumps(graphs[0])), copy.deepcopy(graphs[0])):
        assert_equal(again, graphs[0])
    batch = Batch.from_data_list(graphs)
    batch.validate()
    for number, graph in enumerate(graphs):
        assert_equal(batch.get_example(number), graph)
    with pytest.raises(InputError, match=r"^graph: the graph is a batch"):
        cell_image(batch)


def assert_equal(one: HeteroData, other: HeteroData):
    assert one.node_types == other.node_types
    assert one.edge_types == other.edge_types
    for mine, theirs in zip(one.stores, other.stores, strict=True):
        assert set(mine.keys()) == set(theirs.keys())
        for name, value in mine.items():
            same = value == theirs[name]
            assert same.all() if torch.is_tensor(same) else same, name


def test_a_pickled_transform_makes_the_same_graph():
    transform = ToMultiscale([LEVELS[0], WatershedLevel("lab", 1.0, 1.0)], tau=-5.0)
    image = torch.rand(3, 20, 24)
    assert_equal(pickle.loads(pickle.dumps(transform))(image), transform(image))
    assert repr(transform) == "ToMultiscale(tau=-5.0, levels=...)"
    assert repr(ToMultiscale(mask=np.ones((2, 2)))) == "ToMultiscale(tau=-20.0, mask=...)"


@pytest.mark.parametrize(
    ("image", "num_levels"),
    [
        (np.full((3, 16, 16), 0.5), len(LEVELS)),
        (RNG.random((3, 16, 16)), len(LEVELS)),
        (RNG.random((1, 16, 16)), len(LEVELS)),
        (RNG.random((7, 16, 16)), len(LEVELS)),
        (np.zeros((1, 1, 1)), len(LEVELS)),
        (RNG.random((1, 8, 8, 8)), len(VOLUME_LEVELS)),
        (np.full((2, 8, 8, 8), 0.5), len(VOLUME_LEVELS)),
    ],
)
def test_plain_tiny_and_solid_images_have_finite_gradients(image, num_levels):
    graph = ToMultiscale()(image)
    graph.validate()
    assert len(level_images(graph)) == num_levels
    x = graph["superpixel"].x.requires_grad_()
    affinity(color_distance(x, graph[TOUCHES].edge_index)).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_a_mask_cuts_levels_to_one_region_and_hides_what_lies_outside():
    image = RNG.random((3, 30, 40)).astype(np.float32)
    mask = np.zeros((30, 40), bool)
    mask[3:8, 3:8] = True
    graph = ToMultiscale(mask=mask)(image)
    assert graph["pixel"].num_nodes == 25
    other = np.where(mask, image, np.nan)
    assert_equal(ToMultiscale()(Data(image=other, mask=mask)), graph)
    mask[:] = False
    mask[4, 4] = True
    alone = ToMultiscale(mask=mask)(image)
    assert alone["cell"].num_nodes == 1
    assert alone["superpixel"].num_nodes == len(LEVELS)
    assert alone[TOUCHES].edge_index.shape == (2, 0)


def test_labels_of_pixels_become_those_of_nodes_and_other_fields_are_kept():
    ids = np.array([[[0, 0, 0, 1]], [[0, 0, 1, 1]]])
    y = torch.tensor([[5, 5, 2, -1]])
    data = Data(image=np.zeros((1, 1, 4)), y=y, name="a")
    graph = ToMultiscale(given_levels(ids))(data)
    assert graph["cell"].y.tolist() == [5, 2, -1]
    assert graph["superpixel"].y.tolist() == [5, -1, 5, 2]
    assert graph["superpixel"].train_mask.tolist() == [True, False, True, True]
    assert graph.name == "a"
    graph = ToMultiscale(given_levels(ids))(Data(image=np.zeros((1, 1, 4)), y=3))
    assert graph.y == 3
    assert "y" not in graph["cell"]


@pytest.mark.parametrize(
    ("options", "image", "message"),
    [
        ({"levels": []}, None, "levels: the sequence is empty"),
        ({"tau": 0.0}, None, "tau=0.0 does not give affinities"),
        ({"tau": float("nan")}, None, "tau=nan does not"),
        ({}, np.zeros((8, 8)), "image: shape"),
        ({}, np.full((1, 8, 8), np.nan), "image: 64 values are NaN"),
        ({"mask": np.zeros((8, 8))}, np.zeros((1, 8, 8)), "mask: no pixel is true"),
        ({"mask": np.ones((8, 9))}, np.zeros((1, 8, 8)), "mask: size"),
        ({"levels": LEVELS}, np.zeros((1, 4, 8, 8)), "levels: FelzenszwalbLevel"),
        ({"levels": [lambda _: np.zeros((2, 2), int)]}, np.zeros((1, 8, 8)), "levels: .* returned"),
        ({}, Data(x=torch.zeros(3)), "data: the field image is missing"),
    ],
)
def test_what_cannot_be_used_is_refused(options, image, message):
    with pytest.raises(InputError, match=f"^{message}"):
        ToMultiscale(**options)(image)
