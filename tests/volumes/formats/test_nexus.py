"""Spacing and signals that NeXus declares: https://manual.nexusformat.org/datarules.html."""

import h5py
import numpy as np
import pytest

from sp_graph_seg.volumes import open_volume

ARRAY = np.random.default_rng(0).integers(0, 60000, (5, 6, 7), np.uint16)


def write(path, names=("z", "y", "x"), units="mm", axes=None, **attributes):
    """A NeXus file with positions along its axes, 3, 2 and 1 apart from 10."""
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        plot = file.create_group("entry/data")
        file["entry"].attrs["default"] = "data"
        plot.attrs.update({"signal": "counts", "axes": list(names), **attributes})
        plot["counts"] = ARRAY
        for name, step, length in zip(names, (3.0, 2.0, 1.0), ARRAY.shape, strict=True):
            plot[name] = 10 + step * np.arange(length)
            if units:
                plot[name].attrs["units"] = units
        for name, values in (axes or {}).items():
            del plot[name]
            plot[name] = values
            plot[name].attrs["units"] = units
    return path


@pytest.mark.parametrize("names", ["zyx", ("height", "row", "column")])
@pytest.mark.parametrize("inner", ["", ":/entry/data/counts", "::/entry/data/counts", ":/entry"])
def test_spacing_of_axes_with_units(tmp_path, names, inner):
    volume = open_volume(f"{write(tmp_path / 'a.nxs', tuple(names))}{inner}")
    assert (volume.spacing, volume.spacing_unit) == ((3000, 2000, 1000), "micrometer")
    assert [axis.origin for axis in volume.geometry.axes] == [10000] * 3
    part = open_volume(f"{tmp_path}/a.nxs{inner}", start=1, step=2, binning=2)
    assert part.spacing == (6000, 4000, 2000)
    assert [axis.origin for axis in part.geometry.axes] == [13000, 11000, 10500]
    np.testing.assert_array_equal(volume.read(0, 5)[:, 0], ARRAY)


def test_no_units(tmp_path):
    volume = open_volume(write(tmp_path / "a.nxs", units=None))
    assert (volume.spacing, volume.spacing_unit) == ((3, 2, 1), None)


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        (np.array([0.0, 1, 2, 3.5, 4]), None),  # uneven
        (np.arange(4.0), None),  # too few
        (np.array([0.0, 1, 2, 3.001, 4]), 1000.0),  # even enough
        (np.arange(6) - 0.5, 1000.0),  # edges of voxels
        (np.arange(5.0)[::-1].copy(), 1000.0),  # descending
        (np.full(5, np.nan), None),
    ],
)
def test_positions(tmp_path, positions, expected):
    axis = open_volume(write(tmp_path / "a.nxs", axes={"z": positions})).geometry.axes[0]
    assert axis.spacing == (None if expected is None else pytest.approx(expected, rel=1e-3))
    assert axis.origin == pytest.approx(0)


def test_a_signal_may_be_an_array_of_one_text(tmp_path):
    path = write(tmp_path / "a.nxs", signal=np.array(["counts"], dtype=h5py.string_dtype()))
    with h5py.File(path, "a") as file:
        file["entry/data/other"] = ARRAY  # so that the signal must be followed
    np.testing.assert_array_equal(open_volume(path).read(0, 5)[:, 0], ARRAY)


def test_axes_in_one_text_on_the_signal_as_before_2014(tmp_path):
    path = write(tmp_path / "a.nxs")
    with h5py.File(path, "a") as file:
        del file["entry/data"].attrs["axes"]
        file["entry/data/counts"].attrs["axes"] = "z:y:x"
    assert open_volume(path).spacing == (3000, 2000, 1000)


def test_scales_of_dimensions(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", data=ARRAY)
        for dimension, name, length in zip(data.dims, "abc", ARRAY.shape, strict=True):
            file[name] = 0.5 * np.arange(length)
            file[name].attrs["units"] = "um"
            file[name].make_scale(name)
            dimension.attach_scale(file[name])
    assert open_volume(tmp_path / "a.h5").spacing == (0.5, 0.5, 0.5)
