import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from sp_graph_seg.prototypes.measure import (
    choose_smoothing,
    keep_structure,
    noise_statistics,
    total_variation,
)


def disc(height=48, width=60, noise=0.1, seed=0):
    y, x = np.mgrid[:height, :width]
    image = np.where(np.hypot(y - height / 2, x - width / 2) < height / 3, 0.8, 0.2)
    return (image + np.random.default_rng(seed).normal(0, noise, image.shape)).astype(np.float32)


def rof(u, f, weight):
    """What total variation minimises, with one-sided differences."""
    rows, columns = np.zeros_like(u), np.zeros_like(u)
    rows[:-1], columns[:, :-1] = np.diff(u, axis=0), np.diff(u, axis=1)
    return ((u - f) ** 2).sum() / 2 + weight * np.hypot(rows, columns).sum()


@pytest.mark.parametrize("weight", [0.02, 0.1, 0.5])
def test_total_variation_is_that_of_scikit_image(weight):
    from skimage.restoration import denoise_tv_chambolle

    image = disc().astype(np.float64)
    theirs = denoise_tv_chambolle(image, weight, eps=1e-12, max_num_iter=4000)
    ours = total_variation(torch.from_numpy(image), weight, iterations=1500).numpy()
    np.testing.assert_allclose(ours, theirs, atol=0.005)
    best = rof(theirs, image, weight)
    quick = total_variation(torch.from_numpy(image), weight).numpy()
    assert rof(quick, image, weight) < best + 0.02 * (rof(image, image, weight) - best)


def test_no_weight_changes_nothing():
    image = torch.from_numpy(disc())
    assert torch.equal(total_variation(image, 0.0), image)


def test_total_variation_keeps_constants_means_and_its_argument():
    constant = torch.full((2, 20, 30), 0.25)
    torch.testing.assert_close(total_variation(constant, 0.3), constant)
    image = torch.from_numpy(disc())
    before = image.clone()
    smooth = total_variation(image, 0.2)
    assert torch.equal(image, before)
    assert float(smooth.mean()) == pytest.approx(float(image.mean()), abs=1e-4)


def test_every_channel_is_smoothed_by_itself():
    images = torch.from_numpy(np.stack([disc(seed=0), disc(seed=1), 5 * disc(seed=2)]))
    each = torch.stack([total_variation(image, 0.1) for image in images])
    torch.testing.assert_close(total_variation(images, 0.1), each)


def test_total_variation_takes_noise_and_leaves_the_edge():
    clean = disc(noise=0)
    smooth = total_variation(torch.from_numpy(disc()), 0.15).numpy()
    assert np.abs(smooth - clean).mean() < np.abs(disc() - clean).mean() / 4
    assert ((smooth > 0.5) == (clean > 0.5)).mean() > 0.99


def grains(noise, seed=0, size=5.0):
    """Grains of 0.3 and 0.7 under smoothed noise, and which are bright."""
    rng = np.random.default_rng(seed)
    bright = gaussian_filter(rng.normal(size=(160, 150)), size) > 0
    smooth = gaussian_filter(rng.normal(size=bright.shape), 1)
    image = np.where(bright, 0.7, 0.3) + noise * smooth / smooth.std()
    return image.astype(np.float32)[None], bright


def wrong(image, bright, weight):
    """Share of the pixels on the wrong side of the threshold after smoothing."""
    smooth = total_variation(torch.from_numpy(image), weight).numpy()[0]
    return ((smooth > 0.5) != bright).mean()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_strong_noise_is_smoothed_more(seed):
    image, bright = grains(0.15, seed)
    chosen = choose_smoothing([image], [None], 0.06)
    assert chosen > 0.06
    assert wrong(image, bright, chosen) < 0.8 * wrong(image, bright, 0.06)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_grains_of_a_few_pixels_are_smoothed_less(seed):
    image, bright = grains(0.06, seed, size=1.5)
    chosen = choose_smoothing([image], [None], 0.15)
    assert chosen < 0.08
    assert wrong(image, bright, chosen) < 0.8 * wrong(image, bright, 0.15)


def test_clear_modes_and_one_mode_keep_their_smoothing():
    image, _ = grains(0.02)
    assert choose_smoothing([image], [None], 0.06) == 0.06
    alone = image * 0 + np.random.default_rng(0).normal(0.5, 0.1, image.shape).astype(np.float32)
    assert choose_smoothing([alone], [None], 0.06) == 0.06


def cracked(noise, seed):
    """A dark crack three pixels wide under smoothed noise, and where it lies."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:160, :150]
    dark = np.abs(rows - 0.3 * columns - 60) < 1.6
    smooth = gaussian_filter(rng.normal(size=dark.shape), 0.9)
    image = np.where(dark, 0.3, 0.7) + noise * smooth / smooth.std()
    return image.astype(np.float32)[None], dark


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_noise_that_hides_a_thin_crack_is_smoothed_most(seed):
    image, dark = cracked(0.13, seed)
    chosen = choose_smoothing([image], [None], 0.06)
    assert chosen >= 2 * 0.06
    weak, strong = (
        roc_auc_score(dark.ravel(), -total_variation(torch.from_numpy(image), w).numpy().ravel())
        for w in (0.06, chosen)
    )
    assert 1 - strong < 0.7 * (1 - weak)
    assert choose_smoothing([np.where(dark, np.float32(0.7), image)], [~dark], 0.06) == 0.06


def test_a_crack_that_is_seen_is_not_smoothed_more():
    image, _ = cracked(0.03, 0)
    assert choose_smoothing([image], [None], 0.06) <= 0.06


def test_smoothing_is_chosen_by_data_in_the_middle(monkeypatch):
    from sp_graph_seg.prototypes import measure

    image, _ = grains(0.15)
    everywhere = choose_smoothing([image], [None], 0.06)
    wide = np.full((1, 200, 400), 0.5, np.float32)
    wide[:, 20:180, 130:280] = image
    inside = np.zeros(wide.shape[1:], bool)
    inside[20:180, 130:280] = True
    assert choose_smoothing([wide], [inside], 0.06) == everywhere
    monkeypatch.setattr(measure, "_TRIED", 8)
    assert choose_smoothing([wide], [~inside], 0.06) == 0.06  # no data there


@pytest.mark.parametrize("size", [0.02, 0.1])
def test_white_noise_is_white_and_of_its_size(size):
    noise = np.random.default_rng(0).normal(0.5, size, (200, 220)).astype(np.float32)
    whiteness, deviation = noise_statistics(noise)
    assert whiteness == pytest.approx(1, abs=0.1)
    assert deviation == pytest.approx(size, rel=0.1)


def test_smoothing_makes_noise_less_white_step_by_step():
    noise = np.random.default_rng(0).normal(0, 1, (200, 220))
    smoothed = [gaussian_filter(noise, sigma) for sigma in (0, 0.5, 0.8, 1.5)]
    values = [(0.5 + 0.1 * part / part.std()).astype(np.float32) for part in smoothed]
    whiteness = [noise_statistics(value)[0] for value in values]
    assert whiteness == sorted(whiteness, reverse=True)
    assert whiteness[0] > 0.9
    assert whiteness[-1] < 0.2


def test_noise_is_measured_in_the_brighter_half():
    """Air without noise does not count."""
    image = np.full((160, 200), 0.1, np.float32)
    image[:, 90:] = 0.7 + np.random.default_rng(0).normal(0, 0.05, (160, 110))
    whiteness, deviation = noise_statistics(image)
    assert deviation == pytest.approx(0.05, rel=0.15)
    assert whiteness > 0.85


@pytest.mark.parametrize("shape", [(5, 7), (40, 50)])
def test_an_image_without_noise_has_none(shape):
    whiteness, deviation = noise_statistics(np.full(shape, 0.3, np.float32))
    assert deviation < 1e-3
    assert np.isfinite(whiteness)


def test_a_thin_line_that_was_blurred_comes_back():
    rng = np.random.default_rng(0)
    clean = np.full((80, 90), 0.6, np.float32)
    clean[40] = 0.1
    image = clean + rng.normal(0, 0.03, clean.shape).astype(np.float32)
    blurred = gaussian_filter(image, 4)
    kept = keep_structure(image[None], blurred[None])[0]
    far = np.abs(np.arange(80) - 40) > 12
    assert np.abs(kept[40] - clean[40]).mean() < 0.25 * np.abs(blurred[40] - clean[40]).mean()
    assert kept[far].std() < 0.5 * image[far].std()


def test_a_residual_of_noise_alone_is_mostly_left_out():
    rng = np.random.default_rng(0)
    clean = np.full((1, 80, 90), 0.6, np.float32)
    image = clean + rng.normal(0, 0.03, clean.shape).astype(np.float32)
    kept = keep_structure(image, clean)
    assert np.abs(kept - clean).mean() < 0.25 * np.abs(image - clean).mean()
    np.testing.assert_array_equal(keep_structure(clean, clean), clean)
