import json

import numpy as np
import pytest
import tifffile

from sp_graph_seg.errors import AssumedSpacingWarning, InputError
from sp_graph_seg.volumes import open_volume
from sp_graph_seg.volumes.geometry import Axis, Geometry, measured_axis

ARRAY = np.zeros((5, 6, 7), np.uint8)


def imagej(path, **metadata):
    tifffile.imwrite(
        path, ARRAY, imagej=True, resolution=(4, 2), metadata={"axes": "ZYX", **metadata}
    )
    volume = open_volume(path)
    return volume.spacing, volume.spacing_unit


def test_imagej(tmp_path):
    path = tmp_path / "a.tif"
    assert imagej(path, spacing=3.0, unit="um") == ((3, 0.5, 0.25), "micrometer")
    assert imagej(path, spacing=3.0, unit="\\u00B5m") == ((3, 0.5, 0.25), "micrometer")
    assert imagej(path, spacing=0.003, unit="mm") == ((3, 500, 250), "micrometer")
    assert imagej(path, spacing=3.0) == (None, None)
    assert imagej(path, spacing=3.0, unit="pixel") == (None, None)
    assert imagej(path, unit="um") == ((1, 0.5, 0.25), "micrometer")  # as ImageJ reads it


def test_ome(tmp_path):
    path = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.7, "PhysicalSizeZ": 2.0}
    units = {"PhysicalSizeZUnit": "nm"}
    tifffile.imwrite(path, ARRAY, ome=True, metadata={"axes": "ZYX", **sizes, **units})
    volume = open_volume(path)
    assert volume.spacing == pytest.approx((0.002, 0.7, 0.5))
    assert volume.spacing_unit == "micrometer"
    tifffile.imwrite(path, ARRAY, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.5})
    assert open_volume(path).spacing is None


def test_options_stretch_it(tmp_path):
    imagej(tmp_path / "a.tif", spacing=3.0, unit="um")
    volume = open_volume(tmp_path / "a.tif", step=2, binning=(2, 3, 1))
    assert volume.spacing == (12, 1.5, 0.25)
    assert open_volume(tmp_path / "a.tif", axis="y").spacing == (0.5, 3, 0.25)
    assert open_volume(tmp_path / "a.tif", axis="x", binning=2).spacing == (0.25, 6, 1)


@pytest.mark.parametrize(
    ("name", "length", "unit", "expected"),
    [
        ("z", 1, "meter", (1e6, "micrometer")),
        ("y", 2, "nm", (2e-3, "micrometer")),
        ("x", 3, None, (3, None)),
        ("x", 3, "furlong", (None, None)),
        ("x", 0, "um", (None, None)),
        ("x", float("nan"), "um", (None, None)),
        ("t", 20, "ms", (0.02, "second")),
        ("t", 20, "um", (None, None)),
    ],
)
def test_units(name, length, unit, expected):
    axis = measured_axis(name, length, unit)
    assert (axis.name, axis.spacing, axis.unit) == (name, *expected)


def test_a_part_of_an_axis_lies_where_its_voxels_lie():
    axis = Axis("z", 0.5, "micrometer", 10.0)
    centres = 10 + 0.5 * np.arange(3, 23, 2)
    part = axis.part(range(3, 23, 2))
    np.testing.assert_allclose(part.origin + part.spacing * np.arange(10), centres)
    binned = axis.part(range(3, 23, 2), 5)
    means = centres.reshape(2, 5).mean(axis=1)
    np.testing.assert_allclose(binned.origin + binned.spacing * np.arange(2), means)
    assert Axis("t").part(range(3, 9)) == Axis("t")


def test_spacing_needs_all_axes_in_one_unit():
    z, y, x = (Axis(name, 2.0, "micrometer") for name in "zyx")
    assert Geometry((z, y, x)).spacing == (2, 2, 2)
    assert Geometry((Axis("t", 2.0, "second"), y, x)).spacing is None
    assert Geometry((Axis("z"), y, x)).spacing is None


@pytest.mark.parametrize("view", ["zyx", "yzx", "xzy", "tyx"])
@pytest.mark.parametrize("order", ["zyx", "xyz", "yxz"])
def test_places_transpose_slices_to_the_stored_array(view, order):
    order = order.replace("z", "t") if "t" in view else order
    sizes = dict(zip(view, (4, 5, 6), strict=True))
    geometry = Geometry(tuple(map(Axis, view)), order)
    stored = np.zeros((4, 5, 6)).transpose(geometry.places)
    assert stored.shape == tuple(sizes[name] for name in order)
    assert "".join(axis.name for axis in geometry.stored()) == order
    assert geometry.sorted().order in ("zyx", "tyx")
    assert Geometry.from_json(json.loads(json.dumps(geometry.to_json()))) == geometry


def test_tags_of_resolution(tmp_path):
    """Of a plain TIFF: pixels of 2 micrometres; voxels are taken for cubes, with a warning."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ARRAY, resolution=(5000, 5000), resolutionunit="CENTIMETER")
    with pytest.warns(AssumedSpacingWarning, match=r"a.tif: declares pixels of 2 micrometer"):
        volume = open_volume(path)
    assert volume.spacing == (2, 2, 2)
    assert open_volume(path, spacing=(1, 2, 3), unit="mm").spacing == (1000, 2000, 3000)
    tifffile.imwrite(path, ARRAY, resolution=(5000, 2500), resolutionunit="CENTIMETER")
    assert [axis.spacing for axis in open_volume(path).geometry.axes] == [None, 4, 2]


@pytest.mark.parametrize("dpi", [25.4, 72, 96, 300])
def test_resolutions_of_screens_and_printers_say_nothing(tmp_path, dpi):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY, resolution=(dpi, dpi), resolutionunit="INCH")
    assert open_volume(tmp_path / "a.tif").spacing is None


@pytest.mark.parametrize("numbers", [range(5), range(0, 500, 100)])
@pytest.mark.parametrize("of_imagej", [True, False])
def test_a_folder_of_tiffs(tmp_path, numbers, of_imagej):
    """Slices whose numbers are apart may lie apart: how far is not made up."""
    for number, image in zip(numbers, ARRAY, strict=True):
        options = {"imagej": True, "metadata": {"unit": "um"}} if of_imagej else {}
        scale = 0.5 if of_imagej else 5000
        tifffile.imwrite(
            tmp_path / f"{number}.tif",
            image,
            resolution=(scale, scale),
            resolutionunit="NONE" if of_imagej else "CENTIMETER",
            **options,
        )
    if numbers.step == 1:
        with pytest.warns(AssumedSpacingWarning):
            volume = open_volume(tmp_path)
        assert volume.spacing == (2, 2, 2)
    else:
        axes = open_volume(tmp_path).geometry.axes
        assert [axis.spacing for axis in axes] == [None, 2, 2]


@pytest.mark.parametrize("spacing", [(1, 2), (1, 2, 0), (1, 2, float("nan"))])
def test_a_wrong_spacing_is_refused(tmp_path, spacing):
    tifffile.imwrite(tmp_path / "a.tif", ARRAY)
    with pytest.raises(InputError, match=r"spacing: .* is not a voxel size"):
        open_volume(tmp_path / "a.tif", spacing=spacing, unit="um")


def test_what_was_read_is_noted(tmp_path):
    imagej(tmp_path / "a.tif", spacing=3.0, unit="um")
    volume = open_volume(tmp_path / "a.tif", axis="y", start=1, step=2, crop="1:4,2:", binning=2)
    assert volume.part_read == {
        "axes": ["y", "z", "x"],
        "slices": [1, 6, 2],
        "rows": [1, 4, 1],
        "columns": [2, 7, 1],
        "binning": [1, 2, 2],
        "channels": [0],
    }
    assert volume.geometry.part == volume.part_read
