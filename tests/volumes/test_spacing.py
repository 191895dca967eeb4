import numpy as np
import pytest
import tifffile

from sp_graph_seg.volumes import open_volume
from sp_graph_seg.volumes.spacing import in_micrometres

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
    assert imagej(path, unit="um") == (None, None)


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
    ("lengths", "units", "expected"),
    [
        ((1, 2, 3), ("meter", "nm", "micron"), ((1e6, 2e-3, 3), "micrometer")),
        ((1, 2, 3), (None, None, None), ((1, 2, 3), None)),
        ((1, 2, 3), (None, "um", "um"), (None, None)),
        ((1, 2, 3), ("furlong", "um", "um"), (None, None)),
        ((1, 0, 3), ("um", "um", "um"), (None, None)),
        ((1, float("nan"), 3), ("um", "um", "um"), (None, None)),
    ],
)
def test_units(lengths, units, expected):
    assert in_micrometres(lengths, units) == expected
