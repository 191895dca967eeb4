import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from PIL import Image

from sp_graph_seg import ToRAG
from sp_graph_seg.errors import InputError
from sp_graph_seg.plot import draw_graph, save_figure

HEIGHT, WIDTH = 30, 40


def artists(figure, kind):
    (found,) = [child for child in figure.axes[0].get_children() if type(child) is kind]
    return found


def test_a_graph_shows_every_edge_once_and_every_node(image, tmp_path):
    data = ToRAG(20, 1e3)(image)
    assert data.num_nodes > 10
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
    with pytest.raises(InputError, match="image: is a volume of shape"):
        draw_graph(volume, ToRAG(9)(volume))
    with pytest.raises(InputError, match="data: the graph was made from an image of"):
        draw_graph(image[:, 1:], ToRAG(9)(image))
    with pytest.raises(InputError, match="data: the graph was made from an image of"):
        draw_graph(image, ToRAG(9)(volume))
