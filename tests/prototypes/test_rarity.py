"""How much rare grey values count, on small pictures with truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from sklearn.metrics import adjusted_mutual_info_score

from sp_graph_seg.prototypes import Prototypes, fit_prototypes
from sp_graph_seg.prototypes.prototypes import RARITY
from sp_graph_seg.prototypes.rarity import choose_rarity, parted


def part(field, *shares):
    """The quantiles of a smooth field at the given shares, from 0."""
    return np.digitize(field, np.quantile(field, np.cumsum(shares)))


def smooth(seed, sigma, size=(120, 120)):
    return gaussian_filter(np.random.default_rng(seed).normal(size=size), sigma, mode="wrap")


def pores_in_concrete(seed):
    """Two common phases that differ little, and pores of 3 %, each with a grey of its own."""
    rng = np.random.default_rng(seed)
    truth = 1 + part(smooth(seed, 4), 0.55)
    image = np.array([0.0, 0.84, 0.9])[truth]
    for depth in rng.uniform(0.2, 0.8, 100):
        row, column = rng.integers(0, 118, 2)
        image[row : row + 2, column : column + 2] -= depth
        truth[row : row + 2, column : column + 2] = 0
    image = gaussian_filter(image, 0.5) + rng.normal(0, 0.008, image.shape)
    return image.astype(np.float32), truth


def rare_grains(seed):
    """A common phase with noise, and a rare one that is much brighter."""
    truth = part(smooth(seed, 3), 0.99)
    noise = 0.08 * smooth(seed + 1, 1) / smooth(seed + 1, 1).std()
    image = gaussian_filter(np.array([0.3, 0.9])[truth], 0.5) + noise
    return image.astype(np.float32), truth


def labels_of(image, num_labels, rarity):
    points = image.reshape(-1, 1)
    return fit_prototypes(points, num_labels, rarity).nearest(points)[0].reshape(image.shape)


@pytest.mark.parametrize("seed", range(4))
def test_phases_of_similar_grey_are_found_beside_pores_of_any_grey(seed):
    image, truth = pores_in_concrete(seed)
    assert choose_rarity(image.reshape(-1, 1), 3, [image], [None]) == 0
    inside = truth > 0

    def likeness(rarity):
        labels = labels_of(image, 3, rarity)
        return adjusted_mutual_info_score(truth[inside], labels[inside])

    assert likeness(RARITY) < 0.2 < 0.7 < likeness(0.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_rare_phase_is_found_beside_noise(seed):
    image, truth = rare_grains(seed)
    assert choose_rarity(image.reshape(-1, 1), 2, [image], [None]) == RARITY
    wrong = [(labels_of(image, 2, rarity) != truth).mean() for rarity in (RARITY, 0.0)]
    assert wrong[0] < 0.02 < 0.2 < wrong[1]


def test_the_first_choice_stays_where_both_part_alike():
    image = np.tile(np.repeat([0.0, 1.0], 8), (20, 4)).astype(np.float32)
    assert choose_rarity(image.reshape(-1, 1), 2, [image], [None]) == RARITY


def test_pixels_outside_of_a_mask_count_nothing():
    image, _ = pores_in_concrete(5)
    mask = np.ones(image.shape, bool)
    mask[:, 70:] = False
    spoiled = np.where(mask, image, 1e3 * smooth(9, 1)).astype(np.float32)
    points = image[mask][:, None]
    for seen in (image, spoiled, np.where(mask, image, np.nan).astype(np.float32)):
        assert choose_rarity(points, 3, [seen], [mask]) == 0


def test_lone_pixels_leave_the_first_choice():
    image, _ = pores_in_concrete(5)
    mask = np.zeros(image.shape, bool)
    mask[::5, ::5] = True
    assert choose_rarity(image[mask][:, None], 3, [image], [mask]) == RARITY


@given(
    pairs=st.lists(st.tuples(*[st.integers(0, 20)] * 2), min_size=1, max_size=30),
    centers=st.lists(st.integers(0, 20), min_size=1, max_size=4, unique=True),
)
def test_parted_by_a_loop(pairs, centers):
    prototypes = Prototypes(
        np.array(centers, np.float32)[:, None], np.ones(len(centers), np.float32)
    )
    values = np.array(pairs, np.float32).T + np.float32(0.3)  # no value lies halfway
    usual = np.median([abs(one - other) for one, other in values.T])
    total = 0.0
    for one, other in values.T:
        labels, _ = prototypes.nearest(np.array([[one], [other]]))
        square = float(one - other) ** 2
        if labels[0] != labels[1]:
            total += square / (square + 9 * usual**2) - 0.5
    assert parted(values, prototypes) == pytest.approx(total / len(pairs), abs=1e-5)
