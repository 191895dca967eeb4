"""Large images, masks and superpixels of the user, and what cannot be used."""

import copy

import numpy as np
import pytest
import torch

from sp_graph_seg import Segmenter
from sp_graph_seg.errors import InputError, ManyChannelsWarning

#: Any image of the size of the one that the model is trained on.
PIXELS = np.random.default_rng(0).random((3, 32, 48), dtype=np.float32)


def tiles(height, width, size=8):
    """A label map of squares, numbered with gaps."""
    rows, columns = np.indices((height, width)) // size
    return 7 * (rows * -(-width // size) + columns) + 3


TILES = tiles(32, 48)


# Resolution


def test_the_network_sees_large_images_scaled_down(seen, config, blocks, learned_features):
    config = config.replace(max_size=32)
    large, small = blocks(64, 48), blocks(24, 32, seed=1)
    mask = np.random.default_rng(0).random((64, 48)) > 0.5
    mask[16:32, 16:32] = True
    maps = [tiles(64, 48, size=16), None]
    segmenter = Segmenter(config).fit([large, small], masks=[mask, None], superpixels=maps)

    first, second = seen
    assert first.image.shape == (3, 32, 24)
    assert second.image.shape == (3, 24, 32)
    assert first.inside.tolist() == mask.reshape(32, 2, 24, 2).any(axis=(1, 3)).tolist()
    assert second.inside is None
    assert first.graph.num_nodes == 12
    assert first.graph.image_size.tolist() == [[32, 24]]
    nodes = torch.full((32, 24), -1).masked_scatter(first.inside, first.graph.pixel_index)
    assert nodes[8:16, 8:16].unique().tolist() == [4]

    sizes = []
    segmenter.net_.wnet.encoder.register_forward_pre_hook(
        lambda _, inputs: sizes.append(tuple(inputs[0].shape[2:]))
    )
    for image in (large, small, blocks(50, 100, seed=4)):
        graph = segmenter.transform(image)
        expected = learned_features(segmenter, image, graph.pixel_index)
        torch.testing.assert_close(graph.z, expected, rtol=1e-3, atol=1e-4)
        assert segmenter.predict(image).shape == image.shape[1:]
    assert sizes[::3] == [(32, 24), (24, 32), (16, 32)]
    assert set(sizes) == {(32, 24), (24, 32), (16, 32)}


def test_an_image_is_never_scaled_with_max_size_0(seen, config, blocks):
    segmenter = Segmenter(config.replace(max_size=0)).fit(blocks(40, 330))
    assert seen[0].image.shape == (3, 40, 330)
    assert segmenter.predict(blocks(40, 330)).shape == (40, 330)


# Masks and superpixels


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy, lambda a: a.astype(np.uint16)])
def test_labels_are_constant_on_the_users_superpixels(fitted, convert, image, learned_features):
    maps = convert(TILES)
    labels = fitted.predict(image, superpixels=maps)
    for tile in np.unique(TILES):
        assert len(np.unique(labels[tile == TILES])) == 1
    assert len(np.unique(labels)) > 1
    numbers = np.unique(TILES, return_inverse=True)[1].ravel()
    expected = learned_features(fitted, image, torch.from_numpy(numbers)).argmax(1)
    np.testing.assert_array_equal(labels.ravel(), expected[numbers])


def test_training_takes_the_users_superpixels_and_masks(seen, config, image, blocks):
    mask = TILES > 99
    other = blocks(40, 40, seed=1)
    segmenter = Segmenter(config).fit(
        [image, other], masks=[mask, None], superpixels=[None, tiles(40, 40)]
    )
    first, second = seen
    low, high = segmenter.intensity_range_
    normal = (image - np.float32(low)) / np.float32(high - low)
    normal = normal.clip(0, 1)
    normal[:, ~mask] = normal[:, mask].mean(axis=1, keepdims=True)
    torch.testing.assert_close(first.image, torch.from_numpy(normal))
    assert first.inside.tolist() == mask.tolist()
    assert second.inside is None
    assert first.graph.num_nodes != second.graph.num_nodes == 25


def test_read_only_masks_and_superpixels(config, image):
    labels = TILES.copy()
    labels.flags.writeable = False
    mask = labels > 99
    mask.flags.writeable = False
    segmenter = Segmenter(config).fit([image], masks=[mask], superpixels=[labels])
    assert segmenter.predict(image, superpixels=labels).shape == (32, 48)


def test_one_image_takes_one_mask_and_one_label_map(config, image):
    mask = np.zeros(image.shape[1:], dtype=bool)
    mask[3, 4] = True
    segmenter = Segmenter(config).fit(image, masks=mask, superpixels=TILES)
    assert segmenter.predict(image).shape == mask.shape


@pytest.mark.parametrize("convert", [np.array, torch.tensor])
def test_inputs_stay(convert, config, image):
    given, mask, labels = convert(image), convert(TILES > 99), convert(TILES)
    before = [copy.deepcopy(value) for value in (given, mask, labels)]
    segmenter = Segmenter(config).fit([given], masks=[mask], superpixels=[labels])
    segmenter.predict(given, superpixels=labels)
    for value, old in zip((given, mask, labels), before, strict=True):
        assert (value == old).all()


SMALL = np.zeros((31, 48), int)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"masks": [SMALL]}, r"masks\[0\]: size \(31, 48\) .* \(32, 48\)"),
        ({"superpixels": [SMALL]}, r"superpixels\[0\]: size \(31, 48\)"),
        ({"superpixels": [TILES[..., None]]}, r"superpixels\[0\]: size \(32, 48, 1\)"),
        ({"masks": [None, TILES > 0]}, "masks: 2 are given for 1 images"),
        ({"superpixels": []}, "superpixels: 0 are given for 1 images"),
        ({"masks": [TILES < 0]}, "mask: no pixel is true"),
        ({"superpixels": [TILES - 999]}, r"images\[0\]: has no data"),
        ({"superpixels": [TILES / 2]}, "superpixels: .*float64"),
    ],
)
def test_unusable_masks_and_superpixels(arguments, message, config, image):
    with pytest.raises(InputError, match=message):
        Segmenter(config).fit([image], **arguments)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (SMALL, r"superpixels: size \(31, 48\)"),
        (TILES / 2, "superpixels: .*float64"),
    ],
)
def test_unusable_superpixels_to_predict_with(fitted, labels, message, image):
    with pytest.raises(InputError, match=message):
        fitted.predict(image, superpixels=labels)


# Images that cannot be used


UNUSABLE = [
    (PIXELS[0], r"shape \(32, 48\) must be \(C, H, W\)"),
    (np.moveaxis(PIXELS, 0, -1), r"shape \(32, 48, 3\) looks .*moveaxis"),
    (np.zeros((3, 5, 32, 48)), "belongs to a volume"),
    (np.full_like(PIXELS, np.inf), "NaN or Inf"),
    (PIXELS[:, :3], "3x48 pixels are too few for depth=2"),
    (PIXELS[:, :, :2], "32x2 pixels are too few"),
    (np.zeros((3, 4, 500)), "4x500 pixels become 3x320 with max_size=320"),
    (PIXELS[:2], "has 2 channels instead of 3"),
    (PIXELS[:0], "is empty"),
    ("image.png", "must be"),
]


@pytest.mark.parametrize(("image", "message"), UNUSABLE)
def test_unusable_images_are_named(fitted, image, message, config):
    with pytest.raises(InputError, match=message) as caught:
        Segmenter(config).fit([PIXELS, image])
    assert str(caught.value).startswith("images[1]: ")
    with pytest.raises(InputError, match=message) as caught:
        fitted.predict(image)
    assert str(caught.value).startswith("image: ")


@pytest.mark.parametrize("images", [[], (), np.zeros((0, 3, 8, 8))])
def test_no_images(images, config):
    with pytest.raises(InputError, match="images: the sequence is empty"):
        Segmenter(config).fit(images)


def test_an_array_of_slices_is_not_taken_for_channels_without_a_word(config, blocks):
    slices = blocks(channels=6)
    with pytest.warns(ManyChannelsWarning, match="images: is read as one image of 6 channels"):
        assert Segmenter(config).fit(slices).in_channels_ == 6
    assert Segmenter(config).fit(slices[:, None]).in_channels_ == 1
