"""Labels of pixels from nodes: where boundaries between labels are found again."""

import numpy as np
import pytest

from sp_graph_seg.prototypes.descriptors import node_colors
from sp_graph_seg.prototypes.painting import paint, sharpen_boundaries
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


@pytest.mark.parametrize("size", [(120, 160), (97, 131)])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_boundary_is_that_of_the_image(size, channels):
    image, inside = make_disc(size, channels)
    small = scale_down(image, 50).numpy()
    nodes, labels = divided_squares(small)
    full = sharpen_boundaries(nodes, labels, node_colors(small, nodes), image)
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
    np.testing.assert_array_equal(sharpen_boundaries(nodes, same, colors, image), scaled)
    labels = np.arange(len(colors)) % 2
    full = sharpen_boundaries(nodes, labels, colors, image)
    y, x = np.nonzero(full != scaled)
    assert len(y)
    for row, column in zip(y, x, strict=True):  # the node comes from a pixel nearby
        around = scaled[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4]
        assert full[row, column] in around


def test_the_same_resolution_changes_nothing():
    image, _ = make_disc((30, 40))
    nodes, labels = divided_squares(image)
    assert sharpen_boundaries(nodes, labels, node_colors(image, nodes), image) is nodes


def test_pixels_without_data_stay_without_a_node():
    image, _ = make_disc((90, 120))
    small = scale_down(image, 40).numpy()
    nodes = divided_squares(small)[0] - 20  # those of the first rows have no data
    nodes[nodes < 0] = -1
    colors = node_colors(small, nodes)
    labels = np.arange(len(colors)) % 2
    full = sharpen_boundaries(nodes, labels, colors, image)
    np.testing.assert_array_equal(full < 0, scale_labels(nodes, (90, 120)) < 0)
    painted, margins = paint(np.eye(2)[labels], full)
    np.testing.assert_array_equal(painted < 0, full < 0)
    np.testing.assert_array_equal(margins, np.where(full < 0, 0, 1))


def test_nodes_are_painted_with_their_label_and_margin():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.45, 0.45], [0.0, 0.0, 1.0]])
    nodes = np.array([[0, 1, -1], [2, 2, 0]])
    labels, margins = paint(probabilities, nodes)
    assert labels.tolist() == [[0, 1, -1], [2, 2, 0]]
    np.testing.assert_allclose(margins, [[0.5, 0, 0], [1, 1, 0.5]], atol=1e-6)
    labels, margins = paint(np.ones((2, 1)), np.array([[0, -1, 1]]))
    assert labels.tolist() == [[0, -1, 0]]
    assert margins.tolist() == [[1, 0, 1]]
