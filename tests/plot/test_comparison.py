import itertools

import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot import comparison_grid, overlay_labels, save_figure

HEIGHT, WIDTH = 30, 40


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return [rng.random((3, HEIGHT, WIDTH)), rng.random((3, WIDTH, HEIGHT))]


@pytest.fixture
def truth(halves):
    return [halves, halves.T]


def test_rows_are_images_and_columns_methods(pair, truth, tmp_path):
    others = [labels + 3 for labels in truth]
    figure = comparison_grid(pair, {"human": truth, "K-means": others})
    assert [text.get_text() for text in figure.texts] == ["input", "human", "K-means"]
    shown = np.array([axes.get_window_extent().extents for axes in figure.axes]).reshape(3, 2, 4)
    center = (shown[..., :2] + shown[..., 2:]) / 2
    for column, text in enumerate(figure.texts):
        extent = text.get_window_extent()
        assert (extent.x0 + extent.x1) / 2 == pytest.approx(center[column, 0, 0], abs=2)
        assert extent.y0 >= shown[column, 0, 3]  # above the first row
        np.testing.assert_allclose(center[column, :, 1], center[0, :, 1])
        np.testing.assert_allclose(center[column, :, 0], center[column, 0, 0])
    assert np.all(shown[:, 0, 1] > shown[:, 1, 3])  # the first row above the second
    for number, labels in enumerate((*truth, *others)):
        picture = figure.axes[2 + number].images[0].get_array()
        np.testing.assert_array_equal(picture, overlay_labels(pair[number % 2], labels))
    save_figure(tmp_path / "grid.png", figure)


def test_many_columns_with_long_titles_stay_apart(pair, truth):
    figure = comparison_grid(pair, {f"Sparse-SimCon-Patch number {n}": truth for n in range(9)})
    figure_box = figure.bbox
    extents = [text.get_window_extent() for text in figure.texts]
    assert all(e.x0 >= 0 and e.x1 <= figure_box.x1 and e.y1 <= figure_box.y1 for e in extents)
    for line in {round(e.y0) for e in extents}:
        row = sorted((e.x0, e.x1) for e in extents if round(e.y0) == line)
        assert all(one[1] < other[0] for one, other in itertools.pairwise(row))


def test_one_image(image, halves):
    figure = comparison_grid(image, {"human": halves})
    assert len(figure.axes) == 2
    assert figure.get_size_inches()[0] < 6


def test_what_cannot_be_compared(pair, truth):
    with pytest.raises(InputError, match="segmentations: the mapping is empty"):
        comparison_grid(pair, {})
    with pytest.raises(InputError, match=r"segmentations\['human'\]: 1 are given for 2 images"):
        comparison_grid(pair, {"human": truth[:1]})
    with pytest.raises(InputError, match=r"segmentations\['human'\]\[1\]: size"):
        comparison_grid(pair, {"human": [truth[0], truth[0]]})
