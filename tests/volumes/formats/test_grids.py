"""NRRD and VTK image data of other programs: all that their headers may say."""

import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import open_volume

ARRAY = np.random.default_rng(0).integers(0, 60000, (5, 6, 7), np.uint16)
VALUES = ARRAY.astype("<u2").tobytes()
NRRD = ["NRRD0004", "type: unsigned short", "dimension: 3", "sizes: 7 6 5"]


def nrrd(path, *lines, values=VALUES, kind="encoding: raw", endian="little"):
    header = "\n".join([*NRRD, kind, f"endian: {endian}", *lines, "", ""])
    path.write_bytes(header.encode() + values)
    return path


def read(path, **options):
    volume = open_volume(path, **options)
    np.testing.assert_array_equal(volume.read(0, len(volume))[:, 0], ARRAY)
    return volume


@pytest.mark.parametrize(
    ("lines", "spacing", "origin"),
    [
        ([], None, (0, 0, 0)),
        (["spacings: 1 2 3"], (3, 2, 1), (0, 0, 0)),
        (["spacings: 1 2 nan"], None, (0, 0, 0)),
        (
            ["spacings: 1 2 3", 'units: "mm" "mm" "mm"', "axis mins: 0 0 9"],
            (3000, 2000, 1000),
            (10500, 1000, 500),
        ),
        (
            ["spacings: 1 2 3", "axis mins: 0 0 9", "centerings: node node node"],
            (3, 2, 1),
            (9, 0, 0),
        ),
        (
            [
                "space: left-posterior-superior",
                "space directions: (0.5,0,0) (0,3,4) (0,0,-2)",
                'space units: "um" "um" "um"',
                "space origin: (1,0,-8)",
            ],
            (2, 5, 0.5),
            (8, -6.4, 1),
        ),
    ],
)
def test_nrrd(tmp_path, lines, spacing, origin):
    volume = read(nrrd(tmp_path / "a.nrrd", "# a comment", "key:=value: of no matter", *lines))
    assert volume.spacing == spacing
    known = [axis.origin for axis in volume.geometry.axes if axis.spacing]
    assert known == pytest.approx(origin[-len(known) :] if known else [])


def test_nrrd_with_its_values_in_another_file(tmp_path):
    values = ARRAY.astype(">u2").tobytes()
    (tmp_path / "a.raw").write_bytes(b"header" + values)
    for skip in (6, -1):
        lines = ["data file: a.raw", f"byte skip: {skip}"]
        read(nrrd(tmp_path / "a.nhdr", *lines, values=b"", endian="big"))


def test_axes_of_nrrd(tmp_path):
    assert read(nrrd(tmp_path / "a.nrrd", 'labels: "x" "y" "t"')).source.axes[0].name == "t"
    volume = open_volume(nrrd(tmp_path / "a.nrrd"), axes="yxz")
    np.testing.assert_array_equal(volume.read(0, 7)[:, 0], ARRAY.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "encoding: gzip"}, "is compressed"),
        ({"values": b"123"}, "is cut off"),
        ({"kind": ""}, "cannot be read"),
    ],
)
def test_nrrd_that_cannot_be_read(tmp_path, change, reason):
    with pytest.raises(InputError, match=reason):
        open_volume(nrrd(tmp_path / "a.nrrd", **change))


def vti(path, kind="PointData", order="LittleEndian", count="UInt64", more="", array=""):
    ends = "0 6 0 5 0 4" if kind == "PointData" else "0 7 0 6 0 5"
    text = (
        f'<VTKFile type="ImageData" byte_order="{order}" header_type="{count}" {more}><ImageData '
        f'WholeExtent="{ends}" Origin="1 2 3" Spacing="0.5 1 2"><Piece Extent="{ends}"><{kind}>'
        f'<DataArray type="Float32" Name="other" format="appended" offset="0" {array}/></{kind}>'
        '</Piece></ImageData><AppendedData encoding="raw">\n  _'
    )
    small = ">" if order == "BigEndian" else "<"
    size = np.array(ARRAY.size * 4, small + {"UInt64": "u8", "UInt32": "u4"}[count])
    path.write_bytes(text.encode() + size.tobytes() + ARRAY.astype(small + "f4").tobytes())
    return path


@pytest.mark.parametrize("kind", ["PointData", "CellData"])
@pytest.mark.parametrize("order", ["LittleEndian", "BigEndian"])
@pytest.mark.parametrize("count", ["UInt32", "UInt64"])
def test_vti(tmp_path, kind, order, count):
    volume = read(vti(tmp_path / "a.vti", kind, order, count))
    half = 0.5 if kind == "CellData" else 0
    assert (volume.spacing, volume.spacing_unit) == ((2, 1, 0.5), None)
    assert [axis.origin for axis in volume.geometry.axes] == [3 + 2 * half, 2 + half, 1 + half / 2]


@pytest.mark.parametrize(
    "change",
    [{"more": 'compressor="vtkZLibDataCompressor"'}, {"array": 'x="" /><DataArray format="ascii"'}],
)
def test_vti_that_cannot_be_read(tmp_path, change):
    path = vti(tmp_path / "a.vti", **change)
    if "array" in change:
        path.write_bytes(path.read_bytes().replace(b'format="appended"', b'format="binary"'))
    with pytest.raises(InputError, match="does not store VTK image data"):
        open_volume(path)
