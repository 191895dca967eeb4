"""Trees of drawings, of noise, of masked, grey, many-channel and tiny images."""

import numpy as np
import pytest
import torch
from sklearn.metrics import v_measure_score

from sp_graph_seg.errors import InputError
from sp_graph_seg.regions import build_region_tree, merge_cells
from sp_graph_seg.transforms import FelzenszwalbLevel, ToMultiscale

RNG = np.random.default_rng(0)


def is_same_partition(one, other):
    """But for some pixels along boundaries."""
    return v_measure_score(one.ravel(), other.ravel()) > 0.95


def test_flat_patches_are_the_regions(patches):
    image, truth = patches
    tree = build_region_tree(image)
    assert is_same_partition(tree.cut(num_regions=6), truth)
    assert (np.diff(tree.altitude) >= 0).all()
    assert 0 <= tree.altitude.min() <= tree.altitude.max() <= 1
    assert tree.children.shape == (tree.num_leaves - 1, 2)


def test_tensors_and_integers_give_what_floats_do(patches):
    image = np.rint(patches[0] * 255).astype(np.uint8)
    expected = build_region_tree(image.astype(np.float32) / 255)
    for given in (image, torch.from_numpy(image)):
        tree = build_region_tree(given)
        assert (tree.leaves == expected.leaves).all()
        assert (tree.altitude == expected.altitude).all()


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_other_than_three_channels_are_welcome(patches, channels):
    image, truth = patches
    given = np.resize(image, (channels, *truth.shape))
    assert is_same_partition(build_region_tree(given).cut(num_regions=6), truth)


def test_what_lies_outside_of_the_mask_has_no_say(patches):
    image, truth = patches
    mask = np.zeros(truth.shape, bool)
    mask[4:20, 4:60] = mask[30:44, 10:30] = True  # two islands
    tree = build_region_tree(image, mask)
    other = np.where(mask, image, RNG.random(image.shape))
    again = build_region_tree(other, mask)
    assert (again.leaves == tree.leaves).all()
    assert (again.altitude == tree.altitude).all()
    regions = tree.cut(threshold=0.99)
    assert ((regions >= 0) == mask).all()
    assert not set(regions[:22][mask[:22]]) & set(regions[22:][mask[22:]])
    assert tree.altitude[-1] == 1  # they touch nowhere


@pytest.mark.parametrize(
    "image",
    [
        np.full((3, 16, 16), 0.5),
        np.full((1, 16, 16), 0.5),
        np.zeros((4, 16, 16)),
        RNG.random((3, 16, 16)),
        RNG.random((1, 1, 1)),
        RNG.random((3, 1, 40)),
    ],
)
def test_plain_and_tiny_images_have_few_regions(image):
    tree = build_region_tree(image)
    assert tree.leaves.shape == image.shape[1:]
    assert tree.num_leaves <= 4
    assert len(np.unique(tree.cut())) == tree.num_leaves


def test_a_large_image_is_scaled_down_and_its_regions_up(patches):
    image, truth = patches
    large = image.repeat(3, axis=1).repeat(3, axis=2)
    mask = np.ones(large.shape[1:], bool)
    mask[:3] = False
    regions = build_region_tree(large, mask, max_size=72).cut(num_regions=6)
    assert is_same_partition(regions[3:], truth.repeat(3, axis=0).repeat(3, axis=1)[3:])
    assert (regions[:3] == -1).all()


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (np.full((3, 8, 8), 255.0), None, "image: the values range from 255 to 255; scale them"),
        (np.full((3, 8, 8), np.nan), None, "image: 192 values are NaN"),
        (np.zeros((3, 8, 8)), np.zeros((8, 8)), "mask: no pixel is true"),
    ],
)
def test_what_is_no_image_is_refused(image, mask, message):
    with pytest.raises(InputError, match=f"^{message}"):
        build_region_tree(image, mask)


def test_levels_of_ones_own_make_a_tree(patches):
    image, truth = patches[0].astype(np.float32), patches[1]
    graph = ToMultiscale([FelzenszwalbLevel("rgb", 100, 0.5, 20)])(image)
    assert is_same_partition(merge_cells(graph, image).cut(num_regions=6), truth)
    graph = ToMultiscale()(image)
    tree, expected = merge_cells(graph, image), build_region_tree(image)
    assert (tree.altitude == expected.altitude).all()


def test_a_volume_has_a_tree_too(patches):
    _, truth = patches
    blocks = np.stack([truth] * 12 + [truth[:, ::-1]] * 12)[:, :, ::2]  # (24, 48, 36)
    volume = np.array([0.1, 0.5, 0.9, 0.7, 0.3, 0.0])[blocks][None]
    volume = volume + RNG.normal(0, 0.01, volume.shape)
    mask = np.ones(blocks.shape, bool)
    mask[:, :4] = False
    tree = build_region_tree(volume.clip(0, 1), mask)
    regions = tree.cut(num_regions=12)
    assert ((regions >= 0) == mask).all()
    things = blocks + 6 * (np.arange(24) >= 12)[:, None, None]
    assert v_measure_score(regions[mask], things[mask]) > 0.9
    assert tree.contours().shape == blocks.shape
    assert tree.ucm().shape == (49, 97, 73)
