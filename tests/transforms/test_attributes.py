import itertools
from functools import partial

import numpy as np
import pytest
import torch
from skimage.filters import sobel
from skimage.graph import rag_boundary
from skimage.measure import regionprops
from torch_geometric.data import Data

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import ATTRIBUTES, ToPixelGraph, ToRAG
from sp_graph_seg.transforms.attributes import histogram

# shape, connectivity, spacing
CASES = [
    ((9, 11), 1, None),
    ((9, 11), 2, (0.5, 3.0)),
    ((5, 6, 7), 1, (4.0, 1.0, 0.5)),
    ((5, 6, 7), 2, None),
    ((5, 6, 7), 3, (2.0, 1.0, 1.0)),
]


@pytest.fixture(params=CASES, ids=str)
def case(request, label_map, find_regions):
    """A graph with every attribute, its image and label map, and what a loop finds in them."""
    shape, connectivity, spacing = request.param
    image = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    mask = np.ones(shape, bool)
    mask[0, :3] = False
    labels = label_map(shape, num_labels=5, seed=4)
    data = ToRAG(
        superpixels=labels,
        connectivity=connectivity,
        spacing=spacing,
        mask=mask,
        attributes=tuple(ATTRIBUTES),
    )(Data(image=image, edge_map=image[0]))
    nodes = np.full(shape, -1)
    nodes[mask] = data.pixel_index
    regions = find_regions(nodes, connectivity)
    return data, image, nodes, regions, np.array(spacing or [1.0] * len(shape))


def test_regionprops_agree(case):
    data, image, nodes, _, spacing = case
    props = regionprops(nodes + 1, np.moveaxis(image, 0, -1), spacing=spacing)
    assert len(props) == data.num_nodes
    for node, prop in enumerate(props):
        assert data.area[node].item() == pytest.approx(prop.area, rel=1e-6)
        np.testing.assert_allclose(data.pos[node], prop.centroid, rtol=1e-5)
        np.testing.assert_array_equal(data.bbox[node], prop.bbox)
        for name, oracle in (
            ("x", prop.intensity_mean),
            ("minimum", prop.intensity_min),
            ("maximum", prop.intensity_max),
            ("std", prop.intensity_std),
        ):
            np.testing.assert_allclose(data[name][node], oracle, rtol=1e-5, atol=1e-6)
        if len(spacing) == 2:
            axes = [prop.axis_major_length, prop.axis_minor_length]
            np.testing.assert_allclose(data.axis_lengths[node], axes, rtol=1e-4, atol=1e-3)


def test_nodes_equal_a_loop(case):
    data, image, _, regions, spacing = case
    assert sorted(regions.nodes) == list(range(data.num_nodes))
    for node, pixels in regions.nodes.items():
        colors = np.array([image[:, *pixel] for pixel in pixels], dtype=np.float64)
        np.testing.assert_allclose(data.x[node], colors.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(data.variance[node], colors.var(axis=0), rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(data.pos[node], np.mean(pixels, axis=0) * spacing, rtol=1e-6)
        assert data.area[node].item() == pytest.approx(len(pixels) * spacing.prod())
        edges = np.arange(9) / 8
        shares = [np.histogram(channel, edges)[0] / len(pixels) for channel in colors.T]
        np.testing.assert_allclose(data.histogram[node], np.concatenate(shares), rtol=1e-6)
        centered = (np.array(pixels) - np.mean(pixels, axis=0)) * spacing
        moments = np.linalg.eigvalsh(centered.T @ centered / len(pixels))[::-1]
        axes = 2 * np.sqrt((len(spacing) + 2) * moments.clip(0))
        np.testing.assert_allclose(data.axis_lengths[node], axes, rtol=1e-4, atol=1e-3)
        box = [*np.min(pixels, axis=0), *np.max(pixels, axis=0) + 1]
        assert data.bbox[node].tolist() == box


def test_perimeters_equal_a_loop(case):
    data, _, nodes, regions, spacing = case
    for node, pixels in regions.nodes.items():
        total = 0.0
        for pixel in pixels:
            for axis, side in itertools.product(range(nodes.ndim), (-1, 1)):
                neighbor = list(pixel)
                neighbor[axis] += side
                is_in = 0 <= neighbor[axis] < nodes.shape[axis]
                if not is_in or nodes[tuple(neighbor)] != node:
                    total += spacing.prod() / spacing[axis]
        assert data.perimeter[node].item() == pytest.approx(total)


def test_edges_equal_a_loop(case):
    data, image, _, regions, spacing = case
    edges = list(map(tuple, data.edge_index.t().tolist()))
    assert set(edges) == set(regions.pairs)
    for number, edge in enumerate(edges):
        length, gradients, strengths = 0.0, [], []
        for pixel, neighbor, is_face in regions.pairs[edge]:
            step = np.abs(np.subtract(pixel, neighbor)) * spacing
            if is_face:
                length += spacing.prod() / step.sum()
            difference = np.linalg.norm(image[:, *pixel] - image[:, *neighbor])
            gradients.append(difference / np.linalg.norm(step))
            strengths.append((image[0, *pixel] + image[0, *neighbor]) / 2)
        assert data.edge_boundary_length[number].item() == pytest.approx(length)
        assert data.edge_boundary_gradient[number].item() == pytest.approx(np.mean(gradients))
        assert data.edge_strength[number].item() == pytest.approx(np.mean(strengths))
        colors = [np.mean([image[:, *p] for p in regions.nodes[n]], axis=0) for n in edge]
        difference = np.abs(colors[0] - colors[1])
        np.testing.assert_allclose(data.edge_color_difference[number], difference, atol=1e-6)


def test_types_and_shapes(case):
    data, image, *_ = case
    channels, ndim = image.shape[0], image.ndim - 1
    shapes = {
        "area": (data.num_nodes,),
        "variance": (data.num_nodes, channels),
        "std": (data.num_nodes, channels),
        "minimum": (data.num_nodes, channels),
        "maximum": (data.num_nodes, channels),
        "histogram": (data.num_nodes, 8 * channels),
        "bbox": (data.num_nodes, 2 * ndim),
        "perimeter": (data.num_nodes,),
        "axis_lengths": (data.num_nodes, ndim),
        "edge_boundary_length": (data.num_edges,),
        "edge_boundary_gradient": (data.num_edges,),
        "edge_strength": (data.num_edges,),
        "edge_color_difference": (data.num_edges, channels),
    }
    assert set(shapes) == set(ATTRIBUTES)
    for name, shape in shapes.items():
        assert data[name].shape == shape
        assert data[name].dtype == (torch.int64 if name == "bbox" else torch.float32)


def test_perimeter_of_a_square():
    """Known by hand: 3x3 in the middle of 9x9, pixels of 2 by 5."""
    labels = np.zeros((9, 9), int)
    labels[3:6, 3:6] = 1
    names = ("edge_boundary_length", "area", "edge_boundary_gradient", "perimeter")
    data = ToRAG(superpixels=labels, spacing=(2.0, 5.0), attributes=names)(labels[None] * 1.0)
    assert data.edge_boundary_length.tolist() == [2 * 3 * 2 + 2 * 3 * 5] * 2
    assert data.perimeter.tolist() == [2 * 12 * 2 + 2 * 12 * 5, 2 * 3 * 2 + 2 * 3 * 5]
    assert data.area.tolist() == [72 * 10, 9 * 10]
    # Six faces at a distance of 2 and six at one of 5, colours one apart.
    torch.testing.assert_close(data.edge_boundary_gradient, torch.full((2,), (1 / 2 + 1 / 5) / 2))


def test_one_superpixel():
    data = ToRAG(superpixels=np.zeros((4, 5), int), attributes=tuple(ATTRIBUTES))(
        Data(image=np.ones((1, 4, 5)), edge_map=np.ones((4, 5)))
    )
    assert data.edge_boundary_length.shape == data.edge_boundary_gradient.shape == (0,)
    assert data.edge_color_difference.shape == (0, 1)
    assert data.variance.tolist() == [[0.0]]
    assert data.bbox.tolist() == [[0, 0, 4, 5]]


def test_bright_images_keep_their_variance():
    """The square of the mean would swallow it: 1000 in 32 bits, with a deviation of 0.01."""
    image = 1000 + 0.01 * np.random.default_rng(0).standard_normal((1, 64, 64))
    data = ToRAG(superpixels=np.zeros((64, 64), int), attributes=["variance"])(image)
    assert data.variance.item() == pytest.approx(image.var(), rel=0.05)


def median(nodes):
    return torch.tensor([np.median(nodes.colors[:, nodes.pixel_index == n]) for n in range(2)])


def edge_is_upward(nodes):
    return nodes.edge_index[0] < nodes.edge_index[1]


def test_functions_of_the_users_own():
    labels = np.array([[0, 0, 0, 1]])
    to_rag = ToRAG(
        superpixels=labels, attributes=[median, edge_is_upward, partial(histogram, bins=2)]
    )
    data = to_rag(np.array([[[0.1, 0.2, 0.6, 0.9]]]))
    torch.testing.assert_close(data["median"], torch.tensor([0.2, 0.9]))
    assert data.edge_is_upward.tolist() == [False, True]
    torch.testing.assert_close(data.histogram, torch.tensor([[2 / 3, 1 / 3], [0.0, 1.0]]))
    assert "attributes=('median', 'edge_is_upward', 'histogram')" in repr(to_rag)


def x(nodes):
    return torch.zeros(nodes.num_nodes)


def too_few(nodes):
    return torch.zeros(nodes.num_nodes - 1)


def edge_of_nodes(nodes):
    return torch.zeros(nodes.num_nodes, 2)


def no_tensor(nodes):
    return 3


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (["size"], "'size' is unknown; use one of area, "),
        ("area", "'a' is unknown"),
        ([x], "'x' is already a field"),
        (["area", "area"], "'area' occurs 2 times"),
        ([lambda nodes: 0], "has no name; use a function"),
        ([3], "3 has no name"),
        ([too_few], r"too_few has shape \(2,\), but .* 3 rows, .* each node"),
        ([edge_of_nodes], r"edge_of_nodes has shape \(3, 2\), .* 4 rows, .* each edge"),
        ([no_tensor], "no_tensor has type int, but"),
    ],
)
def test_unusable_attributes_are_named(attributes, message):
    with pytest.raises(InputError, match=f"^attributes: .*{message}"):
        ToRAG(superpixels=np.arange(3)[None], attributes=attributes)(np.zeros((1, 1, 3)))


@pytest.mark.parametrize("spacing", [None, (2.0, 1.0)])
def test_attributes_of_pixels_are_those_of_superpixels_of_one_pixel(spacing):
    image = np.random.default_rng(0).random((2, 4, 5), dtype=np.float32)
    mask = image[0] > 0.2
    names = tuple(ATTRIBUTES)
    given = Data(image=image, edge_map=image[1])
    pixels = ToPixelGraph(2.0 if spacing else 1.0, mask=mask, spacing=spacing, attributes=names)(
        given
    )
    if spacing is None:
        superpixels = ToRAG(superpixels=np.arange(20).reshape(4, 5), mask=mask, attributes=names)(
            given
        )
        assert pixels.keys() == superpixels.keys()
        for name in superpixels.keys():  # noqa: SIM118, a graph iterates over pairs
            torch.testing.assert_close(pixels[name], superpixels[name])
    # Neighbours two columns or one row apart, at the same distance, of which one pair has a face.
    steps = pixels.pos[pixels.edge_index[0]] - pixels.pos[pixels.edge_index[1]]
    distance = steps.norm(dim=1)
    assert distance.max() <= (2.0 if spacing else 1.0)
    is_face = (steps / torch.tensor(spacing or (1.0, 1.0))).abs().sum(dim=1) == 1
    assert torch.equal(pixels.edge_boundary_length > 0, is_face)
    torch.testing.assert_close(
        pixels.edge_boundary_gradient, pixels.edge_attr[:, 0] / distance, rtol=1e-4, atol=1e-6
    )


#: Two rows of three superpixels, two of which touch the third.
BY_HAND = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]])


def test_the_features_of_pascal_voc_sp_by_hand():
    """Node features (N, 14) and edge features (E, 2) of the Long Range Graph Benchmark.

    They are the mean, deviation, largest and least value of each colour and the centroid; and the
    mean of a Sobel map along the boundary, and its length.
    """
    image = np.random.default_rng(0).random((3, 3, 4)).astype(np.float32)
    edge_map = sobel(image.mean(axis=0))
    attributes = ("std", "maximum", "minimum", "edge_strength", "edge_boundary_length")
    data = ToRAG(superpixels=BY_HAND, attributes=attributes)(Data(image=image, edge_map=edge_map))
    x = torch.cat([data.x, data.std, data.maximum, data.minimum, data.pos], dim=1)
    for node in range(3):
        colors = image[:, node == BY_HAND]  # (3, P)
        rows, columns = np.nonzero(node == BY_HAND)
        expected = [
            *(np.mean(channel) for channel in colors),
            *(np.sqrt(np.mean((channel - np.mean(channel)) ** 2)) for channel in colors),
            *(max(channel) for channel in colors),
            *(min(channel) for channel in colors),
            np.mean(rows),
            np.mean(columns),
        ]
        np.testing.assert_allclose(x[node], expected, rtol=1e-5)
    e = edge_map
    strength = {
        (0, 1): (e[0, 1] + e[0, 2] + e[1, 1] + e[1, 2]) / 4,
        (0, 2): (e[1, 0] + e[1, 1] + e[2, 0] + e[2, 1]) / 4,
        (1, 2): (e[1, 2] + e[1, 3] + e[2, 2] + e[2, 3]) / 4,
    }
    pairs = [tuple(sorted(pair)) for pair in data.edge_index.T.tolist()]
    np.testing.assert_allclose(data.edge_strength, [strength[p] for p in pairs], rtol=1e-5)
    assert data.edge_boundary_length.tolist() == [2.0] * 6


def test_edge_strength_is_that_of_scikit_image_away_from_third_nodes():
    labels = np.repeat([[0, 0, 1, 1, 1, 2, 2, 2]], 5, axis=0)
    edge_map = np.random.default_rng(1).random(labels.shape)
    data = ToRAG(superpixels=labels, attributes=["edge_strength"])(
        Data(image=np.zeros((1, *labels.shape)), edge_map=torch.from_numpy(edge_map))
    )
    theirs = rag_boundary(labels, edge_map)
    expected = [
        theirs.edges[source, target]["weight"] for source, target in data.edge_index.T.tolist()
    ]
    np.testing.assert_allclose(data.edge_strength, expected, rtol=1e-5)
    assert "edge_map" not in data


def test_unusable_edge_maps_are_refused():
    image = np.zeros((1, 3, 4))
    to_rag = ToRAG(superpixels=BY_HAND, attributes=["edge_strength"])
    with pytest.raises(InputError, match=r"^edge_map: the field is missing, .*; give Data"):
        to_rag(image)
    with pytest.raises(InputError, match=r"^edge_map: shape .* image size \(3, 4\)"):
        to_rag(Data(image=image, edge_map=np.zeros((4, 3))))
    with pytest.raises(InputError, match=r"^edge_map: some values are NaN or Inf"):
        to_rag(Data(image=image, edge_map=np.full((3, 4), np.nan)))
