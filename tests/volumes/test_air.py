"""The air around a sample: a disc with pores, in all kinds of noise, and slices without air."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter

from sp_graph_seg.volumes.air import Air, find_air


def make_sample(size=(400, 360), pores=0.15, seed=0):
    """A disc with pores, some open to its rim, and where it is."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    disc = np.hypot(y - size[0] / 2, x - size[1] / 2) < 0.42 * min(size)
    field = gaussian_filter(rng.normal(size=size), 3)
    return disc & (field > np.quantile(field, pores)), disc


def near(mask, pixels=4):
    """Pixels close to the border of a mask."""
    return binary_dilation(mask, iterations=pixels) & binary_dilation(~mask, iterations=pixels)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(("air", "solid"), [(0.0, 1.0), (1.0, 0.2), (-700.0, 1200.0)])
def test_a_disc_with_its_pores_is_the_sample(noise, air, solid):
    rock, disc = make_sample()
    rng = np.random.default_rng(1)
    image = air + (solid - air) * (rock + rng.normal(0, noise, rock.shape))
    image = image[None].astype(np.float32)
    found = find_air([image])
    sample = found.sample(image)
    assert found.sign == np.sign(solid - air)
    assert (sample == disc)[~near(disc, 10)].all()  # a pore at the rim is air
    assert (sample == disc).mean() > 0.98


def test_metal_in_the_sample_changes_nothing():
    rock, disc = make_sample()
    image = rock.astype(np.float32)
    image[180:210, 150:190] = 30
    assert (find_air([image[None]]).sample(image[None]) == disc).mean() > 0.98


def test_slices_without_a_sample_are_air_and_slices_full_of_it_are_not():
    rock, _ = make_sample()
    found = find_air([rock[None].astype(np.float32)])
    empty = np.random.default_rng(0).normal(0, 0.1, (1, 400, 360)).astype(np.float32)
    assert not found.sample(empty).any()
    assert found.sample(1 - empty).all()


def test_what_fills_the_slice_has_no_air_around():
    rng = np.random.default_rng(0)
    field = gaussian_filter(rng.normal(size=(256, 256)), 4)
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        phases = (field > np.quantile(field, share)).astype(np.float32)
        assert find_air([phases[None] + np.float32(0.05) * rng.normal(size=(256, 256))]) is None
    assert find_air([np.ones((1, 64, 64), np.float32)]) is None
    assert find_air([]) is None


def test_most_slices_decide():
    rock, _ = make_sample()
    with_air, without = rock[None].astype(np.float32), np.zeros((1, 400, 360), np.float32)
    assert find_air([with_air, with_air, without]) is not None
    assert find_air([with_air, without, without]) is None


def test_channels_are_averaged_and_nan_is_air():
    rock, _ = make_sample()
    image = np.stack([2.0 * rock, np.zeros(rock.shape)]).astype(np.float32)
    expected = Air(0.5, 1).sample(rock[None].astype(np.float32))
    np.testing.assert_array_equal(Air(0.5, 1).sample(image), expected)
    image[:, :40] = np.nan
    assert not Air(0.5, 1).sample(image)[:30].any()
