"""Labels of pixels from nodes: where boundaries between labels are found again."""

import numpy as np
import pytest

from sp_graph_seg.prototypes import painting
from sp_graph_seg.prototypes.descriptors import node_colors
from sp_graph_seg.prototypes.painting import margins_of, paint, sharpen_boundaries
from sp_graph_seg.transforms.prepare import scale_down, scale_labels


def make_disc(size, channels=3):
    """A bright disc on a dark ground, ``(C, H, W)``, and where it is."""
    y, x = np.mgrid[: size[0], : size[1]]
    inside = np.hypot(y - size[0] * 0.45, x - size[1] * 0.55) < size[0] * 0.3
    colors = np.outer([0.1, 0.9], np.linspace(1, 0.8, channels))
    return np.moveaxis(colors[inside.astype(int)], -1, 0).astype(np.float32), inside


def divided_squares(small, side=4):
    """Squares, each divided into its dark and its bright pixels; and which are bright."""
    height, width = small.shape[1:]
    squares = (np.arange(height) // side)[:, None] * width + np.arange(width) // side
    ids, nodes = np.unique(2 * squares + (small[0] > 0.5), return_inverse=True)
    return nodes.reshape(height, width), ids % 2


def sharpened(nodes, labels, colors, image):
    """The node of each pixel of an image, ``(H, W)``."""
    corrected = sharpen_boundaries(nodes, labels, colors, image)
    return paint(np.arange(len(labels)), nodes, image.shape[1:], corrected, -1)


@pytest.mark.parametrize("size", [(120, 160), (97, 131)])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_boundary_is_that_of_the_image(size, channels):
    image, inside = make_disc(size, channels)
    small = scale_down(image, 50).numpy()
    nodes, labels = divided_squares(small)
    full = sharpened(nodes, labels, node_colors(small, nodes), image)
    assert full.shape == size
    coarse = labels[scale_labels(nodes, size)] != inside
    assert (labels[full] != inside).sum() < 0.2 * coarse.sum()


def test_only_boundaries_between_labels_change():
    image, _ = make_disc((90, 120))
    small = scale_down(image, 40).numpy()
    nodes, _ = divided_squares(small)
    colors = node_colors(small, nodes)
    scaled = scale_labels(nodes, (90, 120))
    same = np.zeros(len(colors), int)
    np.testing.assert_array_equal(sharpened(nodes, same, colors, image), scaled)
    labels = np.arange(len(colors)) % 2
    full = sharpened(nodes, labels, colors, image)
    y, x = np.nonzero(full != scaled)
    assert len(y)
    for row, column in zip(y, x, strict=True):  # the node comes from a pixel nearby
        around = scaled[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4]
        assert full[row, column] in around


def test_the_same_resolution_changes_nothing():
    image, _ = make_disc((30, 40))
    nodes, labels = divided_squares(image)
    full = sharpened(nodes, labels, node_colors(image, nodes), image)
    np.testing.assert_array_equal(full, nodes)


def test_pixels_without_data_stay_without_a_node():
    image, _ = make_disc((90, 120))
    small = scale_down(image, 40).numpy()
    nodes = divided_squares(small)[0] - 20  # those of the first rows have no data
    nodes[nodes < 0] = -1
    colors = node_colors(small, nodes)
    labels = np.arange(len(colors)) % 2
    full = sharpened(nodes, labels, colors, image)
    np.testing.assert_array_equal(full < 0, scale_labels(nodes, (90, 120)) < 0)
    assert (full < 0).any()


def test_pixels_beside_another_label_by_a_loop():
    """A quarter of a pixel sees the nearest pixel above or below, and left or right."""
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 3, (9, 7))
    found = painting._differ_nearby(labels)
    assert found.shape == (18, 14)
    for row, column in np.ndindex(18, 14):
        y, x = row // 2, column // 2
        above = min(max(y + (1 if row % 2 else -1), 0), 8)
        beside = min(max(x + (1 if column % 2 else -1), 0), 6)
        three = [labels[y, x], labels[above, x], labels[y, beside]]
        assert found[row, column] == (min(three) >= 0 and len(set(three)) > 1)


def test_nodes_are_painted_with_their_values():
    nodes = np.array([[0, 1, -1], [2, 2, 0]])
    none = sharpen_boundaries(nodes, np.zeros(3), np.zeros((3, 1)), np.zeros((1, 2, 3)))
    painted = paint(np.array([5, 6, 7]), nodes, (2, 3), none, -1)
    assert painted.tolist() == [[5, 6, -1], [7, 7, 5]]


def test_margins_by_hand():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.45, 0.45], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(margins_of(probabilities), [0.5, 0, 1], atol=1e-6)
    assert margins_of(np.ones((2, 1))).tolist() == [1, 1]
