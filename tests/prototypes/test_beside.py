import numpy as np
import pytest

from sp_graph_seg.prototypes.beside import agreement, average_beside, smallest_gap


def noise(seed, size=(2, 24, 30)):
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


def test_slices_agree_with_themselves_and_not_across_an_edge():
    one = 0.01 * noise(0)
    np.testing.assert_array_equal(agreement(one, one, 1.0), 1)
    other = one.copy()
    other[:, :, 15:] += 1.0  # as far apart as two prototypes
    shared = agreement(one, other, 1.0)
    assert shared[:, :9].min() > 0.99
    assert shared[:, 20:].max() < 1e-6


def test_noise_of_single_pixels_is_no_disagreement():
    one, other = 0.2 * noise(0, (1, 60, 60)), 0.2 * noise(1, (1, 60, 60))
    assert np.median(agreement(one, other, 1.0)) > 0.8
    assert np.median(np.exp(-((one - other) ** 2) / 0.2**2)) < 0.6


def test_agreement_is_mutual_and_knows_no_units():
    one, other = noise(0), noise(1)
    shared = agreement(one, other, 2.0)
    np.testing.assert_array_equal(shared, agreement(other, one, 2.0))
    np.testing.assert_allclose(shared, agreement(8 * one, 8 * other, 16.0), rtol=1e-5)


def test_the_average_is_that_of_a_loop():
    own, features, shares = noise(0), [noise(1), noise(2)], [noise(3)[0] ** 2, noise(4)[0] ** 2]
    found = average_beside(own, zip(shares, features, strict=True))
    for row, column in ((0, 0), (5, 7), (23, 29)):
        weights = np.array([1.0, *(share[row, column] for share in shares)])
        values = np.stack([part[:, row, column] for part in (own, *features)])
        np.testing.assert_allclose(
            found[:, row, column], np.average(values, axis=0, weights=weights), rtol=1e-5
        )
    np.testing.assert_array_equal(average_beside(own, []), own)


def test_the_smallest_gap_is_that_of_all_pairs():
    centers = noise(0, (5, 3))
    pairs = [(i, j) for i in range(5) for j in range(i)]
    expected = min(np.linalg.norm(centers[i] - centers[j]) for i, j in pairs)
    assert smallest_gap(centers) == pytest.approx(expected)
    assert smallest_gap(centers[:1]) == 0
