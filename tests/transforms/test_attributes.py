import numpy as np
import pytest
import torch
from skimage.measure import regionprops

from sp_graph_seg.transforms import ToRAG
from sp_graph_seg.transforms.attributes import ATTRIBUTES

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
    )(image)
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
        np.testing.assert_allclose(data.x[node], prop.intensity_mean, rtol=1e-5)


def test_nodes_equal_a_loop(case):
    data, image, _, regions, spacing = case
    assert sorted(regions.nodes) == list(range(data.num_nodes))
    for node, pixels in regions.nodes.items():
        colors = np.array([image[:, *pixel] for pixel in pixels], dtype=np.float64)
        np.testing.assert_allclose(data.x[node], colors.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(data.variance[node], colors.var(axis=0), rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(data.pos[node], np.mean(pixels, axis=0) * spacing, rtol=1e-6)
        assert data.area[node].item() == pytest.approx(len(pixels) * spacing.prod())
        box = [*np.min(pixels, axis=0), *np.max(pixels, axis=0) + 1]
        assert data.bbox[node].tolist() == box


def test_edges_equal_a_loop(case):
    data, image, _, regions, spacing = case
    edges = list(map(tuple, data.edge_index.t().tolist()))
    assert set(edges) == set(regions.pairs)
    for number, edge in enumerate(edges):
        length, gradients = 0.0, []
        for pixel, neighbor, is_face in regions.pairs[edge]:
            step = np.abs(np.subtract(pixel, neighbor)) * spacing
            if is_face:
                length += spacing.prod() / step.sum()
            difference = np.linalg.norm(image[:, *pixel] - image[:, *neighbor])
            gradients.append(difference / np.linalg.norm(step))
        assert data.boundary_length[number].item() == pytest.approx(length)
        assert data.boundary_gradient[number].item() == pytest.approx(np.mean(gradients))


def test_types_and_shapes(case):
    data, image, *_ = case
    channels, ndim = image.shape[0], image.ndim - 1
    shapes = {
        "area": (data.num_nodes,),
        "variance": (data.num_nodes, channels),
        "bbox": (data.num_nodes, 2 * ndim),
        "boundary_length": (data.num_edges,),
        "boundary_gradient": (data.num_edges,),
    }
    assert set(shapes) == set(ATTRIBUTES)
    for name, shape in shapes.items():
        assert data[name].shape == shape
        assert data[name].dtype == (torch.int64 if name == "bbox" else torch.float32)


def test_perimeter_of_a_square():
    """Known by hand: 3x3 in the middle of 9x9, pixels of 2 by 5."""
    labels = np.zeros((9, 9), int)
    labels[3:6, 3:6] = 1
    names = ("boundary_length", "area", "boundary_gradient")
    data = ToRAG(superpixels=labels, spacing=(2.0, 5.0), attributes=names)(labels[None] * 1.0)
    assert data.boundary_length.tolist() == [2 * 3 * 2 + 2 * 3 * 5] * 2
    assert data.area.tolist() == [72 * 10, 9 * 10]
    # Six faces at a distance of 2 and six at one of 5, colours one apart.
    torch.testing.assert_close(data.boundary_gradient, torch.full((2,), (1 / 2 + 1 / 5) / 2))


def test_one_superpixel():
    data = ToRAG(superpixels=np.zeros((4, 5), int), attributes=tuple(ATTRIBUTES))(
        np.ones((1, 4, 5))
    )
    assert data.boundary_length.shape == data.boundary_gradient.shape == (0,)
    assert data.variance.tolist() == [[0.0]]
    assert data.bbox.tolist() == [[0, 0, 4, 5]]


def test_bright_images_keep_their_variance():
    """The square of the mean would swallow it: 1000 in 32 bits, with a deviation of 0.01."""
    image = 1000 + 0.01 * np.random.default_rng(0).standard_normal((1, 64, 64))
    data = ToRAG(superpixels=np.zeros((64, 64), int), attributes=["variance"])(image)
    assert data.variance.item() == pytest.approx(image.var(), rel=0.05)
