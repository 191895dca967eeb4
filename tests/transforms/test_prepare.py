import numpy as np
import pytest
import torch

from sp_graph_seg import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import prepare
from sp_graph_seg.volumes import intensity

RNG = np.random.default_rng(0)
IMAGE = RNG.random((3, 20, 30), dtype=np.float32)


def sorted_quantile(values, share):
    """Linear interpolation between the two values beside a place in the sorted list."""
    values = np.sort(np.asarray(values, dtype=np.float64).ravel())
    place = share * (values.size - 1)
    below = int(place)
    above = min(below + 1, values.size - 1)
    return values[below] + (place - below) * (values[above] - values[below])


@pytest.mark.parametrize("images", [IMAGE, torch.from_numpy(IMAGE), [IMAGE], (IMAGE.tolist(),)])
def test_one_image_is_a_list_of_one(images):
    (array,) = prepare.as_image_list(images)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, IMAGE)


@pytest.mark.parametrize(
    "stack", [np.stack, lambda images: torch.from_numpy(np.stack(images)), list]
)
def test_several_images_stay_in_order(stack):
    arrays = prepare.as_image_list(stack([IMAGE, IMAGE[::-1]]))
    np.testing.assert_array_equal(arrays, [IMAGE, IMAGE[::-1]])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "images: the sequence is empty"),
        (np.zeros((0, 3, 8, 8)), "images: the sequence is empty"),
        (IMAGE[0], r"images\[0\]: shape \(20, 30\) must be \(C, H, W\).*image\[None\]"),
        ([IMAGE, IMAGE[0]], r"images\[1\]: shape \(20, 30\) must be"),
        (np.zeros(()), r"images\[0\]: shape \(\) must be"),
        ([np.full_like(IMAGE, np.inf)], r"images\[0\]: 1800 values are NaN or Inf"),
        (["image.png"], r"images\[0\]: "),
        ([IMAGE * 1j], r"images\[0\]: .*complex"),
        ([IMAGE, IMAGE[:, :0]], r"images\[1\]: .* is empty"),
        (np.zeros((20, 30, 3)), r"images\[0\]: .*channels-last.*moveaxis"),
        ([IMAGE, np.zeros((20, 30, 1))], r"images\[1\]: .*channels-last"),
    ],
)
def test_what_is_no_image(images, message):
    with pytest.raises(InputError, match=message):
        prepare.as_image_list(images)


CONFIG = Config(depth=3, max_size=64)


@pytest.mark.parametrize(
    "shape", [(3, 8, 8), (3, 8, 64), (3, 200, 26), (3, 512, 64), (3, 30, 3000)]
)
def test_check_passes_what_the_network_can_see(shape):
    config = CONFIG.replace(max_size=0) if shape == (3, 30, 3000) else CONFIG
    prepare.check_image(np.zeros(shape, np.float32), "image", 3, config)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 9, 20, 30), r"picture: shape .* belongs to a volume, .*; give the slices"),
        ((4, 20, 30), "picture: has 4 channels instead of 3"),
        ((3, 7, 30), "picture: 7x30 pixels are too few for depth=3, which needs at least 8x8"),
        ((3, 30, 7), "picture: 30x7 pixels are too few"),
        ((3, 3, 3), "picture: 3x3 pixels are too few"),
        (
            (3, 10, 200),
            "picture: 10x200 pixels become 3x64 with max_size=64, but depth=3 needs",
        ),
        ((3, 640, 70), "picture: 640x70 pixels become 64x7 "),
    ],
)
def test_check_refuses_what_it_cannot(shape, message):
    with pytest.raises(InputError, match=message):
        prepare.check_image(np.zeros(shape, np.float32), "picture", 3, CONFIG)


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_label_maps_are_matched_with_their_images(convert):
    images = [IMAGE, IMAGE[:, :12, :9]]
    maps = [convert(np.ones((20, 30), int)), None]
    assert prepare.match_images(maps, images, "masks")[0] is maps[0]
    assert prepare.match_images(maps, images, "masks")[1] is None
    assert prepare.match_images(None, images, "masks") == [None, None]
    with pytest.raises(InputError, match=r"masks\[1\]: size \(9, 12\) .* \(12, 9\)"):
        prepare.match_images([None, convert(np.ones((9, 12), int))], images, "masks")
    with pytest.raises(InputError, match="superpixels: 1 are given for 2 images"):
        prepare.match_images(maps[:1], images, "superpixels")


@pytest.mark.parametrize("sizes", [[(20, 30)], [(64, 64), (5, 7), (31, 8)]])
def test_the_range_is_of_all_pixels_of_all_images(sizes):
    images = [RNG.normal(3, 2, (2, *size)).astype(np.float32) for size in sizes]
    low, high = prepare.measure_intensity_range(images)
    pixels = np.concatenate([image.ravel() for image in images])
    assert low == pytest.approx(sorted_quantile(pixels, 0.001), rel=1e-6)
    assert high == pytest.approx(sorted_quantile(pixels, 0.999), rel=1e-6)
    assert pixels.min() < low < high < pixels.max()


@pytest.mark.parametrize("value", [1e6, -1e6])
def test_hot_and_dead_pixels_do_not_crush_the_range(value):
    image = IMAGE.copy()
    clean = prepare.measure_intensity_range([image])
    image[1, 7, 9] = value
    assert prepare.measure_intensity_range([image]) == pytest.approx(clean, abs=0.01)


@pytest.mark.parametrize("value", [0.0, -3.5, 1e20])
def test_the_range_of_a_constant_image_is_one_wide(value):
    image = np.full((1, 9, 9), value, np.float32)
    low, high = prepare.measure_intensity_range([image])
    assert low == np.float32(value)
    assert high > low
    normal = prepare.normalize(image, low, high)
    assert np.isfinite(normal).all()
    assert (normal == 0).all()


def test_a_few_bright_pixels_on_a_flat_ground_set_the_range():
    image = np.zeros((1, 100, 100), np.float32)
    image[0, 50, 50:55] = 7.0
    assert prepare.measure_intensity_range([image]) == (0.0, 7.0)


def test_large_images_are_sampled(monkeypatch):
    image = RNG.random((2, 300, 300), dtype=np.float32)
    exact = prepare.measure_intensity_range([image])
    monkeypatch.setattr(intensity, "_KEPT", 50_000)
    sampled = prepare.measure_intensity_range([image, image[:, ::-1]])
    assert sampled == pytest.approx(exact, abs=2e-3)
    assert sampled != exact


def test_normalize_maps_the_range_and_clips():
    image = np.array([[[-5, 2, 3, 4, 6, 99]]], np.float32)
    before = image.copy()
    normal = prepare.normalize(image, 2.0, 6.0)
    assert normal.dtype == np.float32
    assert normal.ravel().tolist() == [0, 0, 0.25, 0.5, 1, 1]
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(("scale", "shift"), [(255.0, 0.0), (1e-3, 5.0), (7e4, -3e4), (0.5, 1e-3)])
def test_normalized_images_know_no_scale_and_shift(scale, shift):
    other = (scale * IMAGE.astype(np.float64) + shift).astype(np.float32)
    normal, again = (
        prepare.normalize(image, *prepare.measure_intensity_range([image]))
        for image in (IMAGE, other)
    )
    np.testing.assert_allclose(again, normal, atol=1e-3 if scale < 0.01 else 1e-5)
    assert normal.min() == 0
    assert normal.max() == 1


@pytest.mark.parametrize(
    ("size", "max_size", "expected"),
    [
        ((20, 30), 0, (20, 30)),
        ((20, 30), 30, (20, 30)),
        ((20, 30), 31, (20, 30)),
        ((20, 30), 15, (10, 15)),
        ((30, 20), 15, (15, 10)),
        ((33, 50), 10, (7, 10)),
        ((2, 500), 10, (1, 10)),
    ],
)
def test_scaling_down_bounds_the_longest_side(size, max_size, expected):
    image = np.full((2, *size), 0.25, np.float32)
    scaled = prepare.scale_down(image, max_size)
    assert scaled.shape == (2, *expected)
    assert scaled.dtype == torch.float32
    torch.testing.assert_close(scaled, torch.full((2, *expected), 0.25))


def test_scaling_has_no_aliasing_and_no_shift():
    fine = (np.indices((40, 60)).sum(0) % 2).astype(np.float32)[None]
    scaled = prepare.scale_down(fine, 20)[0, 1:-1, 1:-1]
    torch.testing.assert_close(scaled, torch.full_like(scaled, 0.5), atol=0.1, rtol=0)

    ramp = np.broadcast_to((np.arange(60) + 0.5) / 60, (1, 40, 60)).astype(np.float32)
    scaled = prepare.scale_down(ramp, 20)[0, :, 1:-1]
    centers = (torch.arange(1, 19) + 0.5) / 20
    torch.testing.assert_close(scaled, centers.expand(13, 18), atol=1e-5, rtol=0)
    back = prepare.scale_to(prepare.scale_down(ramp, 20), (40, 60))[0, :, 5:-5]
    torch.testing.assert_close(back, torch.from_numpy(ramp)[0, :, 5:-5], atol=1e-4, rtol=0)


def test_scaling_to_the_same_size_changes_nothing():
    image = torch.from_numpy(IMAGE)
    assert prepare.scale_to(image, (20, 30)) is image


@pytest.mark.parametrize(
    ("size", "start"), [(8, (6, 11)), (19, (0, 5)), (20, (0, 5)), (40, (0, 0))]
)
def test_the_middle_is_cropped_without_a_mask(size, start):
    values, inside = prepare.crop(prepare.ScaledImage(IMAGE, None), size)
    top, left = start
    np.testing.assert_array_equal(values, IMAGE[:, top : top + size, left : left + size])
    assert inside is None


def test_the_rows_and_then_the_columns_with_most_data_are_cropped():
    mask = np.zeros((20, 30), bool)
    mask[1:4, 2:9] = mask[15:, 25:] = True  # 21 and 25 pixels, far from the middle
    values, inside = prepare.crop(prepare.ScaledImage(IMAGE, mask), 5)
    np.testing.assert_array_equal(values, IMAGE[:, 15:, 25:])
    assert inside.all()
