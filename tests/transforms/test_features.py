import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.feature import hessian_matrix, hessian_matrix_eigvals

from sp_graph_seg.transforms import add_hessian_features

SCALES = (1.0, 2.5)


@pytest.fixture
def image():
    return torch.from_numpy(np.random.default_rng(0).random((2, 40, 56), np.float32))


def test_the_image_comes_first_then_each_scale(image):
    features = add_hessian_features(image, SCALES)
    assert features.shape == (2 * (1 + 3 * 2), 40, 56)
    assert features.dtype == torch.float32
    assert torch.equal(features[:2], image)
    torch.testing.assert_close(features[8:], add_hessian_features(image, SCALES[1:])[2:])
    assert torch.equal(add_hessian_features(image, ()), image)


@pytest.mark.parametrize("scale", [0.7, 1.0, 2.5])
def test_values_are_smoothed_as_scipy_does(image, scale):
    smoothed = add_hessian_features(image, [scale])[2:4].numpy()
    expected = [gaussian_filter(channel, scale, mode="nearest") for channel in image.numpy()]
    np.testing.assert_allclose(smoothed, expected, atol=2e-4)  # SciPy's kernel is a bit shorter


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_eigenvalues_are_those_of_skimage(image, scale):
    features = add_hessian_features(image, [scale]).double().numpy()
    for channel in range(2):
        elements = hessian_matrix(
            image[channel].double().numpy(),
            scale,
            mode="nearest",
            order="rc",
            use_gaussian_derivatives=False,
        )
        larger, smaller = hessian_matrix_eigvals(elements)
        inner = np.s_[2:-2, 2:-2]
        for found, expected in (
            (features[4 + channel], larger),
            (features[6 + channel], smaller),
        ):
            expected = (1 + scale**2 * expected) / 2
            assert np.ptp(expected[inner]) > 0.05
            np.testing.assert_allclose(found[inner], expected[inner], atol=5e-4)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_constant_image_is_flat(value):
    features = add_hessian_features(torch.full((1, 9, 12), value), SCALES)
    torch.testing.assert_close(features[[0, 1, 4]], torch.full((3, 9, 12), value))
    torch.testing.assert_close(features[[2, 3, 5, 6]], torch.full((4, 9, 12), 0.5))


def test_a_bright_ridge_is_one_and_a_ramp_is_none():
    rows = torch.arange(41.0)
    ridge = torch.exp(-((rows - 20) ** 2) / 8)[:, None].expand(41, 50)[None]
    _, _, larger, smaller = add_hessian_features(ridge, [2.0])[:, 20, 25]
    assert larger == pytest.approx(0.5, abs=1e-5)
    # Variances add up: 4 + 4. The height falls to sqrt(4 / 8). Differences span two pixels.
    bend = 0.5**0.5 * (np.exp(-4 / 16) - 1) / 2
    assert smaller == pytest.approx((1 + 4 * bend) / 2, abs=1e-3)
    ramp = (rows / 41)[:, None].expand(41, 50)[None]
    inside = add_hessian_features(ramp, [2.0])[2:, 12:-12]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.5))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_and_mirroring_the_image_does_so_to_the_features(image, turns):
    for change in (lambda t: t.rot90(turns, (1, 2)), lambda t: t.flip(turns % 2 + 1)):
        torch.testing.assert_close(
            add_hessian_features(change(image), SCALES),
            change(add_hessian_features(image, SCALES)),
        )


@pytest.mark.parametrize("size", [(2, 2), (2, 30), (5, 3)])
def test_kernels_may_be_wider_than_the_image(size):
    noise = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    features = add_hessian_features(noise, (0.3, 20.0))
    assert features.shape == (21, *size)
    assert features.isfinite().all()
    assert 0 <= features.min() <= features.max() <= 1
    smoothed = features[12:15]
    expected = [gaussian_filter(c, 20.0, mode="nearest") for c in noise.double().numpy()]
    np.testing.assert_allclose(smoothed, expected, atol=5e-4)
