import numpy as np
import pytest
import torch

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.arrays import as_array, as_image, as_mask


@pytest.mark.parametrize("dtype", [np.int16, np.int64])
def test_signed_integers_are_measurements(dtype):
    image = np.array([[[-3, 0, 200]]], dtype=dtype)
    result = as_image(image)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_unsigned_integers_are_divided_by_the_largest_of_their_type(dtype, channels):
    largest = np.iinfo(dtype).max
    values = np.array([0, 1, largest // 3, largest], dtype=dtype)
    image = np.broadcast_to(values, (channels, 2, 4))
    result = as_image(image)
    assert result.dtype == np.float32
    expected = [[float(v) / largest for v in values.tolist()]] * 2
    np.testing.assert_allclose(result, [expected] * channels, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, bool])
def test_other_numbers_are_kept(dtype):
    image = np.array([[[0, 1], [0.25, 7]]]).astype(dtype)
    result = as_image(image)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, image)


def test_tensors_and_arrays_and_lists_are_the_same():
    image = np.random.default_rng(0).random((2, 3, 4), dtype=np.float32)
    for same in (torch.from_numpy(image), torch.tensor(image, requires_grad=True), image.tolist()):
        np.testing.assert_array_equal(as_image(same), image)
    strided = torch.from_numpy(image).permute(2, 0, 1)
    assert as_image(strided).flags.c_contiguous
    np.testing.assert_array_equal(as_image(strided), image.transpose(2, 0, 1))


def test_bfloat16_has_no_array_type_but_is_an_image():
    image = torch.rand(1, 4, 4).bfloat16()
    np.testing.assert_array_equal(as_image(image), image.float().numpy())
    assert as_array(image).dtype == np.float32


@pytest.mark.parametrize("shape", [(), (4,), (4, 4), (1, 2, 3, 4, 5)])
def test_number_of_axes(shape):
    with pytest.raises(InputError, match=r"^photo: shape .* must be \(C, H, W\)"):
        as_image(np.zeros(shape), "photo")


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 0, 4), (3, 4, 0), (1, 0, 4, 4)])
def test_no_pixel(shape):
    with pytest.raises(InputError, match=r"image: .* is empty"):
        as_image(np.zeros(shape))


@pytest.mark.parametrize("values", [np.zeros((1, 2, 2), complex), np.full((1, 2, 2), "a")])
def test_no_real_numbers(values):
    with pytest.raises(InputError, match="are not real numbers"):
        as_image(values)


# 1e300 is finite in 64 bits, but not in the 32 of the result.
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_counted(value):
    image = np.zeros((2, 3, 3))
    image[0, 1, 1:] = value
    with pytest.raises(InputError, match="image: 2 values are NaN or Inf"):
        as_image(image)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_mask_is_what_is_not_zero(dtype):
    mask = np.array([[0, 1, 0], [1, 1, 0]], dtype=dtype)
    for same in (mask, torch.from_numpy(mask), mask.tolist()):
        inside = as_mask(same, (2, 3))
        assert inside.dtype == bool
        np.testing.assert_array_equal(inside, mask != 0)


@pytest.mark.parametrize(("size", "reason"), [((3, 2), "size"), ((6,), "size"), ((2, 3), "pixel")])
def test_mask_refused(size, reason):
    with pytest.raises(InputError, match=f"^mask: .*{reason}"):
        as_mask(np.zeros((2, 3)), size)
