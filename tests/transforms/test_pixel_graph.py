import itertools
import math

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import dense_continuity_loss, ncut_loss
from sp_graph_seg.transforms import ToPixelGraph, affinity, to_label_image

CASES = [
    ((3, 5, 6), 1),
    ((3, 5, 6), 1.5),
    ((1, 6, 4), 2),
    ((2, 3, 9), 3.7),
    ((1, 1, 5), 2),
    ((1, 1, 1), 5),
    ((2, 2, 4, 5), 1),
    ((1, 4, 4, 3), math.sqrt(2)),
    ((1, 4, 3, 2), 2.3),
]


def draw(shape, is_masked, seed=0):
    rng = np.random.default_rng(seed)
    mask = rng.random(shape[1:]) < 0.7 if is_masked else None
    if is_masked:
        mask.flat[0] = True
    return rng.random(shape, dtype=np.float32), mask


def brute_force(shape, radius, mask):
    """Pixels inside, and all pairs of them no farther apart than the radius, sorted by target."""
    pixels = [p for p in itertools.product(*map(range, shape)) if mask is None or mask[p]]
    edges = [
        (j, i)
        for i, target in enumerate(pixels)
        for j, source in enumerate(pixels)
        if i != j and math.dist(source, target) <= radius
    ]
    return pixels, edges


@pytest.mark.parametrize(("shape", "radius"), CASES)
@pytest.mark.parametrize("is_masked", [False, True])
def test_graph_is_that_of_brute_force(shape, radius, is_masked):
    image, mask = draw(shape, is_masked)
    data = ToPixelGraph(radius, -2.0, mask, edge_weight="softmax")(image)
    pixels, edges = brute_force(shape[1:], radius, mask)
    assert data.validate()
    assert data.num_nodes == len(pixels)
    assert data.pos.tolist() == [list(p) for p in pixels]
    assert [tuple(edge) for edge in data.edge_index.t().tolist()] == edges
    for node, p in enumerate(pixels):
        assert data.x[node].tolist() == image[(slice(None), *p)].tolist()
    distance = [float(np.linalg.norm(data.x[j] - data.x[i])) for j, i in edges]
    torch.testing.assert_close(data.edge_attr, torch.tensor(distance).view(-1, 1))
    for node in range(len(pixels)):
        weights = [math.exp(-2 * d) for d, (_, i) in zip(distance, edges, strict=True) if i == node]
        expected = torch.tensor(weights) / sum(weights)
        torch.testing.assert_close(data.edge_weight[data.edge_index[1] == node], expected)


@pytest.mark.parametrize(
    ("shape", "spacing", "radius"),
    [((4, 5), (2.0, 1.0), 2), ((4, 5), (0.1, 0.1), 0.3), ((3, 4, 5), (3.0, 1.0, 0.5), 1.2)],
)
def test_the_radius_is_in_units_of_the_spacing(shape, spacing, radius):
    image, mask = draw((2, *shape), True)
    data = ToPixelGraph(radius, mask=mask, spacing=spacing)(image)
    pixels, _ = brute_force(shape, 0, mask)
    places = np.array(pixels) * spacing
    torch.testing.assert_close(data.pos, torch.tensor(places).float())
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    is_near = (distance > 0) & (distance < radius + 1e-6)
    assert data.edge_index.tolist() == np.stack(np.nonzero(is_near)[::-1]).tolist()


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("shape", [(2, 4, 5), (1, 2, 3, 4)])
def test_labels_are_painted_onto_their_pixels(shape, is_masked):
    image, mask = draw(shape, is_masked)
    data = ToPixelGraph(mask=mask)(torch.from_numpy(image))
    painted = to_label_image(data.x[:, 0], data, fill=-1).numpy()
    inside = np.ones(shape[1:], dtype=bool) if mask is None else mask
    assert np.array_equal(painted, np.where(inside, image[0], -1))
    assert np.array_equal(data.pixel_mask, inside.ravel())


def test_graphs_of_a_batch_stay_apart():
    graphs = [ToPixelGraph(2)(draw(shape, False)[0]) for shape in ((1, 3, 4), (1, 5, 2))]
    batch = Batch.from_data_list(graphs)
    for k, graph in enumerate(graphs):
        assert torch.equal(batch.get_example(k).pixel_index, graph.pixel_index)
        assert torch.equal(batch.get_example(k).edge_index, graph.edge_index)


def test_ncut_loss_is_eq_1():
    image, mask = draw((3, 5, 4), True)
    data = ToPixelGraph(radius=2.5, mask=mask)(image)
    f = torch.rand(data.num_nodes, 3, generator=torch.manual_seed(0)).softmax(dim=-1).double()
    weight = affinity(data.edge_attr[:, 0].double(), tau=-3.0)
    # Eq. 1, by loops over labels and over pairs of pixels of the image itself.
    pixels, edges = brute_force(image.shape[1:], 2.5, mask)
    ratios = []
    for p in range(3):
        within = total = 0.0
        for j, i in edges:
            color_j, color_i = (image[(slice(None), *pixels[k])].astype(float) for k in (j, i))
            w = math.exp(-3.0 * math.sqrt(((color_j - color_i) ** 2).sum()))
            within += w * float(f[i, p]) * float(f[j, p])
            total += w * float(f[i, p])
        ratios.append(within / total)
    loss = ncut_loss(f, data.edge_index, weight)
    assert loss.item() == pytest.approx(1 - sum(ratios) / 3, rel=1e-5)


def test_dense_continuity_loss_is_eq_4():
    f = torch.rand(3, 4, 6, generator=torch.manual_seed(0)).double()
    features, height, width = f.shape
    loss = 0.0
    for p in range(features):
        down = sum(
            abs(float(f[p, i, j] - f[p, i + 1, j])) for i in range(height - 1) for j in range(width)
        )
        right = sum(
            abs(float(f[p, i, j] - f[p, i, j + 1])) for i in range(height) for j in range(width - 1)
        )
        loss += down / ((height - 1) * width) + right / (height * (width - 1))
    assert dense_continuity_loss(f).item() == pytest.approx(loss / (2 * features))


def test_dense_continuity_loss_of_a_volume_is_the_mean_over_three_axes():
    f = torch.rand(2, 3, 4, 5, generator=torch.manual_seed(0)).double()
    means = [np.abs(np.diff(f.numpy(), axis=axis)).mean() for axis in (1, 2, 3)]
    assert dense_continuity_loss(f).item() == pytest.approx(np.mean(means))


def test_repr():
    assert repr(ToPixelGraph(2, tau=-1.0)) == "ToPixelGraph(radius=2, tau=-1.0)"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"radius": 0.5}, r"radius=0\.5 is too small"),
        ({"radius": math.nan}, "radius=nan"),
        ({"radius": math.inf}, "radius=inf"),
        ({"radius": 1.5, "spacing": (2, 3)}, r"radius=1\.5 is too small to .*; use 2 or more"),
        ({"tau": math.inf}, "tau=inf is not finite"),
    ],
)
def test_unusable_parameters_are_named(parameters, message):
    with pytest.raises(InputError, match=message):
        ToPixelGraph(**parameters)


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (np.zeros((4, 5)), None, r"image: shape \(4, 5\)"),
        (np.zeros((1, 0, 5)), None, "is empty"),
        (np.full((1, 2, 2), np.nan), None, "4 values are NaN or Inf"),
        (np.zeros((1, 4, 5)), np.ones((5, 4)), r"mask: size \(5, 4\) differs .* \(4, 5\)"),
        (np.zeros((1, 4, 5)), np.zeros((4, 5)), "mask: no pixel is true"),
        (np.zeros((5, 3, 4, 5)), None, "looks like a batch of images"),
    ],
)
def test_unusable_images_are_named(image, mask, message):
    with pytest.raises(InputError, match=message):
        ToPixelGraph(mask=mask)(image)
