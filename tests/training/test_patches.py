import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from sp_graph_seg.errors import InputError, SmallImageWarning
from sp_graph_seg.training import PatchPositions, PatchSampler, cut_patches, draw_patches


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def coordinate_image(height, width):
    """Row, column and a random third channel, ``(3, H, W)``."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    noise = torch.rand(height, width, generator=generator(1))
    return torch.stack([rows.float(), columns.float(), noise])


def source_of(i, j, height, width, turns, flip):
    """Row and column, inside the window, of pixel (i, j) of a patch: all steps undone by hand."""
    if flip:
        j = width - 1 - j
    for _ in range(turns):  # turning counter-clockwise puts column W - 1 into the first row
        i, j, height, width = j, height - 1 - i, width, height
    return i, j


def as_tuples(positions):
    """Everything that makes a patch, one hashable tuple each."""
    parts = zip(
        positions.corner.tolist(),
        positions.quarter_turns.tolist(),
        positions.flip.tolist(),
        strict=True,
    )
    return [
        (positions.height, positions.width, *corner, turns, flip) for corner, turns, flip in parts
    ]


def side_lengths(positions):
    """Height and width of each window in the image, ``(K, 2)``."""
    upright = torch.tensor([positions.height, positions.width])
    is_upright = positions.quarter_turns % 2 == 0
    return torch.where(is_upright[:, None], upright, upright.flip(0))


def test_a_patch_turned_and_mirrored_by_hand():
    image = torch.tensor([[[0.0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]])
    positions = PatchPositions(
        height=2,
        width=3,
        corner=torch.tensor([[1, 0], [1, 0], [0, 2], [0, 2], [1, 1]]),
        quarter_turns=torch.tensor([0, 0, 1, 3, 2]),
        flip=torch.tensor([False, True, False, True, False]),
    )
    assert cut_patches(image, positions)[:, 0].tolist() == [
        [[4, 5, 6], [8, 9, 10]],
        [[6, 5, 4], [10, 9, 8]],
        [[3, 7, 11], [2, 6, 10]],
        [[2, 6, 10], [3, 7, 11]],
        [[11, 10, 9], [7, 6, 5]],
    ]


@pytest.mark.parametrize(
    ("size", "shape", "expected_turns"),
    [
        ((17, 17), (5, 5), {0, 1, 2, 3}),
        ((20, 31), (4, 9), {0, 1, 2, 3}),
        ((20, 31), (7, 20), {0, 1, 2, 3}),  # turned positions fill the height
        ((20, 31), (6, 21), {0, 2}),  # turned, it would be one row too high
        ((31, 20), (21, 6), {0, 2}),
        ((12, 19), (12, 19), {0, 2}),
        ((8, 8), (8, 8), {0, 1, 2, 3}),
        ((5, 9), (1, 1), {0, 1, 2, 3}),
    ],
)
def test_each_patch_is_its_window_turned_and_flipped(size, shape, expected_turns):
    image = coordinate_image(*size)
    positions = draw_patches(size, shape, 200, generator())
    patches = cut_patches(image, positions)

    assert patches.shape == (200, 3, *shape)
    assert len(positions) == 200
    assert set(positions.quarter_turns.tolist()) == expected_turns
    assert set(positions.flip.tolist()) == {False, True}
    assert (positions.corner >= 0).all()
    assert (positions.corner + side_lengths(positions) <= torch.tensor(size)).all()

    i, j = (axis.numpy() for axis in torch.meshgrid(*map(torch.arange, shape), indexing="ij"))
    for patch, (_, _, row, column, turns, flip) in zip(patches, as_tuples(positions), strict=True):
        down, right = source_of(i, j, *shape, turns, flip)
        np.testing.assert_array_equal(patch[0], row + down)
        np.testing.assert_array_equal(patch[1], column + right)
        np.testing.assert_array_equal(patch[2], image[2, row + down, column + right])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_no_windows_make_an_empty_batch(dtype):
    image = torch.zeros(5, 9, 9, dtype=dtype)
    patches = cut_patches(image, draw_patches((9, 9), (4, 6), 0, generator()))
    assert patches.shape == (0, 5, 4, 6)
    assert patches.dtype == dtype


def test_a_subset_of_the_windows_cuts_the_same_patches():
    image = coordinate_image(20, 30)
    positions = draw_patches(image.shape[1:], (5, 8), 10, generator())
    patches = cut_patches(image, positions)
    for index in (slice(1, None, 3), torch.tensor([9, 0, 4])):
        assert len(positions[index]) == len(patches[index])
        torch.testing.assert_close(cut_patches(image, positions[index]), patches[index])


@pytest.mark.parametrize("uniform", ["no mask", "foreground=0"])
@pytest.mark.parametrize("seed", [0, 1])
def test_positions_are_uniform_and_reach_the_border(uniform, seed):
    size, shape, count = (5, 6), (2, 3), 8000
    mask = None
    if uniform == "foreground=0":
        mask = torch.zeros(size, dtype=torch.bool)
        mask[0, 0] = True
    positions = draw_patches(size, shape, count, generator(seed), mask, foreground=0.0)
    turned = positions.quarter_turns % 2 == 1
    for chosen, (height, width) in ((~turned, shape), (turned, shape[::-1])):
        rows, columns = size[0] - height + 1, size[1] - width + 1
        corners = positions.corner[chosen]
        observed = torch.bincount(corners[:, 0] * columns + corners[:, 1], minlength=rows * columns)
        assert observed.min() > 0
        assert len(observed) == rows * columns
        assert chisquare(observed.numpy()).pvalue > 1e-3
    assert chisquare(torch.bincount(positions.quarter_turns).numpy()).pvalue > 1e-3
    assert chisquare(torch.bincount(positions.flip.long()).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(3, 3), (4, 7), (6, 2)])
@pytest.mark.parametrize("pixels", [[(6, 9)], [(0, 0), (12, 17)], [(0, 8), (5, 17), (6, 10)]])
def test_foreground_windows_centre_on_mask_pixels_up_to_the_border(shape, pixels):
    size = (13, 18)
    mask = torch.zeros(size, dtype=torch.bool)
    for pixel in pixels:
        mask[pixel] = True
    positions = draw_patches(size, shape, 300, generator(), mask, foreground=1.0)

    def corner_around(pixel, sides):
        wanted = np.asarray(pixel) - np.asarray(sides) // 2
        return tuple(np.clip(wanted, 0, np.asarray(size) - sides))

    for turned in (False, True):
        chosen = (positions.quarter_turns % 2 == 1).numpy() == turned
        sides = shape[::-1] if turned else shape
        expected = {corner_around(pixel, sides) for pixel in pixels}
        assert set(map(tuple, positions.corner[chosen].tolist())) == expected
    assert cut_patches(mask[None], positions).flatten(1).any(dim=1).all()  # each shows the mask


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_the_foreground_share_is_met(share):
    size, shape, count = (40, 40), (7, 7), 4000
    mask = torch.zeros(size, dtype=torch.bool)
    mask[20, 20] = True
    positions = draw_patches(size, shape, count, generator(), mask, share)
    hits = (positions.corner == 20 - 3).all(dim=1).double().mean().item()
    expected = share + (1 - share) / 34**2
    assert hits == pytest.approx(expected, abs=4 * (expected * (1 - expected) / count) ** 0.5)


def test_windows_depend_on_the_generator_alone():
    mask = torch.rand(30, 40, generator=generator(3)) > 0.5
    state = torch.get_rng_state()
    first, again, other = (
        draw_patches((30, 40), (8, 6), 50, generator(seed), mask, 0.5) for seed in (5, 5, 6)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert as_tuples(first) == as_tuples(again)
    assert as_tuples(first) != as_tuples(other)


@pytest.mark.parametrize("shape", [(11, 5), (5, 13)])
def test_a_patch_larger_than_the_image_is_refused(shape):
    with pytest.raises(InputError, match=rf"patches: {shape[0]}x{shape[1]} pixels do not .*10x12"):
        draw_patches((10, 12), shape, 3, generator())


@pytest.mark.parametrize(("size", "value"), [((10, 12), False), ((10, 11), True), ((12, 10), True)])
def test_an_unusable_mask_is_refused(size, value):
    with pytest.raises(InputError, match="mask"):
        draw_patches((10, 12), (3, 3), 3, generator(), torch.full(size, value))


PATCHES = ((7, 6, 8), (3, 10, 5), (1, 4, 4))


def deal(sampler):
    """One epoch: for each mini-batch the tuples of its positions, shape by shape."""
    return [[as_tuples(positions) for positions in batch] for batch in sampler.epoch()]


def flatten(epoch):
    return Counter(window for batch in epoch for shape in batch for window in shape)


def draw_all(random):
    return Counter(
        window
        for count, height, width in PATCHES
        for window in as_tuples(draw_patches((20, 30), (height, width), count, random))
    )


@pytest.mark.parametrize("redraw", [True, False])
@pytest.mark.parametrize("minibatches", [1, 2, 3, 7, 9])
def test_every_drawn_patch_is_dealt_once_an_epoch(minibatches, redraw):
    sampler = PatchSampler((20, 30), PATCHES, minibatches, generator(4), redraw)
    epochs = [deal(sampler) for _ in range(3)]
    random = generator(4)
    expected = [draw_all(random) for _ in range(3)]
    if not redraw:
        expected = expected[:1] * 3
        assert epochs[0] == epochs[1] == epochs[2]
    assert [flatten(epoch) for epoch in epochs] == expected
    assert expected[0].total() == sum(count for count, _, _ in PATCHES)
    for epoch in epochs:
        assert len(epoch) == minibatches
        assert all(shape for batch in epoch for shape in batch)  # no empty batch of any shape
        for _, height, width in PATCHES:
            sizes = [
                sum(window[:2] == (height, width) for shape in batch for window in shape)
                for batch in epoch
            ]
            assert max(sizes) - min(sizes) <= 1


def test_redrawn_epochs_differ():
    sampler = PatchSampler((20, 30), PATCHES, 2, generator(), redraw=True)
    assert flatten(deal(sampler)) != flatten(deal(sampler))


def test_the_sampler_hands_the_mask_on():
    mask = torch.zeros(20, 30, dtype=torch.bool)
    mask[11, 17] = True
    sampler = PatchSampler((20, 30), [(20, 5, 5)], 4, generator(), mask=mask, foreground=1.0)
    dealt = flatten(deal(sampler))
    assert {window[2:4] for window in dealt} == {(9, 15)}


def test_patches_shrink_to_the_image_with_a_warning():
    with pytest.warns(SmallImageWarning, match="64x40 pixels are reduced to 24x30, .* has 24x30"):
        sampler = PatchSampler((24, 30), [(3, 64, 40)], 1, generator())
    ((positions,),) = sampler.epoch()
    assert cut_patches(torch.zeros(1, 24, 30), positions).shape == (3, 1, 24, 30)
    with pytest.warns(SmallImageWarning, match="8x40 pixels are reduced to 8x30"):
        PatchSampler((24, 30), [(3, 8, 40)], 1, generator())


def test_patches_that_fit_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler = PatchSampler((24, 30), [(2, 24, 30), (1, 24, 2)], 1, generator())
    assert [(w.height, w.width) for w in next(sampler.epoch())] == [(24, 30), (24, 2)]
