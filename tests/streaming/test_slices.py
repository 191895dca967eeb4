import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming.slices import (
    read_slice,
    read_slices,
    read_usable,
)
from sp_graph_seg.streaming.survey import survey_volume


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_values_are_those_of_the_file_as_floats(tmp_path, make_slices, save_volume, dtype):
    stored = (make_slices(3) // 4).astype(dtype)
    volume = save_volume(tmp_path / "a.npy", stored)
    block = read_slices(volume, 1, 3)
    assert block.dtype == np.float32
    np.testing.assert_array_equal(block, stored[1:])
    np.testing.assert_array_equal(read_slice(volume, 2), stored[2])


@pytest.mark.parametrize(
    ("value", "dtype"), [(np.nan, np.float32), (-np.inf, np.float64), (1e300, np.float64)]
)
def test_values_that_are_no_numbers_are_told_with_their_slice(
    tmp_path, make_slices, save_volume, value, dtype
):
    stored = make_slices(4).astype(dtype)
    stored[2, 0, 3, 5:7] = value
    volume = save_volume(tmp_path / "a.npy", stored)
    reason = f"^{volume.path}: 2 of 768 values of slice 2 are NaN or infinite"
    with pytest.raises(InputError, match=reason):
        read_slices(volume, 1, 4)
    unusable = {}
    usable = dict(read_usable(volume, 1, 4, unusable))
    assert list(usable) == [1, 3]
    np.testing.assert_array_equal(usable[3], stored[3])
    assert list(unusable) == [2]
    assert unusable == survey_volume(volume).unusable


@pytest.mark.parametrize("fill", [0, 1000])
def test_what_a_fill_allows_is_no_data(tmp_path, make_slices, save_volume, fill):
    stored = make_slices(4).astype(np.float32)
    stored[2, 0, 3, 5:7] = np.nan, -np.inf
    volume = save_volume(tmp_path / "a.npy", stored, fill=fill)
    block = read_slices(volume, 1, 4)
    stored[2, 0, 3, 6] = np.nan
    np.testing.assert_array_equal(block, stored[1:])
    assert volume.read(2, 3)[0, 0, 3, 5:7].tolist() == [fill, fill]  # as numbers, as it was asked


def test_values_too_large_for_float32_are_refused_even_with_a_fill(
    tmp_path, make_slices, save_volume
):
    stored = make_slices(2).astype(np.float64)
    stored[1, 0, 3, 5:7] = 1e300
    volume = save_volume(tmp_path / "a.npy", stored, fill=0)
    with pytest.raises(InputError, match="2 of 768 values of slice 1 are too large for float32"):
        read_slices(volume, 0, 2)
