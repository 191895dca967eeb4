import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sp_graph_seg.prototypes.correction import Correction, fit_correction

SIZE = (120, 140)


def phases(seed=0, noise=0.02):
    """Blobs of two phases, 0.3 and 0.6, with noise."""
    rng = np.random.default_rng(seed)
    blobs = gaussian_filter(rng.normal(size=SIZE), 4) > 0
    clean = np.where(blobs, 0.6, 0.3)
    return clean.astype(np.float32), rng.normal(0, noise, SIZE).astype(np.float32)


def cupping(gain):
    """1 + the polynomial, pixel by pixel."""
    result = np.ones(SIZE)
    for row in range(SIZE[0]):
        y = 2 * row / (SIZE[0] - 1) - 1
        for column in range(SIZE[1]):
            x = 2 * column / (SIZE[1] - 1) - 1
            terms = (x, y, x * x - 1 / 3, y * y - 1 / 3, x * y)
            result[row, column] += sum(g * term for g, term in zip(gain, terms, strict=True))
    return result.astype(np.float32)


def rings(seed=1, strength=0.06):
    """Added round the middle: here and there another value, about three pixels wide."""
    rng = np.random.default_rng(seed)
    profile = 2 * gaussian_filter(rng.normal(0, strength, 120) * (rng.random(120) < 0.4), 1.2)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    radius = np.hypot(y - (SIZE[0] - 1) / 2, x - (SIZE[1] - 1) / 2)
    return np.interp(radius, np.arange(120), profile).astype(np.float32)


def otsu_error(image, clean):
    """Share of the pixels that one threshold gets wrong, the best that there is."""
    thresholds = np.linspace(image.min(), image.max(), 200)
    return min(((image > t) != (clean > 0.45)).mean() for t in thresholds)


def test_a_gain_is_recovered():
    gain = np.array([0.1, -0.05, 0.5, 0.5, 0.05])
    clean, noise = phases()
    shaded = clean * cupping(gain) + noise
    fitted = fit_correction(shaded, None)
    assert fitted.rings is None
    # The overall factor is free: it belongs to the prototypes as well.
    found = np.median(fitted(shaded)[clean > 0.45]) / np.median(fitted(shaded)[clean < 0.45])
    assert found == pytest.approx(2, rel=0.05)
    ratio = fitted(np.ones(SIZE, np.float32)) * cupping(gain)
    assert ratio.std() / ratio.mean() < 0.03
    assert cupping(gain).std() > 0.15
    assert otsu_error(fitted(shaded), clean) < 0.005 < 0.03 < otsu_error(shaded, clean)


@pytest.mark.parametrize("blur", [1, 2, 3])
def test_a_core_unlike_its_shell_is_no_gain(blur):
    """A round sample in air, whose two phases are mixed, one more in the middle."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[-1 : 1 : SIZE[0] * 1j, -1 : 1 : SIZE[1] * 1j]
    squares = rows**2 + columns**2
    field = gaussian_filter(rng.normal(size=SIZE), 3)
    core = field / field.std() + (blur + 1) * (0.35 - squares) > 0
    sample = np.where(squares < 0.8, np.where(core, 0.9, 0.6), 0.05)
    image = gaussian_filter(sample, blur) + rng.normal(0, 0.02, SIZE)
    assert fit_correction(image.astype(np.float32), None).gain is None


def test_an_image_of_one_value_has_no_gain():
    assert fit_correction(np.full(SIZE, 0.5, np.float32), None).gain is None


def test_rings_are_recovered():
    clean, noise = phases()
    ringed = clean + noise + rings()
    fitted = fit_correction(ringed, None)
    assert fitted.rings is not None
    rest = fitted(ringed) - clean - noise
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    far = np.hypot(y - (SIZE[0] - 1) / 2, x - (SIZE[1] - 1) / 2) > 10
    assert rest[far].std() < 0.45 * rings()[far].std()


def test_rings_round_another_place_are_no_rings():
    clean, noise = phases()
    moved = clean + noise + np.roll(rings(), (25, -30), (0, 1))
    assert fit_correction(moved, None).rings is None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.08])
def test_an_even_image_is_left_alone(seed, noise):
    clean, added = phases(seed, noise)
    image = clean + added
    fitted = fit_correction(image, None)
    assert (fitted.gain, fitted.rings) == (None, None)
    np.testing.assert_array_equal(fitted(image), image)


def test_what_is_no_data_has_no_say():
    gain = np.array([0.0, 0.0, 0.4, 0.4, 0.0])
    clean, noise = phases()
    shaded = clean * cupping(gain) + noise
    inside = np.ones(SIZE, bool)
    inside[:30] = inside[:, 100:] = False
    other = np.where(inside, shaded, 0.9).astype(np.float32)
    filled = np.where(inside, shaded, shaded[inside].mean()).astype(np.float32)
    for image in (other, filled):
        fitted = fit_correction(image, inside)
        assert fitted.gain is not None
        # The polynomial is known inside only.
        ratio = (fitted(np.ones(SIZE, np.float32)) * cupping(gain))[inside]
        assert ratio.std() / ratio.mean() < 0.05


@pytest.mark.parametrize("corner", [(0, 0), (13, 40), (40, 60)])
def test_a_window_finds_its_place_by_its_rings(corner):
    clean, noise = phases()
    fitted = fit_correction(clean + noise + rings(), None)
    other, noise = phases(5)  # another slice with the same rings
    rows, columns = (slice(c, c + 80) for c in corner)
    whole = other + noise + rings()
    assert fitted.place(whole[rows, columns]) == corner
    np.testing.assert_array_equal(fitted(whole[rows, columns]), fitted(whole)[rows, columns])
    plain = (other + noise)[rows, columns]
    assert fitted.place(plain) is None
    assert fitted(plain) is plain


def test_slices_of_another_size_stay_as_they_are():
    fitted = Correction(np.array([0.3, 0, 0, 0, 0]), np.ones(50), (20, 30))
    image = np.random.default_rng(0).random((21, 30), np.float32)
    assert fitted(image) is image
    assert fitted(image[:20]).dtype == np.float32


def test_a_correction_undoes_gain_and_rings():
    """With the formula of the class, by hand: (x - rings) / gain."""
    profile = np.random.default_rng(0).normal(0, 0.1, 100)
    gain = np.array([0.2, 0.1, 0.2, -0.1, 0.05])
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    radius = np.hypot(y - (SIZE[0] - 1) / 2, x - (SIZE[1] - 1) / 2)
    added = np.interp(radius, np.arange(100), profile)
    clean, _ = phases()
    result = Correction(gain, profile, SIZE)((clean * cupping(gain) + added).astype(np.float32))
    np.testing.assert_allclose(result, clean, atol=1e-4)


def test_a_disc_in_the_middle_is_no_ring():
    y, x = np.mgrid[:96, :112]
    disc = np.hypot(y - 47.5, x - 55.5) < 32
    noise = np.random.default_rng(0).normal(0, 0.05, disc.shape)
    image = (0.2 + 0.5 * disc + noise).astype(np.float32)
    assert fit_correction(image, None).rings is None


def sample_in_air(reach=0.42, corner=0.0, cup=0.0):
    """Blobs in a round sample with air of 0.1 around it, whose corners are brighter."""
    rng = np.random.default_rng(0)
    blobs = gaussian_filter(rng.normal(size=(240, 250)), 4) > 0
    clean = np.where(blobs, 0.6, 0.3)
    y, x = np.mgrid[:240, :250]
    radius = np.hypot(y - 119.5, x - 124.5)
    inside, corners = radius < reach * 240, radius > 120
    shading = 1 - cup * (1 - (radius / (reach * 240)) ** 2)
    image = np.where(inside, clean * shading, 0.1 + corner * corners)
    return (image + rng.normal(0, 0.02, image.shape)).astype(np.float32), clean, inside, corners


def test_corners_beyond_the_circle_get_the_value_of_air():
    image, clean, _, corners = sample_in_air(corner=0.15)
    fitted = fit_correction(image, None)
    assert fitted.gain is None
    assert fitted.rings is None
    assert fitted.air == pytest.approx(0.1, abs=0.01)
    assert (fitted(image)[corners] == np.float32(fitted.air)).all()
    np.testing.assert_array_equal(fitted(image)[~corners], image[~corners])
    assert abs(image[corners].mean() - clean.min()) < 0.1  # without it, they look like a phase


def test_corners_darker_than_air_stay():
    image, *_ = sample_in_air(corner=-0.1)
    assert fit_correction(image, None).air is None


@pytest.mark.parametrize("reach", [0.5, 0.6])
def test_corners_stay_where_there_is_no_air_beside_them(reach):
    image, *_ = sample_in_air(reach)
    assert fit_correction(image, None).air is None


def test_a_mask_says_what_is_air():
    image, _, inside, _ = sample_in_air(corner=0.15)
    assert fit_correction(image, inside).air is None


def test_a_gain_of_the_sample_is_recovered_beside_air():
    image, clean, inside, _ = sample_in_air(cup=0.5)
    even = fit_correction(image, None)(image)[inside]
    assert otsu_error(even, clean[inside]) < 0.01
    assert otsu_error(image[inside], clean[inside]) > 0.03
