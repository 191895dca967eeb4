import pickle
import zipfile

import numpy as np
import pytest
import zarr

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import open_volume

ARRAY = np.random.default_rng(0).integers(0, 60000, (5, 6, 7), np.uint16)


def equals(path, expected=ARRAY, **options):
    volume = open_volume(path, **options)
    np.testing.assert_array_equal(volume.read(0, len(expected))[:, 0], expected)
    return volume


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        open_volume(path)
    assert str(caught.value).startswith(f"{path}: ")
    for word in words:
        assert word in str(caught.value)


def add(group, name, array=ARRAY, **options):
    group.create_array(name, data=array, **options)


def ome(path, version, axes=("z", "y", "x"), array=ARRAY):
    """An OME-Zarr image with two levels; the second has half the rows and columns."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    add(group, "full", array)
    add(group, "half", array[..., ::2, ::2])
    units = {"z": "nanometer", "y": "micrometer", "x": "micrometer"}
    kinds = [
        {"name": a, "type": "space", "unit": units[a]} if a in units else {"name": a} for a in axes
    ]
    lead = [1.0] * (len(axes) - 3)
    levels = [
        {
            "path": name,
            "coordinateTransformations": [{"type": "scale", "scale": [*lead, 500.0, pixel, pixel]}],
        }
        for name, pixel in (("full", 0.5), ("half", 1.0))
    ]
    image = {
        "axes": kinds if version != "0.3" else list(axes),
        "datasets": levels,
        "coordinateTransformations": [{"type": "scale", "scale": [*lead, 2.0, 2.0, 2.0]}],
    }
    attributes = {"multiscales": [image]}
    group.attrs.update({"ome": attributes} if version == "0.5" else attributes)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path, version):
    path = tmp_path / "a.ome.zarr"
    ome(path, version)
    volume = equals(path)
    assert volume.spacing == (1.0, 1.0, 1.0)
    assert volume.spacing_unit == "micrometer"
    assert volume.name == "a"
    for half in (f"{path}:/half", f"{path}:half", path / "half"):
        assert equals(half, ARRAY[:, ::2, ::2]).spacing == (1.0, 2.0, 2.0)
    assert equals(path, ARRAY.transpose(1, 2, 0), axes="xzy").spacing is None


def test_ome_zarr_with_more_axes(tmp_path):
    array = np.stack([ARRAY, ARRAY + 1])[np.newaxis]
    ome(tmp_path / "a.zarr", "0.4", "tczyx", array)
    volume = open_volume(tmp_path / "a.zarr")
    np.testing.assert_array_equal(volume.read(0, 5), array[0].swapaxes(0, 1))
    ome(tmp_path / "b.zarr", "0.4", "tczyx", array[:, :1].repeat(2, axis=0))
    refused(tmp_path / "b.zarr", "tczyx", "export one time")


def test_ome_zarr_with_axes_but_no_units(tmp_path):
    ome(tmp_path / "a.zarr", "0.3")
    volume = equals(tmp_path / "a.zarr")
    assert (volume.spacing, volume.spacing_unit) == ((1000, 1, 1), None)


@pytest.mark.parametrize("version", [2, 3])
def test_groups(tmp_path, version):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    add(group, "entry/data")
    add(group, "image", ARRAY[0])
    path = str(tmp_path / "a.zarr")
    equals(path)
    equals(f"{path}:/entry/data")
    equals(f"{path}:/entry")
    equals(f"{path}/entry/data")
    assert open_volume(f"{path}:/image").num_slices == 1
    refused(f"{path}:/entry/dta", "/entry/dta does not exist", "/entry/data (5, 6, 7) uint16")
    add(group, "entry/more")
    refused(path, "/entry/data (5, 6, 7)", "/entry/more (5, 6, 7)")
    zarr.open_group(tmp_path / "b.zarr", mode="w", zarr_format=version)
    refused(tmp_path / "b.zarr", "no array")


def test_names_of_dimensions(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)
    add(group, "a", dimension_names=["x", "z", "y"])
    add(group, "b", dimension_names=["depth", "row", "column"])
    equals(f"{tmp_path}/a.zarr:/a", ARRAY.transpose(1, 2, 0))
    equals(f"{tmp_path}/a.zarr:/b")
    group = zarr.open_group(tmp_path / "2.zarr", mode="w", zarr_format=2)
    add(group, "a")
    group["a"].attrs["_ARRAY_DIMENSIONS"] = ["y", "x", "z"]  # as xarray writes it
    equals(tmp_path / "2.zarr", ARRAY.transpose(2, 0, 1))


def test_shards_are_read_together(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    add(group, "a", chunks=(1, 3, 7), shards=(4, 6, 7))
    assert list(equals(tmp_path / "a.zarr").read_runs()) == [(0, 4), (4, 5)]


def test_damage(tmp_path):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    add(group, "a", chunks=(2, 6, 7))
    (path / "a/1.0.0").write_bytes(b"no chunk")
    volume = open_volume(path)
    found = volume.check()
    assert [number for number, _ in found] == [2, 3]
    assert all(reason.startswith(f"{path}: cannot be read") for _, reason in found)
    assert volume.check(quick=True) == []
    (path / "a/.zarray").write_text("{")
    refused(path)


def zip_folder(folder, path, top=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            if file.is_file():
                archive.write(file, f"{top}{file.relative_to(folder)}")
    return path


@pytest.mark.parametrize("top", ["", "scans/a.zarr/"])
def test_a_zipped_store(tmp_path, top):
    ome(tmp_path / "a.zarr", "0.5")
    path = zip_folder(tmp_path / "a.zarr", tmp_path / "a.zarr.zip", top)
    volume = open_volume(path)
    folder = open_volume(tmp_path / "a.zarr")
    np.testing.assert_array_equal(volume.read(0, 5), folder.read(0, 5))
    assert (volume.spacing, volume.name) == (folder.spacing, "a")
    assert volume.check() == []
    assert pickle.loads(pickle.dumps(volume))[2].shape == (1, 6, 7)
    refused(f"{path}:/nothing", "/nothing does not exist")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("notes.txt", "no array")
    refused(tmp_path / "other.zip", "is not a volume")


def test_the_only_image_below_the_root_of_bioformats2raw(tmp_path):
    root = zarr.create_group(
        tmp_path / "a.zarr", attributes={"ome": {"version": "0.5", "bioformats2raw.layout": 3}}
    )
    root.create_group("OME", attributes={"ome": {"series": ["0"]}})
    ome(tmp_path / "a.zarr" / "0", "0.5")
    ome(tmp_path / "a.zarr" / "0" / "labels" / "cells", "0.5")
    path = tmp_path / "a.zarr"
    np.testing.assert_array_equal(open_volume(path).read(0, 5)[:, 0], ARRAY)
    assert open_volume(path).spacing == open_volume(path / "0").spacing
    ome(path / "1", "0.5")
    refused(path, "/0/full (5, 6, 7)", "/1/full (5, 6, 7)")


def test_an_image_is_a_volume_of_one_slice(tmp_path):
    stored = zarr.create_array(tmp_path / "a.zarr", shape=(6, 7), dtype="u2", chunks=(6, 7))
    stored[:] = ARRAY[0]
    np.testing.assert_array_equal(open_volume(tmp_path / "a.zarr").read(0, 1)[0, 0], ARRAY[0])


def test_a_level_lies_where_it_says(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
    steps = [
        {"type": "scale", "scale": [4, 2, 2]},
        {"type": "translation", "translation": [1, 2, 3]},
    ]
    above = [{"type": "scale", "scale": [10, 10, 10]}]
    dataset = {"path": "0", "coordinateTransformations": steps}
    image = {"axes": axes, "datasets": [dataset], "coordinateTransformations": above}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    group.create_array("0", data=ARRAY)
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.spacing == pytest.approx((0.04, 0.02, 0.02))
    assert [axis.origin for axis in volume.geometry.axes] == pytest.approx([0.01, 0.02, 0.03])
