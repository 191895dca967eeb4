"""The intensity range: taken from the training images, or given, as that of a volume."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from sp_graph_seg import Segmenter
from sp_graph_seg.errors import InputError, IntensityRangeWarning

#: Any image of the size of the one that the model is trained on.
PIXELS = np.random.default_rng(0).random((3, 32, 48), dtype=np.float32)
#: A label map of squares, numbered with gaps.
TILES = 7 * np.arange(24).reshape(4, 6).repeat(8, axis=0).repeat(8, axis=1) + 3


@pytest.mark.parametrize(("scale", "shift"), [(4.0, -32.0), (0.25, 1.0), (1024.0, 0.0)])
def test_scale_and_shift_of_the_training_image_do_not_matter(scale, shift, config, image):
    exact = np.round(image * 256) / 256  # scaled by powers of two, no digit is lost
    scaled = np.float32(scale) * exact + np.float32(shift)
    segmenter, other = Segmenter(config).fit(exact), Segmenter(config).fit(scaled)
    low, high = segmenter.intensity_range_
    assert other.intensity_range_ == pytest.approx((scale * low + shift, scale * high + shift))
    np.testing.assert_allclose(other.history_["loss"], segmenter.history_["loss"], rtol=1e-4)
    labels = segmenter.predict(exact)
    assert (other.predict(scaled) == labels).mean() > 0.99
    assert len(np.unique(labels)) > 1


def test_prediction_uses_the_range_of_the_training_images(fitted, image):
    low, high = fitted.intensity_range_
    dark = image * np.float32(0.5)
    graph = fitted.transform(dark, superpixels=TILES)
    normal = ((dark - low) / (high - low)).clip(0, 1)
    means = np.stack([normal[:, tile == TILES].mean(1) for tile in np.unique(TILES)])
    np.testing.assert_allclose(graph.x, means, rtol=1e-4, atol=1e-5)
    assert graph.x.max() < 0.5
    with pytest.warns(IntensityRangeWarning, match="in the units of the training"):
        beyond = fitted.transform(image + 1, superpixels=TILES)
    assert (beyond.x == 1).all()


@pytest.mark.parametrize(("share", "is_told"), [(0.4, False), (0.5, False), (0.6, True)])
def test_more_than_half_of_the_values_in_other_units(fitted, image, share, is_told):
    low, high = fitted.intensity_range_
    values = np.full_like(image, (low + high) / 2).reshape(-1)
    values[: round(share * values.size)] = high + 1
    told = pytest.warns(IntensityRangeWarning, match="most values") if is_told else nullcontext()
    with told:
        fitted.transform(values.reshape(image.shape), superpixels=TILES)


def test_the_range_is_taken_over_all_training_images(config, image):
    dark, bright = 0.25 * image, 100 * image
    low, high = Segmenter(config).fit([dark, bright]).intensity_range_
    assert 0 <= low < 0.25 * image.max()
    assert 90 * image.max() < high <= 100 * image.max()


def test_hot_pixels_do_not_crush_the_range(fitted, config, image):
    hot = image.copy()
    hot[:, 3, 4] = 1e5
    hot[0, 20, 30] = -1e5
    segmenter = Segmenter(config).fit(hot)
    assert segmenter.intensity_range_ == pytest.approx(fitted.intensity_range_, abs=0.02)
    contrast, expected = (
        model.transform(image, superpixels=TILES).x.std(dim=0) for model in (segmenter, fitted)
    )
    torch.testing.assert_close(contrast, expected, rtol=0.05, atol=0)
    assert (expected > 0.1).all()


@pytest.mark.parametrize("value", [0.0, 7.0, -1e20])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_constant_image_trains_and_predicts(value, channels, config, blocks):
    image = np.full((channels, 32, 48), value)
    segmenter = Segmenter(config).fit(image)
    assert np.isfinite(segmenter.history_["loss"]).all()
    assert segmenter.transform(image).z.isfinite().all()
    assert segmenter.predict(image).shape == (32, 48)
    with pytest.warns(IntensityRangeWarning) if value else nullcontext():
        assert segmenter.predict(blocks(channels=channels)).shape == (32, 48)


def test_a_given_range_is_used_and_saved(tmp_path, seen, config, image):
    bright = image * 1000
    segmenter = Segmenter(config).fit(bright, intensity_range=(-500, 1500.0))
    assert segmenter.intensity_range_ == (-500, 1500.0)
    torch.testing.assert_close(
        seen[0].image, torch.from_numpy((bright + 500) / 2000), rtol=1e-5, atol=1e-6
    )
    segmenter.save(tmp_path / "m.safetensors")
    loaded = Segmenter.load(tmp_path / "m.safetensors")
    assert loaded.intensity_range_ == (-500.0, 1500.0)
    np.testing.assert_array_equal(loaded.predict(bright), segmenter.predict(bright))
    assert not np.array_equal(
        segmenter.net_.encode(torch.from_numpy(segmenter.normalize(bright).values)).detach(),
        segmenter.net_.encode(torch.from_numpy(image)).detach(),
    )


@pytest.mark.parametrize(
    ("image", "given"),
    [
        (np.uint8(255 * PIXELS), (0.0, 0.0)),
        (np.uint8(255 * PIXELS) | 2, (0.0, 1.0)),  # integers are taken as they are
        (PIXELS, (2.0, 3.0)),
        (PIXELS, (-3.0, -2.0)),
        (PIXELS, (0.5, 0.5)),
        (PIXELS, (0.9, 0.1)),
        (PIXELS, (float("nan"), 1.0)),
    ],
)
def test_a_range_that_does_not_suit_the_image_is_refused(image, given, config):
    with pytest.raises(
        InputError, match=r"^intensity_range=\(.*(in the units|smaller number first)"
    ):
        Segmenter(config).fit(image, intensity_range=given)


def test_a_range_suits_where_it_overlaps_one_of_the_images(seen, config, image):
    Segmenter(config).fit([image, np.zeros_like(image)], intensity_range=(0.0, 2.0))
    assert seen[1].image.max() == 0
