"""Rims at blurred edges, on drawings whose phases are known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sp_graph_seg.prototypes.rims import THINNEST, find_rim_width, remove_rims

CENTERS = np.array([0.1, 0.5, 0.9], np.float32)


def labels_of(values):
    return np.searchsorted((CENTERS[1:] + CENTERS[:-1]) / 2, values)


@pytest.fixture
def truth():
    """A bright ground with a dark disc, a grey disc, and a bright spot in the grey one."""
    rows, columns = np.mgrid[:80, :120]
    truth = np.full(rows.shape, 2)
    truth[np.hypot(rows - 40, columns - 30) < 20] = 0
    truth[np.hypot(rows - 40, columns - 85) < 25] = 1
    truth[np.hypot(rows - 40, columns - 85) < 8] = 2
    return truth


def test_a_blurred_edge_has_no_rim_of_a_third_label(truth):
    values = gaussian_filter(CENTERS[truth], 0.6)
    assert (labels_of(values) != truth).sum() > 50
    np.testing.assert_array_equal(labels_of(remove_rims(values, CENTERS)), truth)


def test_a_wide_rim_goes_if_its_width_is_found(truth):
    values = gaussian_filter(CENTERS[truth], 1.5)
    width = find_rim_width([values], [None])
    assert width > THINNEST
    narrow, wide = (labels_of(remove_rims(values, CENTERS, width=w)) for w in (THINNEST, width))
    assert (narrow != truth).sum() > 100
    assert (wide != truth).sum() < 0.1 * (narrow != truth).sum()


@pytest.mark.parametrize("blur", [0.8, 1.2, 1.6])
def test_the_width_is_three_times_the_blur_of_the_sharpest_edges(blur):
    """Steps of the whole contrast and of half of it, far from other edges."""
    values = gaussian_filter(np.repeat([0.1, 0.9, 0.5, 0.9, 0.1], 20)[None].repeat(30, 0), blur)
    assert find_rim_width([values.astype(np.float32)], [None]) == pytest.approx(3 * blur, abs=0.6)


def test_no_edge_and_no_data_have_the_least_width(truth):
    flat = np.full(truth.shape, 0.5, np.float32)
    empty = np.zeros(truth.shape, bool)
    assert find_rim_width([flat], [None]) == THINNEST
    assert find_rim_width([gaussian_filter(CENTERS[truth], 2)], [empty]) == THINNEST


def test_the_width_is_that_of_data_pixels(truth):
    values = gaussian_filter(CENTERS[truth], 1.5)
    inside = np.ones_like(truth, bool)
    inside[:, :20] = False
    filled = np.where(inside, values, -5).astype(np.float32)
    assert find_rim_width([filled], [inside]) == find_rim_width([values[:, 20:]], [None])


def test_sharp_edges_and_two_labels_stay(truth):
    np.testing.assert_array_equal(remove_rims(CENTERS[truth], CENTERS), CENTERS[truth])
    blurred = gaussian_filter(CENTERS[truth], 0.6)
    np.testing.assert_array_equal(remove_rims(blurred, CENTERS[[0, 2]]), blurred)


def test_a_phase_in_between_stays_where_it_is_two_pixels_wide():
    truth = np.zeros((20, 30), int)
    truth[:, 14:16] = 1
    truth[:, 16:] = 2
    np.testing.assert_array_equal(labels_of(remove_rims(CENTERS[truth], CENTERS)), truth)


def test_pixels_without_data_are_not_looked_at(truth):
    values = gaussian_filter(CENTERS[truth], 0.6)
    inside = np.ones_like(truth, bool)
    inside[:, :30] = False
    filled = np.where(inside, values, -5).astype(np.float32)
    alone = remove_rims(np.ascontiguousarray(values[:, 30:]), CENTERS)
    np.testing.assert_array_equal(remove_rims(filled, CENTERS, inside)[:, 30:], alone)


def test_a_pixel_depends_on_no_other_beyond_the_reach(truth):
    values = gaussian_filter(CENTERS[truth], 0.6)
    part = remove_rims(np.ascontiguousarray(values[20:60]), CENTERS)
    whole = remove_rims(values, CENTERS)
    np.testing.assert_array_equal(part[THINNEST:-THINNEST], whole[20 + THINNEST : 60 - THINNEST])


def test_a_ball_has_no_rim_at_its_top_either():
    planes, rows, columns = np.mgrid[:30, :30, :30]
    ball = np.sqrt((planes - 15) ** 2 + (rows - 15) ** 2 + (columns - 15) ** 2) < 9
    truth = np.where(ball, 0, 2)
    values = gaussian_filter(CENTERS[truth], 0.6)
    alone = np.stack([labels_of(remove_rims(plane, CENTERS)) for plane in values])
    together = [
        labels_of(remove_rims(values[z], CENTERS, beside=[values[z - 1], values[z + 1]]))
        for z in range(1, 29)
    ]
    assert (alone == 1).sum() > 100
    assert (np.stack(together) == 1).sum() < 0.1 * (alone == 1).sum()
    assert (together != truth[1:29]).mean() < 0.25 * (alone != truth).mean()


def test_a_layer_in_between_stays_where_it_is_two_slices_thick(truth):
    flat = np.full_like(truth, 1)
    kept = remove_rims(CENTERS[flat], CENTERS, beside=[CENTERS[flat * 0], CENTERS[flat]])
    np.testing.assert_array_equal(labels_of(kept), flat)


def test_pixels_without_data_beside_a_slice_are_not_looked_at(truth):
    values = gaussian_filter(CENTERS[truth], 0.6)
    empty = np.full_like(values, np.nan)
    beside = remove_rims(values, CENTERS, beside=[values, empty])
    np.testing.assert_array_equal(beside, remove_rims(values, CENTERS, beside=[values]))
