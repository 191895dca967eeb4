"""The colours that over-segmentations and cues compare."""

import numpy as np
import pytest
import skimage.color

from sp_graph_seg.transforms import color_space, color_spaces
from sp_graph_seg.transforms.color_spaces import rgb_to_lab

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("space", ["rgb", "lab", "hsv"])
def test_equal_channels_are_as_one(space):
    grey = RNG.random((1, 6, 7))
    once = color_space(grey, space)
    np.testing.assert_allclose(once[..., 0], grey[0])
    assert not once[..., 1:].any()
    np.testing.assert_allclose(color_space(np.tile(grey, (5, 1, 1)), space), once, atol=1e-9)


def test_many_channels_keep_their_distances():
    basis = np.linalg.qr(RNG.normal(size=(7, 3)))[0]
    image = np.moveaxis(RNG.random((5, 6, 3)) @ basis.T, -1, 0)
    colors = color_space(image, "lab").reshape(-1, 3)
    values = image.reshape(7, -1).T / np.sqrt(7)
    for a, b in ((0, 1), (3, 20), (7, 29)):
        np.testing.assert_allclose(
            np.linalg.norm(colors[a] - colors[b]), np.linalg.norm(values[a] - values[b])
        )


def test_red_is_one_colour_on_both_ends_of_the_hue():
    reds = np.array([[[1.0, 1.0]], [[0.01, 0.0]], [[0.0, 0.01]]])
    assert np.ptp(color_space(reds, "hsv"), axis=1).max() < 0.02


def test_a_volume_is_as_its_slices():
    volume = RNG.random((3, 2, 4, 5))
    slices = [color_space(volume[:, k], "lab") for k in range(2)]
    np.testing.assert_allclose(color_space(volume, "lab"), slices)


@pytest.mark.parametrize("size", [(11, 7), (5, 3, 4)])
@pytest.mark.parametrize("at_once", [1, 8, 30])
def test_large_images_are_converted_in_parts(size, at_once, monkeypatch):
    image = RNG.random((3, *size), dtype=np.float32)
    whole = color_space(image, "lab")
    monkeypatch.setattr(color_spaces, "_PIXELS_AT_ONCE", at_once)
    np.testing.assert_array_equal(color_space(image, "lab"), whole)


def test_lab_is_that_of_scikit_image():
    image = np.random.default_rng(0).random((3, 50, 60), np.float32)
    image[:, :2] *= 0.05  # where the curves are straight lines
    expected = skimage.color.rgb2lab(image, channel_axis=0)
    np.testing.assert_allclose(rgb_to_lab(image), expected, atol=1e-3)
    assert rgb_to_lab(image).dtype == np.float32
