"""Regions without training: of others, of a grid, of nothing."""

import numpy as np
import pytest

from sp_graph_seg.baselines import felzenszwalb_regions, grid_regions, one_label, sas_regions
from sp_graph_seg.errors import InputError

RNG = np.random.default_rng(0)


@pytest.fixture
def halves():
    image = np.zeros((3, 40, 60), np.float32)
    image[:, :, 25:] = 0.8
    return image


def test_two_halves_are_found(halves):
    for labels in (felzenszwalb_regions(halves), sas_regions(halves, 2)):
        assert (labels == labels[:1]).all()
        assert labels[0, 0] != labels[0, -1]
        assert len(np.unique(labels)) == 2


def test_felzenszwalb_is_that_of_scikit_image():
    from skimage.segmentation import felzenszwalb

    image = RNG.random((3, 40, 60))
    expected = felzenszwalb(image, 100, 0.8, 100, channel_axis=0)
    assert (felzenszwalb_regions(image.astype(np.float32), 100) == expected).all()


@pytest.mark.parametrize(("size", "count", "cells"), [((40, 60), 6, 6), ((60, 40), 12, 12)])
def test_a_grid_has_equal_cells(size, count, cells):
    labels = grid_regions(np.zeros((1, *size)), count)
    sizes = np.bincount(labels.ravel())
    assert len(sizes) == cells
    assert np.ptp(sizes) <= max(size)
    assert (labels[:, :1] == labels[:, 1:2]).all()


def test_one_label_is_everywhere(halves):
    assert not one_label(halves).any()
    assert one_label(halves).shape == (40, 60)
    with pytest.raises(InputError, match="num_labels=0"):
        grid_regions(halves, 0)
