import h5py
import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import intensity, measure_range, open_volume
from sp_graph_seg.volumes.intensity import IntensitySample

RNG = np.random.default_rng(0)


def save(path, array, **options):
    np.save(path, array)
    return open_volume(path, axes="zyx", **options)


def range_of(values):
    """The rule, from sorted values: percentiles, no further than two bulks beyond the bulk."""
    low, near, far, high = np.quantile(values.astype(np.float64), (0.001, 0.01, 0.99, 0.999))
    return max(low, near - 2 * (far - near)), min(high, far + 2 * (far - near))


def measure(values):
    sample = IntensitySample(values.size)
    sample.add(values.reshape(1, 1, -1))
    return sample.range()


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", ">u2", "u4", "i4", "f4", ">f4", "f8"])
def test_it_equals_the_sorted_values(tmp_path, dtype):
    array = (RNG.normal(40, 25, (7, 20, 30)) * (1 if "1" in dtype else 100)).clip(-120, 30000)
    array = (array if "f" in dtype else array.clip(-120 if "i" in dtype else 0, 120)).astype(dtype)
    low, high = measure_range(save(tmp_path / "a.npy", array))
    assert (low, high) == pytest.approx(range_of(array), rel=1e-6)
    assert array.min() <= low < high <= array.max()


@pytest.mark.parametrize("factor", [100, -100])
@pytest.mark.parametrize("share", [0.0005, 0.003, 0.009])
def test_hot_and_dead_pixels_leave_contrast_to_the_rest(factor, share):
    values = RNG.normal(1000, 20, 100_000)
    values[: int(share * values.size)] *= factor
    low, high = measure(values)
    rest = np.ptp(np.quantile(values[values.size // 100 :], (0.01, 0.99)))
    assert rest / (high - low) > 0.25


def test_a_phase_of_two_percent_is_not_clipped():
    values = RNG.normal(1000, 20, 100_000)
    values[:2000] += 2000
    low, high = measure(values)
    assert low < 960
    assert high > 3000


@pytest.mark.parametrize("distance", [60, 100, 200, 2000])
def test_a_rare_phase_stays_apart(distance):
    """Of 0.5 %: its middle is at least as far from the rest as the rest is wide."""
    values = RNG.normal(1000, 20, 100_000)
    values[:500] += distance
    low, high = measure(values)
    scaled = ((values - low) / (high - low)).clip(0, 1)
    bulk, phase = scaled[500:], scaled[:500]
    width = np.ptp(np.quantile(bulk, (0.01, 0.99)))
    wanted = min(distance / 93, 1.5) * width  # 93: the bulk's own width
    assert np.median(phase) - np.median(bulk) > 0.9 * wanted


def test_alike_ends_give_way_to_the_extremes(tmp_path):
    array = np.zeros((5, 40, 50), np.uint8)
    array[1, 2, 3] = 7
    assert measure_range(save(tmp_path / "a.npy", array)) == (0, 7)
    assert measure_range(save(tmp_path / "b.npy", array[2:])) == (0, 0)
    assert measure_range(save(tmp_path / "c.npy", array > 0)) == (0, 1)


def test_a_bulk_of_one_value_leaves_the_percentiles():
    values = np.zeros(100_000)
    values[:500] = 50
    assert measure(values) == (0, 50)


def test_a_sample_is_bounded_and_drawn_alike_each_time(monkeypatch):
    values = RNG.normal(0, 1, 300_000)
    exact = measure(values)
    monkeypatch.setattr(intensity, "_KEPT", 100_000)
    sampled = measure(values)
    assert sampled == measure(values) != exact
    assert sampled == pytest.approx(exact, abs=0.1)
    sample = IntensitySample(values.size)
    for part in np.split(values, 300):
        sample.add(part.reshape(1, 10, 100))
    assert sum(map(len, sample._parts)) <= 100_300
    assert sample.range() == pytest.approx(exact, abs=0.1)


def test_only_what_is_inside_counts():
    image = RNG.random((2, 30, 40))
    inside = np.zeros((30, 40), bool)
    inside[3:20, 5:30] = True
    bright = np.where(inside, image, 1e9)
    sample, expected = IntensitySample(image.size), IntensitySample(image.size)
    sample.add(bright, inside)
    sample.add(bright, np.zeros_like(inside))
    expected.add(image[:, 3:20, 5:30])
    assert sample.range() == expected.range()


def test_no_data_at_all():
    with pytest.raises(InputError, match="there is no pixel with data"):
        IntensitySample(5).range()


def test_after_options(tmp_path):
    array = RNG.integers(0, 60000, (6, 8, 10), np.uint16)
    save(tmp_path / "a.npy", array)
    volume = open_volume(tmp_path / "a.npy", axis="y", crop="2:,:5", binning=(1, 2, 1))
    assert measure_range(volume) == pytest.approx(range_of(volume.read(0, 8)))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_slice_that_is_not_finite_is_named(tmp_path, value):
    array = np.ones((6, 4, 5))
    array[3, 2, 1] = value
    with pytest.raises(InputError, match=r"a\.npy: 1 of 20 values of slice 3 are NaN or infinite"):
        measure_range(save(tmp_path / "a.npy", array))


@pytest.mark.parametrize("fill", [0, 1e6])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_with_a_fill_what_is_no_number_does_not_count(tmp_path, fill, dtype):
    array = RNG.normal(1000, 20, (3, 20, 30)).astype(dtype)
    outside = RNG.random(array.shape) < 0.4
    holed = np.where(outside, [[np.nan], [np.inf]] * 10, array).astype(dtype)
    volume = save(tmp_path / "a.npy", holed, fill=fill)
    assert measure_range(volume) == pytest.approx(range_of(array[~outside]), rel=1e-6)


def test_progress_counts_the_slices(tmp_path):
    seen = []
    measure_range(save(tmp_path / "a.npy", np.ones((4, 5, 6))), progress=lambda *n: seen.append(n))
    assert seen == [(i, 4) for i in range(1, 5)]


def test_a_file_without_chunks(tmp_path):
    array = RNG.normal(size=(5, 6, 7)).astype(np.float16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = array
    assert measure_range(open_volume(tmp_path / "a.h5")) == pytest.approx(range_of(array))
