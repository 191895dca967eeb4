import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from sp_graph_seg.errors import FewSuperpixelsWarning, InputError
from sp_graph_seg.transforms import (
    SUPERPIXEL_METHODS,
    ToPixelGraph,
    ToRAG,
    affinity,
    majority_labels,
    softmax_adjacency,
)

LABELS = np.kron(np.arange(12).reshape(3, 4), np.ones((3, 3), dtype=int))
TRANSFORMS = [ToRAG(superpixels=LABELS), ToPixelGraph(1.5)]


def draw(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def assert_same(one, other):
    assert set(one.keys()) == set(other.keys())
    for name, value in one.to_dict().items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[name])), name


@pytest.mark.parametrize("make", [ToPixelGraph, lambda **kw: ToRAG(superpixels=LABELS, **kw)])
def test_edge_weights(make):
    image = draw(3, 9, 12)
    data = make()(image)
    distance = data.edge_attr[:, 0]
    torch.testing.assert_close(data.edge_weight, (-10 * distance).exp())
    assert torch.equal(make(tau=-3.0)(image).edge_weight, affinity(distance, -3.0))
    for tau, given in ((1.0, {}), (-2.0, {"tau": -2.0})):
        weight = make(edge_weight="softmax", **given)(image).edge_weight
        expected = softmax_adjacency(distance, data.edge_index, data.num_nodes, tau)
        assert torch.equal(weight, expected)


def test_affinities_are_symmetric_and_largest_where_neighbours_are_alike(adjacency):
    data = ToRAG(superpixels=np.arange(3)[None])(np.array([[[0.1, 0.2, 0.9]]]))
    matrix = adjacency(data.edge_index, data.edge_weight, 3)
    assert torch.equal(matrix, matrix.T)
    assert matrix[0, 1] > matrix[1, 2] > 0


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
@pytest.mark.parametrize("hole", [np.nan, np.inf, -1e30])
def test_what_lies_outside_the_mask_is_no_matter(transform, hole):
    image = draw(3, 9, 12)
    mask = draw(9, 12, seed=1) < 0.7
    spoilt = np.where(mask, image, hole)
    one, other = (transform(Data(image=i, mask=mask)) for i in (image, spoilt))
    assert_same(one, other)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_what_lies_inside_the_mask_matters(transform):
    image = draw(3, 9, 12)
    image[:, 4, 5] = np.nan
    with pytest.raises(InputError, match=r"^image: 3 values are NaN or Inf"):
        transform(Data(image=image, mask=np.ones((9, 12))))


@pytest.mark.parametrize("method", SUPERPIXEL_METHODS)
def test_superpixels_do_not_look_under_the_mask(method):
    image = draw(3, 24, 30) * 0.1
    mask = np.zeros((24, 30), bool)
    mask[4:20, 3:25] = True
    stripes = np.where(mask, image, np.arange(30) % 2)
    graphs = [ToRAG(20, 50.0, superpixel_method=method, mask=mask)(i) for i in (image, stripes)]
    assert graphs[0].num_nodes > 1
    assert_same(*graphs)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_masked_arrays_are_refused(transform):
    image = draw(3, 9, 12)
    masked = np.ma.array(image, mask=image > 0.5)
    with pytest.raises(InputError, match=r"^image: .* masked; give array\.filled\(0\)"):
        transform(masked)
    with pytest.raises(InputError, match=r"^mask: .* masked"):
        transform(Data(image=image, mask=masked[0]))
    assert_same(transform(np.ma.array(image)), transform(image))


def test_masked_label_maps_are_refused():
    labels = np.ma.array(LABELS, mask=LABELS == 3)
    with pytest.raises(InputError, match=r"^superpixels: .* masked"):
        ToRAG(superpixels=labels)(draw(3, 9, 12))


@pytest.mark.parametrize("transform", [ToRAG(8), ToPixelGraph()], ids=str)
def test_a_batch_is_refused_where_it_can_be_told(transform):
    for shape in ((8, 3, 9, 12), (8, 1, 9, 12), (2, 3, 40, 40), (1, 3, 9, 12), (1, 1, 9, 12)):
        with pytest.raises(InputError, match=r"looks like a batch .* spacing=\(1, 1, 1\)"):
            transform(draw(*shape))
    for shape in ((4, 4, 5, 6), (8, 2, 5, 6), (1, 5, 5, 6)):
        assert transform(draw(*shape)).pos.shape[1] == 3
    volume = draw(8, 3, 5, 6)
    for said in ({"spacing": (1, 1, 1)}, {"mask": np.ones((3, 5, 6))}):
        assert type(transform)(**said)(volume).pos.shape[1] == 3


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
def test_unsigned_tensors(dtype):
    numbers = np.random.default_rng(0).integers(0, 2**16, (3, 9, 12))
    largest = torch.iinfo(dtype).max
    image = torch.from_numpy(numbers).to(dtype)
    labels = torch.from_numpy(LABELS).to(dtype)
    for transform in (ToRAG(superpixels=labels), ToPixelGraph()):
        data = transform(image)
        expected = transform((numbers / largest).astype(np.float32))
        torch.testing.assert_close(data.x, expected.x)
        assert torch.equal(data.edge_index, expected.edge_index)


def test_noise_that_gives_one_superpixel_is_mentioned():
    with pytest.warns(FewSuperpixelsWarning, match="n_segments=50: .* compactness"):
        assert ToRAG(50)(draw(3, 64, 64)).num_nodes < 5


@pytest.mark.parametrize("as_given", [torch.as_tensor, np.asarray])
def test_all_of_a_data_is_used(as_given):
    image, mask = draw(2, 9, 12), draw(9, 12, seed=1) < 0.8
    truth = np.where(draw(9, 12, seed=2) < 0.5, LABELS % 3, -1)
    truth[:3, :3] = -1
    given = Data(
        image=as_given(image),
        mask=as_given(mask),
        superpixels=as_given(LABELS),
        y=as_given(truth),
        patient="A",
        split=torch.tensor([3]),
    )
    before = given.clone()
    data = ToRAG(4)(given)
    expected = ToRAG(superpixels=LABELS, mask=mask)(image)
    expected.update({"y": majority_labels(truth, expected), "patient": "A"})
    expected.split = torch.tensor([3])
    expected.train_mask = expected.y >= 0
    assert not expected.train_mask.all()
    assert expected.patient == data.patient
    del expected.patient, data.patient
    assert_same(data, expected)
    assert given.keys() == before.keys()


def test_a_data_takes_the_place_of_the_transforms_own():
    image, mask = draw(2, 9, 12), draw(9, 12, seed=1) < 0.8
    to_rag = ToRAG(superpixels=LABELS, mask=mask)
    assert_same(to_rag(Data(image=image)), to_rag(image))
    other = Data(image=image, mask=~mask, superpixels=LABELS.T.reshape(9, 12))
    assert_same(to_rag(other), ToRAG(superpixels=other.superpixels, mask=~mask)(image))


def test_labels_of_an_image_stay():
    for y in (3, torch.tensor([3]), torch.tensor(3)):
        data = ToRAG(superpixels=LABELS)(Data(image=draw(1, 9, 12), y=y))
        assert data.y is y
        assert "train_mask" not in data


def test_a_data_that_cannot_be_used_is_named():
    with pytest.raises(InputError, match=r"^data: the field image is missing; give Data\(image="):
        ToRAG()(Data(x=torch.zeros(3, 4, 4)))
    with pytest.raises(InputError, match=r"^superpixels: cannot be used with ToPixelGraph"):
        ToPixelGraph()(Data(image=draw(1, 9, 12), superpixels=LABELS))
