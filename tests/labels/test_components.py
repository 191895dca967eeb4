"""Regions against scipy.ndimage.label and a search, ring by ring, for the nearest large one."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels import split_regions

SHARES = st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.6, 1.0])
# Here what is nearest in a straight line would fall apart.
TORN = np.array([[0, 2, 0, 2, 2], [2, 0, 2, 0, 1], [0, 2, 0, 2, 0], [1, 1, 0, 1, 1]])


def label_maps():
    shapes = array_shapes(min_dims=2, max_dims=3, max_side=7)
    return arrays(np.uint8, shapes, elements=st.integers(0, 2))


def label_regions(labels):
    """A mask for each connected region."""
    for value in np.unique(labels):
        components, count = ndimage.label(labels == value)
        yield from (components == number for number in range(1, count + 1))


def nearest_large(large, pixel):
    """Numbers of the regions that are the fewest steps away from a pixel."""
    steps = [
        min(sum(abs(p - q) for p, q in zip(pixel, other, strict=True)) for other in where)
        for where in map(np.argwhere, large)
    ]
    return {number for number, count in enumerate(steps) if count == min(steps)}


@given(label_maps(), SHARES)
def test_regions_are_those_of_scipy_and_small_ones_go_to_the_nearest(labels, share):
    before = labels.copy()
    segments = split_regions(labels, share)
    np.testing.assert_array_equal(labels, before)
    assert segments.shape == labels.shape
    assert segments.dtype == np.int64

    regions = list(label_regions(labels))
    most = max(region.sum() for region in regions)
    large = [r for r in regions if r.sum() >= share * labels.size or r.sum() == most]
    assert sorted(np.unique(segments).tolist()) == list(range(len(large)))
    owner = {}
    for number, region in enumerate(large):
        (owner[number],) = np.unique(segments[region]).tolist()
    assert len(set(owner.values())) == len(large)
    for pixel in map(tuple, np.argwhere(~np.any(large, axis=0))):
        assert segments[pixel] in {owner[number] for number in nearest_large(large, pixel)}


@given(label_maps(), SHARES)
@example(TORN, 0.1)
def test_every_segment_is_in_one_piece(labels, share):
    segments = split_regions(labels, share)
    for segment in range(segments.max() + 1):
        assert ndimage.label(segments == segment)[1] == 1


def test_two_things_of_one_label_are_two_segments():
    labels = np.zeros((10, 12), dtype=np.int32)
    labels[2:5, 1:4] = labels[6:9, 7:11] = 7
    labels[0, 11] = 3
    segments = split_regions(labels, 0.05)
    expected = np.zeros((10, 12), dtype=int)
    expected[2:5, 1:4], expected[6:9, 7:11] = 1, 2
    np.testing.assert_array_equal(segments, expected)


def test_a_region_of_just_the_share_stays():
    labels = np.zeros((10, 10), dtype=int)
    labels[4, 2:6] = 1
    assert split_regions(labels, 0.04).max() == 1
    assert split_regions(labels, 0.0401).max() == 0
    assert split_regions(labels[:8], 0.05).max() == 1  # 4 of 80


def test_the_default_share_is_that_of_the_docstring():
    labels = np.zeros((20, 100), dtype=int)
    labels[5, 10:20] = 1  # 0.5 %
    labels[15, 10:19] = 2  # 0.45 %
    segments = split_regions(labels)
    np.testing.assert_array_equal(segments, labels == 1)


@pytest.mark.parametrize("share", [0, 0.005, 1])
@pytest.mark.parametrize("shape", [(1, 1), (4, 5), (2, 3, 4)])
def test_a_constant_image_is_one_segment(shape, share):
    segments = split_regions(np.full(shape, 9), share)
    np.testing.assert_array_equal(segments, np.zeros(shape))


def test_the_largest_regions_are_always_kept():
    labels = np.arange(3).repeat(4).reshape(3, 4)  # three of four pixels
    assert split_regions(labels, 1).max() == 2
    labels[0, 0] = 1  # now this has five
    np.testing.assert_array_equal(np.unique(split_regions(labels, 1)), [0])


def test_in_a_volume_regions_are_connected_across_slices():
    labels = np.zeros((3, 4, 4), dtype=int)
    labels[:, 1, 1] = 1
    labels[0, 3, 3] = labels[2, 3, 3] = 1
    segments = split_regions(labels, 0)
    values = [segments[index] for index in itertools.product(range(3), [1], [1])]
    assert len(set(values)) == 1
    assert len({values[0], segments[0, 3, 3], segments[2, 3, 3], segments[0, 0, 0]}) == 4


@pytest.mark.parametrize("share", [-0.001, 1.001, float("nan"), float("inf")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(InputError, match=f"^min_share={share} is not between 0 and 1; give"):
        split_regions(np.zeros((2, 2), dtype=int), share)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.zeros((2, 2)), "label map of type float64"),
        (np.array([[0, -1]]), "negative"),
        (np.zeros((0, 2), dtype=int), r"shape \(0, 2\) is empty"),
    ],
)
def test_what_is_no_label_map_is_refused(labels, reason):
    with pytest.raises(InputError, match=reason):
        split_regions(labels)
