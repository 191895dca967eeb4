import dataclasses
from typing import get_args

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage import data
from sklearn.datasets import load_sample_image

from sp_graph_seg import Config
from sp_graph_seg.errors import FewSuperpixelsWarning, InputError
from sp_graph_seg.transforms import (
    SUPERPIXEL_METHODS,
    compute_superpixels,
    connected_components,
)

METHODS = list(SUPERPIXEL_METHODS)
COMPACT = ["slic", "watershed"]  # felzenszwalb knows no compactness and no volumes
HUGE = np.uint64(2**63)


def separate(labels, connectivity=1):
    """Connected regions of one id each by SciPy, numbered in scan order; negative ids stay -1."""
    structure = scipy.ndimage.generate_binary_structure(labels.ndim, connectivity)
    pieces = np.full(labels.shape, -1)
    number = 0
    for value in np.unique(labels[labels >= 0]):
        found, count = scipy.ndimage.label(labels == value, structure)
        pieces[found > 0] = found[found > 0] + number
        number += count
    order = list(dict.fromkeys(pieces[pieces >= 0].tolist()))  # by first appearance
    return np.array([-1 if p < 0 else order.index(p) for p in pieces.flat]).reshape(labels.shape)


def assert_valid(labels, inside=None):
    """Contiguous ids, each of one connected region, and only inside the mask."""
    assert labels.dtype == np.int64
    inside = np.ones(labels.shape, bool) if inside is None else inside.astype(bool)
    np.testing.assert_array_equal(labels >= 0, inside)
    assert np.unique(labels[inside]).tolist() == list(range(labels.max() + 1))
    np.testing.assert_array_equal(labels, separate(labels))


def photo(step=4):
    return np.ascontiguousarray(data.astronaut()[::step, ::step].transpose(2, 0, 1)) / 255.0


@given(
    labels=arrays(
        np.int64, array_shapes(min_dims=2, max_dims=3, max_side=6), elements=st.integers(0, 2)
    ),
    connectivity=st.integers(1, 3),
    data=st.data(),
)
def test_connected_components_equal_scipy(labels, connectivity, data):
    connectivity = min(connectivity, labels.ndim)
    before = labels.copy()
    result = connected_components(labels, connectivity=connectivity)
    np.testing.assert_array_equal(result, separate(labels, connectivity))
    np.testing.assert_array_equal(connected_components(result, connectivity=connectivity), result)

    mask = data.draw(arrays(bool, labels.shape))
    mask.flat[0] = True
    result = connected_components(labels, mask, connectivity)
    np.testing.assert_array_equal(result, separate(np.where(mask, labels, -1), connectivity))
    np.testing.assert_array_equal(labels, before)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        np.array([False, True, True]),
        np.array([0, 254, 255], np.uint8),
        np.array([0, 1, 65535], np.uint16),
        np.array([7, 0, 127], np.int8),
        np.array([3, 10**6, 2**31 - 1], np.int32),
        np.array([2**60, 2**60 + 1, 2**62]),  # one apart: the same in floating point
        np.array([0, 1, 2], np.uint64),
        np.array([HUGE, HUGE + np.uint64(1), HUGE - np.uint64(1)]),
        np.array([2**64 - 1, 2**64 - 2, 0], np.uint64),
    ],
    ids=lambda values: f"{values.dtype}-{values.max()}",
)
def test_any_integers_are_ids(values, masked):
    pattern = np.array([[0, 0, 1, 1], [0, 2, 1, 0], [0, 2, 2, 0]])
    mask = np.ones((3, 4), bool)
    if masked:
        mask[1:, :1] = mask[0, 2] = False
    _, small = np.unique(values, return_inverse=True)
    expected = separate(np.where(mask, small[pattern], -1))
    labels = values[pattern]
    result = connected_components(labels, mask if masked else None)
    np.testing.assert_array_equal(result, expected)
    assert_valid(result, mask)


@pytest.mark.parametrize(
    ("labels", "mask", "name"),
    [
        (np.zeros((2, 2)), None, "superpixels: .*float64"),
        (np.zeros((2, 2), complex), None, "superpixels: .*complex"),
        (np.array([["a"]]), None, "superpixels: "),
        (np.zeros((0, 2), int), None, r"superpixels: the label map of shape \(0, 2\) is empty"),
        (np.array([[0, -1]]), None, "superpixels: some ids are negative"),
        (np.array([[0, -1]]), np.array([[0, 1]]), "superpixels: some ids are negative"),
        (np.zeros((2, 2), int), np.zeros((2, 2)), "mask: no pixel"),
        (np.zeros((2, 2), int), np.ones((2, 3)), r"mask: size \(2, 3\)"),
        (np.zeros((2, 2), int), np.ones(4), r"mask: size \(4,\)"),
    ],
)
def test_connected_components_refuses(labels, mask, name):
    with pytest.raises(InputError, match=f"^{name}"):
        connected_components(labels, mask)


def test_negative_ids_may_lie_outside_the_mask():
    labels = np.array([[-5, 3, -1, 3]])
    np.testing.assert_array_equal(connected_components(labels, labels >= 0), [[-1, 0, -1, 1]])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("n_segments", [1, 20, 150])
def test_images(method, channels, n_segments):
    """At a compactness that leaves SLIC its number; at a lower one it drops small segments."""
    image = photo()[[0, 1, 2, 0, 1][:channels]]
    before = image.copy()
    labels = compute_superpixels(image, n_segments, 100.0, method)
    np.testing.assert_array_equal(image, before)
    assert labels.shape == image.shape[1:]
    assert_valid(labels)
    assert 0.6 * n_segments <= labels.max() + 1 <= max(2, 1.6 * n_segments)
    np.testing.assert_array_equal(labels, compute_superpixels(image, n_segments, 100.0, method))


@pytest.mark.parametrize("method", METHODS)
def test_superpixels_follow_the_edges_of_an_image(method):
    image = np.zeros((3, 30, 40))
    image[:, :, 17:] = [[[0.9]], [[0.5]], [[0.2]]]
    labels = compute_superpixels(image, 12, 10.0, method)
    # The gradient lies on both sides of the edge, so that the watershed may take either.
    assert not np.intersect1d(labels[:, :16], labels[:, 18:]).size


@pytest.mark.parametrize("method", COMPACT)
def test_compactness_makes_them_squarer(method):
    def variance(compactness):
        """Of the positions in a superpixel, which is least for a disc."""
        labels = compute_superpixels(photo(), 60, compactness, method)
        pixels = np.stack(np.indices(labels.shape)).reshape(2, -1)
        sums = [np.bincount(labels.ravel(), p**k) for p in pixels for k in (1, 2)]
        count = np.bincount(labels.ravel())
        return sum(sums[1::2] - np.square(sums[::2]) / count).sum() / labels.size

    assert variance(1e3) < variance(10.0) < variance(0.1)


@pytest.mark.parametrize("method", COMPACT)
@pytest.mark.parametrize("channels", [1, 5])
def test_compactness_is_relative_to_the_contrast(method, channels):
    """Half the contrast and half the compactness cancel out; a brighter image is no other."""
    image = photo(8)[[0, 1, 2, 0, 1][:channels]]
    labels = compute_superpixels(image, 40, 20.0, method)
    np.testing.assert_array_equal(compute_superpixels(image / 2, 40, 10.0, method), labels)
    assert (compute_superpixels(image / 2, 40, 20.0, method) != labels).any()


@pytest.mark.parametrize("method", METHODS)
def test_what_lies_outside_the_mask_does_not_matter(method):
    image = photo(8)[:1]
    mask = np.zeros((64, 64), bool)
    mask[8:50, 5:50] = True
    other = image.copy()
    other[0, 60:, 60:] = 5.0
    labels, again = (compute_superpixels(i, 30, 10.0, method, mask=mask) for i in (image, other))
    np.testing.assert_array_equal(labels, again)


@pytest.mark.parametrize("method", COMPACT)
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 50), (1, 1, 1), (1, 12, 12), (2, 3, 4)]
)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_small_and_constant_images(method, shape, value):
    for channels in (1, 3):
        image = np.full((channels, *shape), value)
        for n_segments in (1, 4, 1000):
            labels = compute_superpixels(image, n_segments, 10.0, method)
            assert_valid(labels)
            assert labels.max() < labels.size


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 50)])
def test_felzenszwalb_on_small_images(shape):
    for n_segments in (1, 4, 1000):
        labels = compute_superpixels(
            np.random.default_rng(0).random((2, *shape)), n_segments, 10.0, "felzenszwalb"
        )
        assert_valid(labels)


@pytest.mark.parametrize("method", COMPACT)
@pytest.mark.parametrize("shape", [(64, 64), (20, 205), (1, 64, 64), (4, 32, 32), (16, 16, 16)])
def test_number_of_segments(method, shape):
    """Also in volumes of few slices, where a cell would be thicker than the volume."""
    image = np.random.default_rng(0).random((1, *shape)) * 1e-3
    labels = compute_superpixels(image, 64, 10.0, method)
    assert_valid(labels)
    assert 40 <= labels.max() + 1 <= 100


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("share", ["disc", "corner", "pixel", "all", "two parts"])
def test_mask_is_respected(method, share):
    image = photo(8)
    row, column = np.ogrid[:64, :64]
    mask = {
        "disc": (row - 32) ** 2 + (column - 30) ** 2 < 500,
        "corner": (row < 20) & (column < 12),
        "pixel": (row == 5) & (column == 7),
        "all": (row >= 0) & (column >= 0),
        "two parts": (row % 40 < 20) & (column < 30),
    }[share]
    labels = compute_superpixels(image, 40, 10.0, method, mask=mask)
    assert_valid(labels, mask)
    if share != "pixel":  # the number is that inside the mask
        assert 20 <= labels.max() + 1 <= 80


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("mask", "reason"), [(np.zeros((8, 8)), "no pixel"), (np.ones(8), "size")])
def test_bad_masks(method, mask, reason):
    with pytest.raises(InputError, match=f"^mask: {reason}"):
        compute_superpixels(np.zeros((1, 8, 8)), 4, 10.0, method, mask=mask)


@pytest.mark.parametrize(("method", "contrast"), [("slic", 0.1), ("watershed", 0.001)])
def test_spacing_makes_supervoxels_flat(method, contrast):
    """With slices four times as far apart, supervoxels span fewer of them."""
    volume = contrast * np.random.default_rng(0).random((1, 16, 24, 24))

    def extents(spacing):
        labels = compute_superpixels(volume, 40, 10.0, method, spacing)
        assert_valid(labels)
        boxes = scipy.ndimage.find_objects(labels + 1)
        return np.mean([[part.stop - part.start for part in box] for box in boxes], axis=0)

    same, far = extents(None), extents((4.0, 1.0, 1.0))
    assert far[0] / far[1:].mean() < 0.8 * same[0] / same[1:].mean()
    np.testing.assert_array_equal(extents((1.0, 1.0, 1.0)), same)


def test_a_mask_of_any_kind():
    mask = np.zeros((6, 6), np.uint8)
    mask[2:5, 1:4] = 255
    expected = connected_components(np.arange(36).reshape(6, 6), mask)
    assert_valid(expected, mask)
    for same in (mask.astype(float), torch.from_numpy(mask), mask.tolist()):
        np.testing.assert_array_equal(
            connected_components(np.arange(36).reshape(6, 6), same), expected
        )


def test_a_collapse_of_slic_is_told():
    noise = np.random.default_rng(0).random((3, 128, 128), dtype=np.float32)
    with pytest.warns(FewSuperpixelsWarning, match="n_segments=500: .* compactness"):
        compute_superpixels(noise, 500)


@pytest.mark.parametrize("name", ["quickshift", "", "SLIC"])
def test_an_unknown_method_is_refused_by_name(name):
    with pytest.raises(InputError, match=f"^superpixel_method='{name}' is unknown; use .*'slic'"):
        compute_superpixels(np.zeros((1, 8, 8)), 4, superpixel_method=name)


def test_the_configuration_knows_the_same_methods():
    (hint,) = [f.type for f in dataclasses.fields(Config) if f.name == "superpixel_method"]
    assert list(get_args(hint)) == METHODS


def test_felzenszwalb_is_for_images_only():
    reason = "^superpixel_method='felzenszwalb' .*volumes; use 'slic' or 'watershed'"
    with pytest.raises(InputError, match=reason):
        compute_superpixels(np.zeros((1, 2, 8, 8)), 4, superpixel_method="felzenszwalb")


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_felzenszwalb_keeps_a_flat_area_whole_and_cuts_at_edges(channels):
    image = np.full((channels, 40, 50), 0.2)
    image[:, 8:30, 10:25] = 0.8
    labels = compute_superpixels(image, 10, superpixel_method="felzenszwalb")
    assert_valid(labels)
    inside, around = labels[12:26, 14:21], np.concatenate([labels[:4], labels[36:]])
    assert np.unique(inside).size == np.unique(around).size == 1  # away from the smoothed edge
    assert inside[0, 0] != around[0, 0]


@pytest.mark.parametrize("picture", ["astronaut", "coffee", "camera", "coins"])
@pytest.mark.parametrize("n_segments", [100, 600])
def test_felzenszwalb_makes_about_the_number_wanted_and_no_crumbs(picture, n_segments):
    image = np.atleast_3d(getattr(data, picture)()[::2, ::2]).transpose(2, 0, 1) / 255.0
    labels = compute_superpixels(image, n_segments, superpixel_method="felzenszwalb")
    assert 0.5 * n_segments <= labels.max() + 1 <= 1.3 * n_segments
    assert np.bincount(labels.ravel()).min() >= image[0].size / n_segments / 4 - 1


@pytest.mark.parametrize("method", ["slic", "watershed"])
@pytest.mark.parametrize("unit", [1e-3, 1e4])
def test_the_unit_of_the_spacing_is_no_matter(method, unit):
    image = scipy.ndimage.gaussian_filter(
        np.random.default_rng(0).random((1, 8, 24, 24)), (0, 1, 2, 2)
    )
    spacing = np.array([3.0, 1.0, 1.0])
    expected = compute_superpixels(image, 40, 10.0, method, tuple(spacing))
    labels = compute_superpixels(image, 40, 10.0, method, tuple(spacing * unit))
    assert expected.max() > 20
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("number", [50.5, 0, -3, "50", None])
def test_what_is_no_number_of_superpixels_is_refused(number):
    with pytest.raises(
        InputError, match=f"^n_segments={number} is not a positive integer; use 1 or more"
    ):
        compute_superpixels(np.zeros((1, 8, 8)), number)


def test_seeds_that_a_mask_leaves_empty_are_no_warning():
    photo = load_sample_image("flower.jpg").transpose(2, 0, 1) / 255
    mask = photo[0] < 0.9
    labels = compute_superpixels(photo, 500, mask=mask)
    np.testing.assert_array_equal(labels >= 0, mask)
