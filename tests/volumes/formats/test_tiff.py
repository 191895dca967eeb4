import logging
from pathlib import Path

import numpy as np
import pytest
import tifffile

from sp_graph_seg.errors import InputError
from sp_graph_seg.io import read_image, read_labels
from sp_graph_seg.volumes import open_volume

SHARED = Path(__file__).parents[3].parent / "shared/data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data")
RNG = np.random.default_rng(0)
ARRAY = RNG.integers(0, 256, (6, 18, 23), np.uint8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.tif"


def write(path, array=ARRAY, **options):
    tifffile.imwrite(path, array, **{"photometric": "minisblack", "metadata": None, **options})
    return path


def equals(path, expected, **options):
    volume = open_volume(path, **options)
    np.testing.assert_array_equal(volume.read(0, len(volume)), expected)
    assert volume.dtype == expected.dtype
    assert volume.check() == volume.check(quick=True) == []
    return volume


def refused(path, *words, **options):
    with pytest.raises(InputError) as caught:
        open_volume(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    assert "; " in message
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_mapped_where_that_can_be_done(path):
    kinds = {
        str(options): type(open_volume(write(path, **options)).source).__name__
        for options in ({}, {"bigtiff": True, "byteorder": ">"}, {"compression": "zlib"})
    }
    assert list(kinds.values()) == ["MappedSource", "MappedSource", "PagedTiffSource"]


@pytest.mark.parametrize("options", [{}, {"metadata": {}}, {"compression": "lzw"}])
def test_pages_written_one_by_one(path, options):
    with tifffile.TiffWriter(path) as tif:
        for page in ARRAY:
            tif.write(page, **{"metadata": None, **options})
    equals(path, ARRAY[:, np.newaxis])


@pytest.mark.parametrize("dtype", [">u2", "<i4", ">f4", "<f8", "f2", "?"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_types(path, dtype, compression):
    array = (RNG.normal(size=(5, 18, 23)) * 50).astype(dtype)
    order = ">" if dtype[0] == ">" else "<"
    write(path, array, compression=compression, byteorder=order)
    native = array.dtype.newbyteorder("=")
    equals(path, array[:, np.newaxis].astype(native))


def test_12_bits_in_16(path):
    array = RNG.integers(0, 4096, (4, 18, 24), np.uint16)
    write(path, array, bitspersample=12)
    equals(path, array[:, np.newaxis])


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_white_is_zero(path, compression):
    write(path, photometric="miniswhite", compression=compression)
    equals(path, 255 - ARRAY[:, np.newaxis])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_single_images(path, tmp_path, orientation):
    tag = [(274, "H", 1, orientation, False)]
    with tifffile.TiffWriter(path) as tif:
        for page in ARRAY:
            tif.write(page, metadata=None, extratags=tag)
    volume = open_volume(path)
    write(tmp_path / "one.tif", ARRAY[2], extratags=tag)
    expected = read_image(tmp_path / "one.tif")
    np.testing.assert_array_equal(volume[2], expected)
    assert (volume.height, volume.width) == expected.shape[1:]


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_alpha_is_dropped(path, compression, planar):
    array = RNG.integers(0, 256, (5, 18, 23, 4), np.uint8)
    stored = array if planar == "contig" else np.moveaxis(array, -1, 1)
    options = {"planarconfig": planar, "extrasamples": ["unassalpha"]}
    write(path, stored, photometric="rgb", compression=compression, **options)
    equals(path, np.moveaxis(array, -1, 1)[:, :3])


@pytest.mark.parametrize(
    ("kind", "axes"),
    [
        *(({"imagej": True}, axes) for axes in ("ZCYX", "TCYX")),
        *(({"ome": True}, axes) for axes in ("ZCYX", "TCYX", "CZYX")),
    ],
)
def test_declared_axes(path, kind, axes):
    array = RNG.integers(0, 256, (5, 2, 18, 23), np.uint8)
    stored = array.swapaxes(0, 1) if axes[0] == "C" else array
    for compression in (None, "zlib"):
        write(path, stored, **kind, metadata={"axes": axes}, compression=compression)
        equals(path, array)
        equals(path, array[2:4, 1:], start=2, stop=4, channels=1)


def test_declared_axes_that_are_no_volume(path):
    write(path, imagej=True, metadata={"axes": "CYX"})
    refused(path, "is one image", 'axes="cyx"')
    equals(path, ARRAY[:, np.newaxis], axes="zyx")
    write(path, np.stack([ARRAY, ARRAY]), imagej=True, metadata={"axes": "TZYX"})
    refused(path, "tzyx", "export one time")
    write(path, np.stack([ARRAY, ARRAY]), metadata={})
    refused(path, "(2, 6, 18, 23)", 'axes="zcyx"')
    equals(path, np.stack([ARRAY, ARRAY]), axes="zcyx")
    write(path, ARRAY[0])
    refused(path, "is one image", 'axes="yx"')
    equals(path, ARRAY[:1, np.newaxis], axes="yx")


def test_several_series(path):
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(ARRAY, metadata={"axes": "ZYX", "PhysicalSizeX": 7.0})
        sizes = {f"PhysicalSize{axis}": 2.0 for axis in "XYZ"}
        tif.write(ARRAY[::-1, :9], metadata={"axes": "ZYX", **sizes})
    refused(path, "holds 2 series", f"{path}:0")
    equals(f"{path}:0", ARRAY[:, np.newaxis])
    assert equals(f"{path}:/1", ARRAY[::-1, np.newaxis, :9]).spacing == (2, 2, 2)
    refused(f"{path}:2", "no series '2'", "0 to 1")
    one, other = (open_volume(f"{path}:{i}", crop=":9,:") for i in range(2))
    assert one.fingerprint() != other.fingerprint()


def test_thumbnails_are_no_slices(path):
    with tifffile.TiffWriter(path) as tif:
        for page in ARRAY:
            tif.write(page, metadata=None)
        tif.write(ARRAY[0, ::2, ::2], metadata=None, subfiletype=1)
    equals(path, ARRAY[:, np.newaxis])


@pytest.mark.parametrize("photometric", ["separated", "cielab", "palette"])
def test_other_colours(path, photometric):
    array = RNG.integers(0, 256, (5, 18, 23, 4 if photometric == "separated" else 3), np.uint8)
    options = {}
    if photometric == "palette":
        array, options = array[..., 0], {"colormap": np.zeros((3, 256), np.uint16)}
    write(path, array, photometric=photometric, **options)
    refused(path, "colours", "grey or RGB")


def test_a_lookup_table_of_imagej_is_for_display(path):
    table = np.zeros((3, 256), np.uint8)
    write(path, imagej=True, metadata={"axes": "ZYX"}, colormap=table)
    equals(path, ARRAY[:, np.newaxis])


# Damage


@pytest.mark.parametrize("metadata", [None, {}])
@pytest.mark.parametrize("odd", [ARRAY[0, :, :22], ARRAY[0].astype(np.uint16)])
def test_a_page_of_another_size_or_type(path, odd, metadata):
    with tifffile.TiffWriter(path) as tif:
        for number, page in enumerate(ARRAY):
            tif.write(odd if number == 3 else page, metadata=metadata)
    refused(path, "page 3 ", str(odd.shape), str(odd.dtype), "(18, 23)")


KINDS = {
    "plain": {},
    "shaped": {"metadata": {}},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
    "zlib": {"compression": "zlib"},
    "big": {"bigtiff": True, "compression": "lzw"},
    "tiled": {"tile": (16, 16)},
}


@pytest.mark.parametrize("part", [0.01, 0.1, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", KINDS)
def test_cut_off(path, kind, part, caplog):
    """What is read without complaint is whole: some kinds end with headers that are not needed."""
    content = write(path, **KINDS[kind]).read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with caplog.at_level(logging.DEBUG, logger="tifffile"):
        try:
            volume = open_volume(path)
            problems = volume.check()
        except InputError as error:
            problems = [(0, str(error))]
    if problems == []:
        assert part >= 0.9
        np.testing.assert_array_equal(volume.read(0, 6)[:, 0], ARRAY)
    for number, reason in problems:
        assert reason.startswith(f"{path}: ")
        assert "; " in reason
        assert "\n" not in reason
        assert number < len(ARRAY)
    assert not caplog.records


@pytest.mark.parametrize("pages", [7, 31])
def test_cut_off_in_the_chain_of_pages(path, pages):
    """The data of the first pages are whole, and what would tell of the others is gone."""
    with tifffile.TiffWriter(path) as tif:
        for number in range(pages):
            tif.write(ARRAY[number % 6], metadata=None, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        ends = [page.dataoffsets[0] + page.databytecounts[0] for page in tif.pages]
    path.write_bytes(path.read_bytes()[: ends[pages // 2]])
    refused(path, "cut off")


def damage(path, page):
    with tifffile.TiffFile(path) as tif:
        start, size = tif.pages[page].dataoffsets[0], tif.pages[page].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[start : start + size] = bytes(size)
    path.write_bytes(content)


def test_a_page_that_does_not_decode(path):
    write(path, compression="zlib")
    damage(path, 3)
    volume = open_volume(path, start=1)
    ((number, reason),) = volume.check()
    assert number == 2  # in the volume, which begins at page 1
    assert reason.startswith(f"{path}: page 3 (of 0 to 5): cannot be read")
    assert volume.check(quick=True) == []
    np.testing.assert_array_equal(volume[3], ARRAY[np.newaxis, 4])
    with pytest.raises(InputError, match=r"page 3 \(of 0 to 5\)"):
        volume.read(0, 5)
    assert open_volume(path, stop=3).check() == []
    assert [n for n, _ in open_volume(path, axis="y").check()] == [3]
    assert [n for n, _ in open_volume(path, binning=(2, 1, 1)).check()] == [1]


def test_quick_sees_what_lies_behind_the_end(path):
    with tifffile.TiffWriter(path) as tif:
        for page in ARRAY:
            tif.write(page, metadata=None)
    path.write_bytes(path.read_bytes()[:-100])
    volume = open_volume(path)
    for quick in (False, True):
        ((number, reason),) = volume.check(quick)
        assert number == 5
        assert "page 5 (of 0 to 5)" in reason
    np.testing.assert_array_equal(volume[4], ARRAY[np.newaxis, 4])


@needs_shared
def test_samples():
    for name in ("cement", "fibers", "concrete_xray", "concrete_neutron"):
        file = SHARED / f"tomography/{name}.tif"
        expected = tifffile.imread(file)
        volume = open_volume(file)
        np.testing.assert_array_equal(volume.read(0, len(volume))[:, 0], expected)
        np.testing.assert_array_equal(open_volume(file, axis="x")[7][0], expected[..., 7])
    volume = open_volume(SHARED / "odd/corrupt.tif", start=590)
    assert [number for number, _ in volume.check()] == list(range(10))


@pytest.mark.parametrize("pages", [1, 3])
def test_a_thumbnail_may_come_first(tmp_path, pages):
    path = tmp_path / "a.tif"
    large = np.random.default_rng(0).integers(0, 255, (pages, 30, 40), np.uint8)
    with tifffile.TiffWriter(path) as tif:
        tif.write(large[0, ::4, ::4], subfiletype=1, metadata=None)
        for image in large:
            tif.write(image, metadata=None)
    volume = open_volume(path, axes="yx" if pages == 1 else "zyx")
    np.testing.assert_array_equal(volume.read(0, pages)[:, 0], large)
    np.testing.assert_array_equal(read_image(path), large)  # few pages are channels
    if pages == 1:
        np.testing.assert_array_equal(read_labels(path), large[0])
