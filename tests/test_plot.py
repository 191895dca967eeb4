import math

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection, PathCollection
from PIL import Image

from sp_graph_seg import ToRAG
from sp_graph_seg.errors import InputError
from sp_graph_seg.plot import draw_graph, overlay_labels, plot_history, save_figure
from sp_graph_seg.training import History

HEIGHT, WIDTH = 30, 40


@pytest.fixture(params=[1, 2, 3, 5], ids=lambda channels: f"C={channels}")
def image(request):
    return np.random.default_rng(0).random((request.param, HEIGHT, WIDTH), dtype=np.float32)


@pytest.fixture
def halves():
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.int64)
    labels[:, WIDTH // 2 :] = 7
    return labels


# Labels


def test_an_overlay_has_the_size_of_the_image(image, halves):
    overlay = overlay_labels(image, halves)
    assert overlay.shape == (HEIGHT, WIDTH, 3)
    assert overlay.dtype == np.uint8


def test_alpha_mixes_image_and_labels(image, halves):
    grey = overlay_labels(image, np.zeros_like(halves), alpha=0.0)
    assert (grey == grey[..., :1]).all()
    assert len(np.unique(grey)) > 10
    flat = overlay_labels(image, halves, alpha=1.0)
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) == 2


def test_regions_have_an_outline_in_their_full_colour(halves):
    image = np.zeros((3, HEIGHT, WIDTH))
    overlay, flat = overlay_labels(image, halves), overlay_labels(image, halves, alpha=1.0)
    same = (overlay == flat).all(axis=-1)
    middle = WIDTH // 2
    assert same[:, middle - 1 : middle + 1].all()
    assert not same[:, : middle - 1].any()
    assert not same[:, middle + 1 :].any()


def colors(numbers):
    image = np.zeros((1, 1, len(numbers)))
    return overlay_labels(image, np.array([numbers]), alpha=1.0)[0].astype(int)


def test_the_colour_of_a_label_depends_on_its_number_alone():
    table = colors(range(40))
    np.testing.assert_array_equal(colors([30, 3, 17]), table[[30, 3, 17]])


def test_colours_are_distinct():
    table = colors(range(32))
    distance = np.linalg.norm(table[:, None] - table, axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert distance[:20, :20].min() > 40
    assert distance.min() > 25


def test_many_labels_and_small_types(halves):
    image = np.zeros((1, HEIGHT, WIDTH))
    overlay_labels(image, halves + 65535)
    np.testing.assert_array_equal(
        overlay_labels(image, halves.astype(np.uint8)),
        overlay_labels(torch.from_numpy(image), torch.from_numpy(halves)),
    )


def test_intensities_are_scaled(halves):
    image = np.random.default_rng(0).random((3, HEIGHT, WIDTH))
    first, second = overlay_labels(image, halves), overlay_labels(3000 * image - 50, halves)
    assert np.abs(first.astype(int) - second).max() <= 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": np.zeros((3, 3), dtype=int)}, r"labels: int64 of shape \(3, 3\)"),
        ({"labels": np.zeros((HEIGHT, WIDTH))}, "labels: float64"),
        ({"labels": np.full((HEIGHT, WIDTH), -1)}, "give integers from 0"),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"image": np.zeros((1, 2, HEIGHT, WIDTH))}, "is a volume"),
    ],
)
def test_what_no_overlay_can_be_made_of(halves, changes, reason):
    arguments = {"image": np.zeros((3, HEIGHT, WIDTH)), "labels": halves, **changes}
    with pytest.raises(InputError, match=reason):
        overlay_labels(**arguments)


# Graphs


def artists(figure, kind):
    (found,) = [child for child in figure.axes[0].get_children() if type(child) is kind]
    return found


def test_a_graph_shows_every_edge_once_and_every_node(image, tmp_path):
    data = ToRAG(20)(image)
    figure = draw_graph(image, data)
    edges, nodes = artists(figure, LineCollection), artists(figure, PathCollection)
    assert len(edges.get_segments()) == data.num_edges // 2
    np.testing.assert_allclose(nodes.get_offsets(), data.pos.flip(1))
    drawn = {
        (tuple(np.float32(one)), tuple(np.float32(other))): value
        for (one, other), value in zip(edges.get_segments(), edges.get_array(), strict=True)
    }
    for (source, target), value in zip(data.edge_index.T, data.edge_attr[:, 0], strict=True):
        if source < target:
            ends = tuple(tuple(data.pos[node].flip(0).numpy()) for node in (source, target))
            assert drawn[ends] == pytest.approx(value.item())
    assert figure.axes[1].get_ylabel().startswith("colour distance")  # the colour bar
    save_figure(tmp_path / "graph.png", figure)
    with Image.open(tmp_path / "graph.png") as picture:
        assert min(picture.size) > 1000


def test_nodes_have_their_mean_colour():
    image = np.zeros((3, HEIGHT, WIDTH), dtype=np.float32)
    image[0, :, WIDTH // 2 :] = 1.0
    data = ToRAG(superpixels=image[0].astype(int))(image)
    nodes = artists(draw_graph(image, data), PathCollection)
    np.testing.assert_allclose(nodes.get_facecolors(), [[0, 0, 0, 1], [1, 0, 0, 1]])


def test_more_nodes_are_drawn_smaller():
    image = np.random.default_rng(0).random((3, 100, 100), dtype=np.float32)
    few, many = (
        draw_graph(image, ToRAG(superpixels=np.arange(10000).reshape(100, 100) // step)(image))
        for step in (1000, 2)
    )
    for kind in (LineCollection, PathCollection):
        assert artists(many, kind).get_linewidth()[0] < artists(few, kind).get_linewidth()[0]
    assert artists(many, PathCollection).get_sizes() < artists(few, PathCollection).get_sizes()


def test_a_graph_of_one_node_and_one_with_a_mask(tmp_path):
    image = np.zeros((1, HEIGHT, WIDTH), dtype=np.float32)
    one = ToRAG(superpixels=np.zeros((HEIGHT, WIDTH), dtype=int))(image)
    save_figure(tmp_path / "one.png", draw_graph(image, one))
    mask = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) > 200
    save_figure(tmp_path / "mask.png", draw_graph(image, ToRAG(9, mask=mask)(image)))


def test_what_no_graph_can_be_drawn_of(image):
    volume = np.zeros((1, 4, HEIGHT, WIDTH), dtype=np.float32)
    with pytest.raises(InputError, match="is a volume"):
        draw_graph(volume, ToRAG(9)(volume))
    with pytest.raises(InputError, match="data: is the graph of an image of size"):
        draw_graph(image[:, 1:], ToRAG(9)(image))
    with pytest.raises(InputError, match="data: is the graph of an image of size"):
        draw_graph(image, ToRAG(9)(volume))


# History


def history(steps):
    table = History()
    for step in range(1, steps + 1):
        losses = {"loss": 3 / step, "rec": 1 / step, "cut": math.nan, "sim": 1.0, "con": 0.0}
        table.append({"step": step, "epoch": 1, "num_labels": 9, "seconds": 0.1, **losses})
    return table


@pytest.mark.parametrize("steps", [1, 10])
def test_a_history_shows_the_terms_that_there_are(steps, tmp_path):
    figure = plot_history(history(steps))
    losses, labels = figure.axes
    lines = {line.get_label(): line for line in losses.get_lines()}
    assert list(lines) == ["loss (Eq. 9)", "reconstruction", "similarity", "continuity"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(lines)
    np.testing.assert_allclose(
        lines["loss (Eq. 9)"].get_xydata(), [(n, 3 / n) for n in range(1, steps + 1)]
    )
    (line,) = labels.get_lines()
    assert set(line.get_ydata()) == {9}
    assert (losses.get_ylabel(), labels.get_ylabel()) == ("loss", "number of labels")
    assert labels.get_xlabel() == "step"
    save_figure(tmp_path / "history.png", figure)


def test_a_figure_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(InputError, match=r"none/history\.png: cannot be written"):
        save_figure(tmp_path / "none/history.png", plot_history(history(2)))
    with pytest.raises(ValueError, match="not supported"):
        save_figure(tmp_path / "history.xyz", plot_history(history(2)))
    assert list(tmp_path.iterdir()) == []
