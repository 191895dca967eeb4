import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression

from sp_graph_seg.prototypes.textures import _OFFSETS, _products, find_texture


def fibres(seed, spread, size):
    field = gaussian_filter(np.random.default_rng(seed).normal(size=size), spread)
    return field / field.std()


def side_by_side(*spreads, size=(140, 180), noise=0.3):
    """Textures of equal mean and spread from left to right, and which is where."""
    truth = np.broadcast_to(np.arange(size[1]) * len(spreads) // size[1], size)
    image = np.choose(truth, [fibres(seed, each, size) for seed, each in enumerate(spreads)])
    image = image + noise * np.random.default_rng(9).normal(size=size)
    return (0.5 + 0.1 * image).astype(np.float32), truth


def told_apart(features, truth):
    """The share of pixels that a plane in the space of features puts on the right side."""
    points = features.reshape(len(features), -1).T
    return LogisticRegression().fit(points, truth.ravel()).score(points, truth.ravel())


@pytest.mark.parametrize(
    "spreads",
    [((1, 6), (6, 1)), ((1, 1), (2.5, 2.5)), ((0.7, 0.7), (1, 5))],
    ids=["directions", "fine and coarse", "grains and fibres"],
)
def test_two_textures_have_one_slow_direction(spreads):
    image, truth = side_by_side(*spreads)
    texture, slowness = find_texture([image], [None])
    assert len(texture) == 1
    assert slowness[0] > 2 * slowness[1]
    assert told_apart(texture.project(image), truth) > 0.85


def test_three_textures_have_two_slow_directions():
    image, truth = side_by_side((1, 6), (6, 1), (2, 2), size=(160, 270))
    texture, _ = find_texture([image], [None])
    assert len(texture) == 2
    assert told_apart(texture.project(image), truth) > 0.85
    assert len(texture.first(1)) == 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spread", [0, 2])
def test_noise_has_no_texture(seed, spread):
    noise = fibres(seed, spread, (120, 130)).astype(np.float32)
    texture, slowness = find_texture([noise], [None])
    assert len(texture) == 0
    assert slowness[0] < 2.5


def test_turned_images_have_the_same_textures():
    image, _ = side_by_side((1, 6), (6, 1))
    texture, slowness = find_texture([image], [None])
    turned, same = find_texture([np.ascontiguousarray(image.T)], [None])
    own, theirs = texture.project(image)[0], turned.project(image.T)[0].T
    assert abs(np.corrcoef(own.ravel(), theirs.ravel())[0, 1]) > 0.98
    assert same[0] == pytest.approx(slowness[0], rel=0.3)  # other halves


def test_neither_brightness_nor_contrast_matters():
    image, _ = side_by_side((1, 6), (6, 1))
    texture, slowness = find_texture([image], [None])
    other, same = find_texture([3 * image - 7], [None])
    np.testing.assert_allclose(same, slowness, rtol=1e-3)
    one, two = texture.project(image), other.project(3 * image - 7)
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) > 0.9999


def test_clear_textures_are_scaled_up():
    """Averaged over 4 pixels, projections of noisy textures vary by 1, those of clear ones more."""

    def deviation(noise):
        image, _ = side_by_side((1, 6), (6, 1), noise=noise)
        projected = find_texture([image], [None])[0].project(image)
        assert abs(projected.mean()) < 0.1 * projected.std()
        return gaussian_filter(projected[0], 12**0.5).std()

    assert deviation(1.4) == pytest.approx(1, abs=0.15)
    assert 1.3 < deviation(0.1) < 4.4


def test_a_projection_is_made_of_products_of_pairs():
    image, _ = side_by_side((1, 6), (6, 1))
    texture, _ = find_texture([image], [None])
    rest = image - gaussian_filter(image, 16)
    root = np.sign(rest) * np.sqrt(np.abs(rest) / image.std())
    first = gaussian_filter(root**2, 2)  # the product of offset (0, 0)
    only = type(texture)(texture.deviation, np.eye(len(texture.weights))[:, :1], np.zeros(1))
    np.testing.assert_allclose(only.project(image)[0], first, atol=1e-4)


def test_pixels_outside_count_nowhere():
    image, _ = side_by_side((1, 6), (6, 1), size=(150, 190))
    inside = np.hypot(*np.mgrid[-75:75, -95:95]) < 74
    other = np.where(inside, image, np.float32(7))
    one, slowness = find_texture([image], [inside])
    two, same = find_texture([other], [inside])
    np.testing.assert_allclose(same, slowness, rtol=1e-4)
    first, second = one.project(image, inside), two.project(other, inside)
    np.testing.assert_allclose(first, second, atol=1e-3)
    assert (first[:, ~inside] == 0).all()


def test_tiny_and_constant_images_have_no_texture():
    for image in (np.zeros((5, 7), np.float32), np.full((60, 60), 3, np.float32)):
        assert len(find_texture([image], [None])[0]) == 0
    image = np.random.default_rng(0).normal(size=(50, 50)).astype(np.float32)
    assert len(find_texture([image], [np.zeros((50, 50), bool)])[0]) == 0


def test_textures_in_layers_are_found():
    """Layers of 25 rows, as of yarns: each band holds one texture only."""
    size = (150, 150)
    along, across = fibres(1, (1, 6), size), fibres(2, (6, 1), size)
    layers = np.broadcast_to(np.arange(150)[:, None] // 25 % 2 == 0, size)
    texture, _ = find_texture([np.where(layers, along, across).astype(np.float32)], [None])
    assert len(texture) == 1


def test_products_by_a_loop():
    """Where a pixel of a pair is outside, the product is that of the nearest pair inside."""
    values = np.random.default_rng(0).normal(size=(9, 11)).astype(np.float32)
    assert len({tuple(offset) for offset in _OFFSETS}) == 27
    for (down, right), product in zip(_OFFSETS, _products(values), strict=True):
        before, after = -(abs(right) // 2), abs(right) - abs(right) // 2
        for row, column in np.ndindex(values.shape):
            top = min(max(row - down // 2, 0), 8 - down)
            left = min(max(column + before, 0), 11 - 1 - after + before)
            start, end = (left, left + abs(right)) if right >= 0 else (left + abs(right), left)
            expected = values[top, start] * values[top + down, end]
            assert product[row, column] == pytest.approx(expected)
