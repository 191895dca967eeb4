import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import measure_range, open_volume

RNG = np.random.default_rng(0)


def save(path, array):
    np.save(path, array)
    return open_volume(path, axes="zyx")


def quantiles(array, low, high):
    flat = np.sort(array.astype(np.float32 if array.dtype.itemsize > 2 else array.dtype).ravel())
    ranks = [max(int(np.ceil(round(share * flat.size, 9))), 1) - 1 for share in (low, high)]
    ends = flat[ranks[0]], flat[ranks[1]]
    return tuple(map(float, ends if ends[0] < ends[1] else (flat[0], flat[-1])))


@pytest.mark.parametrize("shares", [(0.001, 0.999), (0, 1), (0.25, 0.5), (0.3, 0.9)])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", ">u2", "u4", "i4", "f4", ">f4", "f8"])
def test_it_equals_the_sorted_values(tmp_path, dtype, shares):
    array = (RNG.normal(40, 25, (7, 20, 30)) * (1 if "1" in dtype else 100)).clip(-120, 30000)
    array = (array if "f" in dtype else array.clip(-120 if "i" in dtype else 0, 120)).astype(dtype)
    assert measure_range(save(tmp_path / "a.npy", array), *shares) == quantiles(array, *shares)


@given(
    array=hnp.arrays(
        np.float32,
        (3, 4, 5),
        elements=st.floats(-(2.0**100), 2.0**100, width=32),
    ),
    low=st.sampled_from([0, 0.1, 0.3]),
    high=st.sampled_from([0.5, 0.9, 1]),
)
def test_floats_of_any_size(tmp_path_factory, array, low, high):
    volume = save(tmp_path_factory.mktemp("a") / "a.npy", array)
    assert measure_range(volume, low, high) == quantiles(array, low, high)


def test_an_outlier_does_not_spread_the_table(tmp_path):
    """Bins of equal width between the ends would all be 15 wide here."""
    array = RNG.random((5, 40, 50)).astype(np.float32)
    array[2, 3, 4] = 1e6
    low, high = measure_range(save(tmp_path / "a.npy", array))
    assert (low, high) == quantiles(array, 0.001, 0.999)
    assert 0.99 < high < 1


def test_alike_ends_give_way_to_the_extremes(tmp_path):
    array = np.zeros((5, 40, 50), np.uint8)
    array[1, 2, 3] = 7
    assert measure_range(save(tmp_path / "a.npy", array)) == (0, 7)
    assert measure_range(save(tmp_path / "b.npy", array[2:])) == (0, 0)
    assert measure_range(save(tmp_path / "c.npy", array > 0)) == (0, 1)


def test_after_options(tmp_path):
    array = RNG.integers(0, 60000, (6, 8, 10), np.uint16)
    save(tmp_path / "a.npy", array)
    volume = open_volume(tmp_path / "a.npy", axis="y", crop="2:,:5", binning=(1, 2, 1))
    assert measure_range(volume, 0, 1) == quantiles(volume.read(0, 8), 0, 1)


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "NaN"), (1e300, "too large")]
)
def test_a_slice_that_is_not_finite_is_named(tmp_path, value, word):
    array = np.ones((6, 4, 5))
    array[3, 2, 1] = value
    with pytest.raises(InputError, match=r"a\.npy: .*slice 3.*; ") as caught:
        measure_range(save(tmp_path / "a.npy", array))
    assert word in str(caught.value)


def test_progress_counts_both_passes(tmp_path):
    seen = []
    measure_range(save(tmp_path / "a.npy", np.ones((4, 5, 6))), progress=lambda *n: seen.append(n))
    assert seen == [(i, 8) for i in range(1, 9)]
    seen.clear()
    volume = save(tmp_path / "b.npy", np.ones((4, 5, 6), np.uint8))
    measure_range(volume, progress=lambda *n: seen.append(n))
    assert seen == [(i, 4) for i in range(1, 5)]


@pytest.mark.parametrize("shares", [(-0.1, 1), (0, 1.1), (0.5, 0.5), (float("nan"), 1)])
def test_shares_that_are_none(tmp_path, shares):
    with pytest.raises(InputError, match=r"^low, high: "):
        measure_range(save(tmp_path / "a.npy", np.ones((4, 5, 6))), *shares)


def test_a_file_without_chunks(tmp_path):
    array = RNG.normal(size=(5, 6, 7)).astype(np.float16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = array
    low, high = measure_range(open_volume(tmp_path / "a.h5"), 0, 1)
    assert (low, high) == (array.min(), array.max())
