import pickle

import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming.slices import (
    find_unusable,
    leave_out,
    read_slice,
    read_slices,
    read_usable,
)
from sp_graph_seg.volumes import measure_range


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
    assert list(find_unusable(volume)) == [2]
    unusable = {}
    usable = dict(read_usable(volume, 1, 4, unusable))
    assert list(usable) == [1, 3]
    np.testing.assert_array_equal(usable[3], stored[3])
    assert unusable == find_unusable(volume)


def test_the_range_without_some_slices(tmp_path, make_slices, save_volume):
    stored = make_slices(4).astype(np.float32)
    stored[1] += 5000
    stored[3, 0, 0, 0] = np.nan
    volume = save_volume(tmp_path / "a.npy", stored)
    left = leave_out(volume, frozenset({1, 3}))
    assert measure_range(left, 0, 1) == (stored[::2].min(), stored[::2].max())
    assert len(left) == 4  # the numbers stay
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(left))[2], stored[2])
    assert leave_out(volume, frozenset()) is volume
