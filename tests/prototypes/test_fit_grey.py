"""Prototypes of grey values, on a drawing whose phases are known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sp_graph_seg.prototypes.fit_grey import fit_grey_prototypes, select_pixels
from sp_graph_seg.prototypes.prototypes import fit_prototypes
from sp_graph_seg.prototypes.rims import remove_rims

LEVELS = np.array([0.1, 0.7, 0.9], np.float32)


@pytest.fixture
def drawing():
    """A round sample in air, of two similar phases, under a blur of two pixels."""
    rows, columns = np.mgrid[:160, :160]
    radius = np.hypot(rows - 80, columns - 80)
    truth = np.where((rows // 40 + columns // 40) % 2, 2, 1)
    truth[radius > 70] = 0
    return truth, gaussian_filter(LEVELS[truth], 2)


def labels_of(values, centers, width=2):
    removed = remove_rims(values, centers, width=width)
    return np.searchsorted((centers[1:] + centers[:-1]) / 2, removed)


def test_a_blurred_edge_takes_no_prototype(drawing):
    truth, values = drawing
    before = fit_prototypes(values.reshape(-1, 1), 3).centers[:, 0]
    found, width = fit_grey_prototypes([values], [None], 3)
    assert np.abs(before - LEVELS).max() > 0.1
    np.testing.assert_allclose(found.centers[:, 0], LEVELS, atol=0.05)
    wrong = (labels_of(values, found.centers[:, 0], width) != truth).mean()
    assert wrong < 0.5 * (labels_of(values, before) != truth).mean()


def test_masked_pixels_do_not_count(drawing):
    _, values = drawing
    inside = np.ones(values.shape, bool)
    inside[:, :40] = False
    cut, _ = fit_grey_prototypes([values[:, 40:]], [None], 3)
    masked, _ = fit_grey_prototypes([np.where(inside, values, 9)], [inside], 3)
    np.testing.assert_allclose(masked.centers, cut.centers, atol=1e-6)


def test_two_prototypes_are_fitted_once(drawing):
    _, values = drawing
    found, _ = fit_grey_prototypes([values], [None], 2)
    once = [fit_prototypes(values.reshape(-1, 1), 2, rarity).centers for rarity in (0, 0.5)]
    assert any(np.array_equal(found.centers, centers) for centers in once)


def test_a_mask_selects_pixels(drawing):
    truth, values = drawing
    np.testing.assert_array_equal(select_pixels(values[None], truth > 0)[0], values[truth > 0])


def test_each_label_keeps_pixels(drawing):
    """Twelve labels of three phases lie mostly at edges; their rims are taken to be thinner."""
    _, values = drawing
    noisy = values + np.random.default_rng(0).normal(0, 0.02, values.shape).astype(np.float32)
    found, width = fit_grey_prototypes([noisy], [None], 12)
    assert set(np.unique(labels_of(noisy, found.centers[:, 0], width))) == set(range(12))
