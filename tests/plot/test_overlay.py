import tracemalloc

import numpy as np
import pytest
import torch

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.colors import label_colors
from sp_graph_seg.plot import overlay, overlay_labels

HEIGHT, WIDTH = 30, 40


def test_an_overlay_has_the_size_of_the_image(image, halves):
    picture = overlay_labels(image, halves)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert picture.dtype == np.uint8


def test_alpha_mixes_image_and_labels(image, halves):
    grey = overlay_labels(image, np.zeros_like(halves), alpha=0.0)
    assert (grey == grey[..., :1]).all()
    assert len(np.unique(grey)) > 10
    flat = overlay_labels(image, halves, alpha=1.0)
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) == 2


def test_frames_of_one_range_stay_as_bright_as_each_other(halves):
    frames = [np.full((1, HEIGHT, WIDTH), value) for value in (2.0, 4.0)]
    frames[1][:, 0, 0] = 40.0  # would darken the rest of its own frame
    dark, bright = (
        overlay_labels(frame, np.zeros_like(halves), alpha=0.0, intensity_range=(0.0, 8.0))
        for frame in frames
    )
    assert (dark[1, 1], bright[1, 1]) == (
        pytest.approx([255 * (0.25 + 0.75 / 4)] * 3, abs=1),
        pytest.approx([255 * (0.25 + 0.75 / 2)] * 3, abs=1),
    )


def test_a_picture_in_strips_is_that_in_one_piece(image, halves, monkeypatch):
    labels = np.where(np.random.default_rng(0).random(halves.shape) < 0.2, -1, halves)
    whole = overlay_labels(image, labels)
    for rows in (1, 2, 7, HEIGHT):
        monkeypatch.setattr(overlay, "_STRIP_PIXELS", rows * WIDTH)
        np.testing.assert_array_equal(overlay_labels(image, labels), whole)


def test_the_memory_of_a_large_picture_is_that_of_the_picture():
    size = 1500, 2000
    image, labels = np.zeros((1, *size), np.float32), np.ones(size, np.uint8)
    overlay_labels(image[:, :9], labels[:9])  # imports
    tracemalloc.start()
    picture = overlay_labels(image, labels, intensity_range=(0.0, 1.0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < picture.nbytes + 30 * 2**20


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


def test_a_label_takes_the_colour_that_is_given(halves):
    image = np.zeros((1, HEIGHT, WIDTH))
    own, given = (
        overlay_labels(image, halves, alpha=1.0, colors=colors)
        for colors in (None, {7: "#204060", 70: "red"})
    )
    np.testing.assert_array_equal(given[halves == 7][0], (0x20, 0x40, 0x60))
    assert (given[halves == 7] != own[halves == 7]).any()


def test_a_label_keeps_away_from_the_given_colour_of_another(halves):
    image = np.zeros((1, HEIGHT, WIDTH))
    usual = label_colors([0])[0]
    given = overlay_labels(image, halves, alpha=1.0, colors={7: usual})
    distance = np.linalg.norm(given[halves == 0][0].astype(int) - given[halves == 7][0])
    assert distance > 150


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


def test_what_has_no_label_is_not_tinted_and_sets_no_brightness(halves):
    image = np.random.default_rng(0).random((1, HEIGHT, WIDTH))
    holed, outside = halves.copy(), np.zeros((HEIGHT, WIDTH), bool)
    outside[:3] = True
    holed[outside] = -1
    pictures = [
        overlay_labels(np.where(outside, value, image), holed) for value in (0.5, 1e6, np.nan)
    ]
    for picture in pictures:
        red, green, blue = picture[outside].T
        assert (red == green).all()
        assert (green == blue).all()
        np.testing.assert_array_equal(picture[~outside], pictures[0][~outside])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": np.zeros((3, 3), dtype=int)}, r"labels: an array of int64 with shape \(3, 3\)"),
        ({"labels": np.zeros((HEIGHT, WIDTH))}, "labels: an array of float64"),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"intensity_range": (1.0, 1.0)}, "is not increasing"),
        ({"image": np.zeros((1, 2, HEIGHT, WIDTH))}, "image: is a volume of shape"),
    ],
)
def test_what_no_overlay_can_be_made_of(halves, changes, reason):
    arguments = {"image": np.zeros((3, HEIGHT, WIDTH)), "labels": halves, **changes}
    with pytest.raises(InputError, match=reason):
        overlay_labels(**arguments)
