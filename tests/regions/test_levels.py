"""Several over-segmentations, the cells they make, and the colours that they compare."""

import numpy as np
import pytest

from sp_graph_seg.regions import LEVELS, color_space, over_segment
from sp_graph_seg.regions.levels import common_cells

RNG = np.random.default_rng(0)


def test_pixels_are_in_one_cell_if_and_only_if_all_levels_agree():
    levels = RNG.integers(0, 3, (3, 6, 7))
    cells = common_cells(levels)
    rows = levels.reshape(3, -1).T
    same = (rows[:, None] == rows).all(axis=-1)
    assert (same == (cells.cells.ravel()[:, None] == cells.cells.ravel())).all()
    assert (cells.member[cells.cells.ravel()] == rows).all()
    assert (cells.size == np.bincount(cells.cells.ravel())).all()


def test_a_mask_leaves_no_empty_region(patches):
    image, _ = patches
    mask = np.zeros(image.shape[1:], bool)
    mask[5:30, 10:40] = True
    cells = over_segment(image, mask=mask)
    assert len(cells.levels) == len(LEVELS)
    for labels in (*cells.levels, cells.cells):
        assert ((labels >= 0) == mask).all()
        assert np.bincount(labels[mask]).min() > 0


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
