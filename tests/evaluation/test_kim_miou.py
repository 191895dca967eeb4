import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from sp_graph_seg.evaluation import kim_ious

MAPS = arrays(np.int64, (5, 6), elements=st.integers(0, 2))


def masks(labels):
    """The 4-connected pieces of each label, by scipy."""
    for value in np.unique(labels[labels >= 0]):
        pieces, count = ndimage.label(labels == value)
        yield from (pieces == piece for piece in range(1, count + 1))


@given(arrays(np.int64, (5, 6), elements=st.integers(-1, 2)), MAPS)
def test_each_region_takes_its_best_component(labels, truth):
    labels[0, 0] = 0
    truth = np.where(labels < 0, -1, truth)
    regions = [truth == region for region in np.unique(truth[truth >= 0])]
    expected = [
        max((part & region).sum() / (part | region).sum() for part in masks(labels))
        for region in regions
    ]
    np.testing.assert_allclose(kim_ious(labels, [truth])["all"], expected)


def test_a_label_in_two_pieces_is_two_segments():
    labels = np.array([[0, 1, 0]])
    np.testing.assert_array_equal(kim_ious(labels, [np.array([[0, 1, 2]])])["all"], [1, 1, 1])


def test_pixels_that_touch_at_a_corner_are_apart():
    labels = np.array([[0, 1], [1, 0]])
    (iou,) = kim_ious(labels, [np.array([[0, -1], [-1, 0]])])["all"]
    assert iou == 0.5


def test_fine_and_coarse_are_the_annotators_with_most_and_fewest_regions(label_map):
    labels = label_map((20, 30), 5)
    truths = [label_map((20, 30), count, seed=count) for count in (4, 9, 2, 9)]
    ious = kim_ious(labels, truths)
    each = [kim_ious(labels, [truth])["all"] for truth in truths]
    np.testing.assert_array_equal(ious["all"], np.concatenate(each))
    np.testing.assert_array_equal(ious["fine"], each[1])
    np.testing.assert_array_equal(ious["coarse"], each[2])


@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_blank_segmentation_scores_one_over_the_number_of_regions(label_map, count):
    truth = label_map((20, 30), count)
    regions = np.unique(truth).size
    blank = np.zeros((20, 30), int)
    assert kim_ious(blank, [truth])["all"].mean() == pytest.approx(1 / regions)
