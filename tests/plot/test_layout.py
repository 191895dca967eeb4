import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot import overlay_labels
from sp_graph_seg.plot.layout import (
    FONT_SIZE,
    Box,
    add_picture,
    add_text,
    new_sheet,
    show_image,
    show_labels,
    wrap,
)


def test_small_images_keep_their_size_and_colours(image):
    picture = show_image(image)
    assert picture.shape == (*image.shape[1:], 3)
    assert picture.dtype == np.uint8
    if len(image) == 3:
        stretched = (image - image.min()) / np.ptp(image)
        assert np.abs(picture / 255 - stretched.transpose(1, 2, 0)).max() < 0.01
    else:
        assert (picture == picture[..., :1]).all()


def test_labels_are_shown_as_an_overlay(image, halves):
    (picture,) = show_labels([image], halves, 0.4, "labels")
    np.testing.assert_array_equal(picture, overlay_labels(image, halves, 0.4))


@pytest.mark.parametrize("size", [(1300, 901), (2, 2000), (641, 640)])
def test_large_images_and_labels_are_scaled_down_alike(size):
    image = np.linspace(0, 1, size[1]) * np.ones((1, size[0], 1))
    labels = (np.indices(size)[1] >= size[1] // 2).astype(np.uint8)
    grey = show_image(image)
    (tinted,) = show_labels([image], labels, 1.0, "labels")
    assert grey.shape == tinted.shape
    assert 320 <= max(grey.shape) <= 640
    assert np.all(np.diff(grey[0, :, 0].astype(int)) >= 0)  # no dark rim
    assert (grey == grey[:1]).all()
    change = np.flatnonzero((tinted[0, 1:] != tinted[0, :-1]).any(axis=-1))
    assert change == pytest.approx(grey.shape[1] / 2 - 1, abs=1)


def test_every_image_needs_labels(image, halves):
    with pytest.raises(InputError, match=r"truth\[1\]: the value is None"):
        show_labels([image, image], [halves, None], 0.5, "truth")
    with pytest.raises(InputError, match=r"truth: 1 are given for 2 images"):
        show_labels([image, image], [halves], 0.5, "truth")


@pytest.mark.parametrize("weight", ["normal", "bold"])
def test_lines_are_broken_where_they_would_be_too_wide(weight):
    text = "beta_sim 0.03 beta_con 0.3 $tau_con$ 1\n\nWWWWWW 8 labels"
    lines = wrap(text, 1.0, weight)
    assert " ".join(lines).split() == text.split()
    assert "" in lines  # an empty line stays
    figure = new_sheet(3, 3)
    for line in lines:
        add_text(figure, line, 0, 1, weight=weight)
    widths = [text.get_window_extent().width / figure.dpi for text in figure.texts]
    assert max(widths) <= 1.02
    assert len(wrap(text, 100.0, weight)) == 3


def test_words_that_are_too_wide_are_broken():
    assert wrap("a Sparse-SimCon-Patch b", 0.5) == ["a Sparse-", "SimCon-", "Patch b"]
    assert wrap("tau -1 and 1e-3", 0.33) == ["tau -1", "and", "1e-3"]
    assert wrap("iiiiiiii", 1e-9) == ["i"] * 8


def test_text_begins_where_it_should_and_is_taken_as_it_is():
    figure = new_sheet(4, 2)
    add_text(figure, "cost $5_$", 1.0, 0.5)
    (text,) = figure.texts
    extent = text.get_window_extent()
    assert extent.x0 / figure.dpi == pytest.approx(1.0, abs=0.02)
    assert 2 - extent.y1 / figure.dpi == pytest.approx(0.5, abs=0.02)
    assert (text.get_text(), text.get_fontsize()) == ("cost $5_$", FONT_SIZE)


def test_a_picture_keeps_its_shape_in_the_middle_of_its_box():
    figure = new_sheet(8, 4)
    add_picture(figure, np.zeros((10, 20, 3), np.uint8), Box(left=1, top=1, width=2, height=2))
    extent = figure.axes[0].get_position()
    left, bottom, right, top = extent.extents * (8, 4, 8, 4)
    np.testing.assert_allclose((left, right, 4 - top, 4 - bottom), (1, 3, 1.5, 2.5))
