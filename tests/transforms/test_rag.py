import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage import data as images
from skimage.graph import rag_mean_color
from skimage.segmentation import slic
from torch_geometric import EdgeIndex

from sp_graph_seg.transforms import ToRAG, connected_components


def random_image(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def assert_valid(data, image, connectivity, tau, find_regions, inside=None):
    """What holds for the graph of any image, against a loop over its pixels."""
    size = image.shape[1:]
    inside = np.ones(size, bool) if inside is None else inside
    nodes = np.full(size, -1)
    nodes[inside] = data.pixel_index.numpy()
    regions = find_regions(nodes, connectivity)
    n = data.num_nodes

    assert data.validate(raise_on_error=True)
    assert data.is_undirected()
    assert not data.has_self_loops()
    source, target = data.edge_index
    assert (torch.diff(target * n + source) > 0).all()  # sorted, and each edge once
    EdgeIndex(data.edge_index, sparse_size=(n, n), sort_order="col", is_undirected=True).validate()
    assert set(zip(source.tolist(), target.tolist(), strict=True)) == set(regions.pairs)

    assert sorted(regions.nodes) == list(range(n))
    structure = scipy.ndimage.generate_binary_structure(len(size), connectivity)
    for node, pixels in regions.nodes.items():
        assert scipy.ndimage.label(nodes == node, structure)[1] == 1
        color = np.mean([image[:, *pixel] for pixel in pixels], axis=0, dtype=np.float64)
        np.testing.assert_allclose(data.x[node], color, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(data.pos[node], np.mean(pixels, axis=0), rtol=1e-6)

    assert data.edge_attr.shape == (data.num_edges, 1)
    torch.testing.assert_close(data.edge_attr[:, 0], (data.x[source] - data.x[target]).norm(dim=1))
    weights = (tau * data.edge_attr[:, 0].double()).exp()
    total = torch.zeros(n).double().index_add(0, target, weights)
    torch.testing.assert_close(
        data.edge_weight.double(), weights / total[target], rtol=1e-4, atol=0
    )
    sums = torch.zeros(n).index_add(0, target, data.edge_weight)
    has_neighbors = torch.bincount(target, minlength=n) > 0
    torch.testing.assert_close(sums, has_neighbors.float())
    assert data.image_size.tolist() == [list(size)]


@given(
    labels=arrays(
        np.uint8, array_shapes(min_dims=2, max_dims=3, max_side=6), elements=st.integers(0, 3)
    ),
    channels=st.sampled_from([1, 3, 5]),
    connectivity=st.integers(1, 3),
    tau=st.sampled_from([-3.0, 0.0, 1.0]),
    masked=st.booleans(),
    draw=st.data(),
)
def test_any_label_map(labels, channels, connectivity, tau, masked, draw, find_regions):
    connectivity = min(connectivity, labels.ndim)
    image = random_image(channels, *labels.shape).numpy()
    mask = None
    if masked:
        mask = draw.draw(arrays(bool, labels.shape))
        mask.flat[-1] = True
    data = ToRAG(
        superpixels=labels, connectivity=connectivity, edge_weight="softmax", tau=tau, mask=mask
    )(image)
    assert_valid(data, image, connectivity, tau, find_regions, mask)
    nodes = connected_components(labels, mask, connectivity)
    np.testing.assert_array_equal(data.pixel_index, nodes[nodes >= 0])
    np.testing.assert_array_equal(data.pixel_mask, np.ravel(nodes >= 0))


@pytest.mark.parametrize("method", ["slic", "watershed"])
@pytest.mark.parametrize(
    ("shape", "connectivity"), [((3, 20, 30), 1), ((1, 20, 30), 2), ((2, 6, 9, 8), 3)]
)
def test_own_superpixels(method, shape, connectivity, find_regions):
    image = scipy.ndimage.gaussian_filter(
        random_image(*shape).numpy(), (0, *[1] * (len(shape) - 1))
    )
    to_rag = ToRAG(
        20, 30.0, -1.0, edge_weight="softmax", superpixel_method=method, connectivity=connectivity
    )
    data = to_rag(image)
    assert data.num_nodes > 5
    assert_valid(data, image, connectivity, -1.0, find_regions)


@pytest.mark.parametrize("connectivity", [1, 2])
@pytest.mark.parametrize("photo", ["astronaut", "coffee"])
def test_rag_of_scikit_image_is_the_same(photo, connectivity, edge_set):
    photo = getattr(images, photo)()[::5, ::5]
    labels = connected_components(slic(photo, 150, start_label=0), connectivity=connectivity)
    theirs = rag_mean_color(photo, labels, connectivity=connectivity)
    data = ToRAG(superpixels=labels, connectivity=connectivity)(photo.transpose(2, 0, 1))
    np.testing.assert_array_equal(data.pixel_index, labels.ravel())
    assert sorted(theirs.nodes) == list(range(data.num_nodes))
    edges = {edge for a, b in theirs.edges for edge in ((a, b), (b, a)) if a != b}
    assert edge_set(data.edge_index) == edges
    colors = [theirs.nodes[node]["mean color"] / 255 for node in range(data.num_nodes)]
    np.testing.assert_allclose(data.x, colors, rtol=1e-5)
    distances = [theirs.edges[a, b]["weight"] / 255 for a, b in data.edge_index.t().tolist()]
    np.testing.assert_allclose(data.edge_attr[:, 0], distances, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["slic", "watershed"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_any_type_gives_the_same_graph(method, dtype, channels):
    grey = np.random.default_rng(0).integers(0, 256, (channels, 16, 18))
    scale = {np.uint8: 1, np.uint16: 257}.get(dtype, 1 / 255)
    image = (grey * scale).astype(dtype)
    before = image.copy()
    rag = ToRAG(12, 1e3, superpixel_method=method)
    data = rag(image)
    assert data.num_nodes > 6
    np.testing.assert_array_equal(image, before)
    expected = ToRAG(superpixels=data.pixel_index.reshape(16, 18))(grey / 255)
    for key in ("x", "pos", "edge_index", "edge_attr", "edge_weight", "pixel_index"):
        torch.testing.assert_close(data[key], expected[key])
        assert data[key].dtype == (torch.int64 if "index" in key else torch.float32)
    if dtype != np.uint16:
        for same in (torch.from_numpy(image), image.tolist() if dtype == np.float64 else image):
            assert torch.equal(rag(same).edge_index, data.edge_index)
    assert torch.equal(rag(image).x, data.x)


def test_input_is_not_changed():
    image = random_image(3, 12, 12)
    labels = torch.arange(144).reshape(12, 12) // 20
    mask = image[0] > 0.3
    before = image.clone(), labels.clone(), mask.clone()
    data = ToRAG(superpixels=labels, mask=mask, attributes=["variance", "edge_boundary_gradient"])(
        image
    )
    ToRAG(9, mask=mask)(image)
    for value in data.to_dict().values():
        if isinstance(value, torch.Tensor):
            value.zero_()  # nor is it shared
    assert all(map(torch.equal, (image, labels, mask), before))


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
def test_label_maps_and_masks_of_either_kind(convert):
    image = random_image(2, 6, 7)
    labels, mask = np.arange(42).reshape(6, 7) // 9, np.ones((6, 7), bool)
    mask[:2, 2:5] = False
    data = ToRAG(superpixels=convert(labels), mask=convert(mask))(image)
    np.testing.assert_array_equal(data.pixel_mask, mask.ravel())
    np.testing.assert_array_equal(data.pixel_index, connected_components(labels, mask)[mask])


def test_regions_that_share_an_id_are_different_nodes():
    labels = np.array([[7, 7, 0, 7], [9, 9, 0, 7]])
    data = ToRAG(superpixels=labels)(random_image(1, 2, 4))
    assert data.num_nodes == 4
    assert data.pixel_index.tolist() == [0, 0, 1, 2, 3, 3, 1, 2]


def test_connectivity_joins_regions_at_corners():
    labels = np.array([[1, 0], [0, 1]])
    image = random_image(1, 2, 2)
    assert ToRAG(superpixels=labels)(image).num_nodes == 4
    assert ToRAG(superpixels=labels, connectivity=2)(image).num_nodes == 2


def test_mask_splits_and_isolates():
    """Two islands and a bridge that the mask takes away: no edge across what is masked."""
    labels = np.array([[0, 1, 2, 2, 3]])
    mask = np.array([[True, True, False, True, True]])
    data = ToRAG(superpixels=labels, mask=mask)(random_image(1, 1, 5))
    assert data.edge_index.tolist() == [[1, 0, 3, 2], [0, 1, 2, 3]]
    torch.testing.assert_close(data.edge_weight, (-10 * data.edge_attr[:, 0]).exp())
    mask[0, 1] = False
    data = ToRAG(superpixels=labels, mask=mask)(random_image(1, 1, 5))
    assert data.edge_index.tolist() == [[2, 1], [1, 2]]
    assert data.pixel_index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("spacing", [(2.0, 0.5), (1, 3), np.array([0.1, 7.0])])
def test_spacing_scales_positions_and_area(spacing):
    image, labels = random_image(1, 8, 9), np.arange(72).reshape(8, 9) // 10
    kwargs = {"superpixels": labels, "attributes": ["area"]}
    plain, scaled = ToRAG(**kwargs)(image), ToRAG(**kwargs, spacing=spacing)(image)
    torch.testing.assert_close(scaled.pos, plain.pos * torch.tensor(spacing).float())
    torch.testing.assert_close(scaled.area, plain.area * float(np.prod(spacing)))
    assert torch.equal(scaled.edge_weight, plain.edge_weight)


@pytest.mark.parametrize("tau", [-4.0, 0.0, 2.0])
def test_tau_changes_the_weights_only(tau):
    image = random_image(3, 10, 12)
    plain, data = (ToRAG(8, 1e3, t, edge_weight="softmax")(image) for t in (None, tau))
    assert plain.num_nodes > 4
    assert torch.equal(plain.edge_attr, data.edge_attr)
    assert not torch.equal(plain.edge_weight, data.edge_weight)
    if tau == 0:
        degree = torch.bincount(data.edge_index[1])
        torch.testing.assert_close(data.edge_weight, 1 / degree[data.edge_index[1]])


@pytest.mark.parametrize("method", ["slic", "watershed"])
@pytest.mark.parametrize(
    ("image", "num_nodes"),
    [(torch.rand(3, 1, 1), 1), (torch.zeros(1, 2, 1, 1), 2), (torch.zeros(3, 8, 8), 4)],
)
def test_least_images(method, image, num_nodes, find_regions):
    data = ToRAG(4, superpixel_method=method, edge_weight="softmax")(image)
    assert data.num_nodes == num_nodes
    assert_valid(data, image.numpy(), 1, 1.0, find_regions)


def test_one_superpixel_has_no_edges():
    data = ToRAG(superpixels=np.full((5, 6), 3))(random_image(2, 5, 6))
    assert data.edge_index.shape == (2, 0)
    assert data.edge_attr.shape == (0, 1)
    assert data.edge_weight.shape == (0,)
    assert data.edge_index.dtype == torch.long
    assert data.has_isolated_nodes()


def test_repr():
    assert repr(ToRAG(9)) == (
        "ToRAG(n_segments=9, compactness=10.0, superpixel_method='slic', tau=-10.0)"
    )
    assert repr(ToRAG(superpixels=np.zeros((2, 2)), tau=3.0, edge_weight="softmax")) == (
        "ToRAG(superpixels=..., tau=3.0, edge_weight='softmax')"
    )
    more = ToRAG(superpixels=np.zeros((2, 2)), mask=np.ones((2, 2)), spacing=(1, 2), connectivity=2)
    assert repr(more) == (
        "ToRAG(superpixels=..., connectivity=2, tau=-10.0, mask=..., spacing=(1.0, 2.0))"
    )
