import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sp_graph_seg.prototypes.slow import mean_direction, project, slow_directions


def channels(count=5, slow=3, seed=0):
    """White noise, and one channel that changes once in the middle."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1, (count, 96, 100)).astype(np.float32)
    z[slow, :, 50:] += 1.0
    return z


def likeness(one, other):
    return abs(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_the_slow_channel_is_found_among_noise():
    z = channels()
    directions, slowness = slow_directions(z)
    first = np.abs(directions[:, 0]) / np.linalg.norm(directions[:, 0])
    assert first[3] > 0.97
    assert (np.diff(slowness) <= 0).all()
    assert slowness[0] > 3 * slowness[1]
    np.testing.assert_allclose(slowness[1:], 1, atol=0.15)
    side = np.broadcast_to(np.arange(100) >= 50, (96, 100))
    assert likeness(project(z, directions[:, :1])[0], side) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_invertible_maps_of_the_features_change_nothing(seed):
    z = channels()
    matrix = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0] + 0.3 * np.eye(5)
    mapped = np.tensordot(matrix, z, axes=1).astype(np.float32)
    (directions, slowness), (theirs, same) = slow_directions(z), slow_directions(mapped)
    np.testing.assert_allclose(same, slowness, rtol=0.02)
    one, other = project(z, directions[:, :1])[0], project(mapped, theirs[:, :1])[0]
    assert likeness(one, other) > 0.999


def test_the_directions_solve_the_eigenproblem():
    z = channels()
    directions, slowness = slow_directions(z)
    smooth = np.stack([gaussian_filter(channel, 2.0) for channel in z]).astype(np.float64)
    for direction, value in zip(directions.T, slowness, strict=True):
        along = np.tensordot(direction, smooth, axes=1)
        right, down = along[:, 10:] - along[:, :-10], along[10:] - along[:-10]
        difference = np.mean(np.append(right.ravel(), down.ravel()) ** 2) / 2
        assert along.var() / difference == pytest.approx(value, rel=0.01)


def test_constant_channels_harm_nothing():
    z = np.concatenate([channels(), np.full((2, 96, 100), 7, np.float32)])
    directions, slowness = slow_directions(z)
    assert np.isfinite(directions).all()
    assert slowness[0] == pytest.approx(slow_directions(channels())[1][0], rel=0.02)


def test_a_projection_is_that_of_smoothed_features():
    z = channels(count=3, slow=0)
    directions = np.random.default_rng(0).normal(size=(3, 2))
    smooth = np.stack([gaussian_filter(channel, 2.0) for channel in z])
    expected = [sum(directions[f, q] * smooth[f] for f in range(3)) for q in range(2)]
    np.testing.assert_allclose(project(z, directions), expected, atol=1e-5)


def test_the_mean_direction_projects_to_the_mean_of_the_networks():
    parts = [channels(seed=seed) for seed in range(3)]
    parts[1] = -parts[1]
    mean = project(np.concatenate(parts), mean_direction(parts))[0]
    alone = [project(part, slow_directions(part)[0][:, :1])[0] for part in parts]
    alone = [
        one / one.std() * np.sign(np.corrcoef(one.ravel(), alone[0].ravel())[0, 1]) for one in alone
    ]
    likeness_to_mean = likeness(mean, np.mean(alone, axis=0))
    assert likeness_to_mean > 0.9999
    side = np.broadcast_to(np.arange(100) >= 50, (96, 100))
    assert likeness(mean, side) > max(likeness(one, side) for one in alone)
