"""What other programs read in the labels: the fields of each format, without our readers."""

from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
import tifffile

from sp_graph_seg.label_jobs import open_label_job
from sp_graph_seg.label_jobs.formats import tiff
from sp_graph_seg.volumes import Axis, Geometry, open_volume

GEOMETRY = Geometry(
    (Axis("z", 1.5, "micrometer", 6.0), Axis("y", 0.5, "micrometer"), Axis("x", 0.25, "micrometer"))
)
LABELS = np.random.default_rng(0).integers(0, 3, (5, 6, 7)).astype(np.uint8)


def write(path, num_labels=3, geometry=GEOMETRY):
    about = {1: {"name": "pore", "color": "#ff8800"}}
    job = open_label_job(path, LABELS.shape, num_labels, {}, geometry=geometry, labels=about)
    job.write_block(0, LABELS)
    job.finish()
    return path


def test_fiji_shows_colours_and_the_voxel_size(tmp_path):
    with tifffile.TiffFile(write(tmp_path / "a.tif")) as tif:
        about, page = tif.imagej_metadata, tif.pages.first
        assert (about["images"], about["slices"]) == (5, 5)
        assert (about["spacing"], about["unit"], about["zorigin"]) == (1.5, "um", -4.0)
        assert page.tags["XResolution"].value == (4, 1)
        assert page.tags["YResolution"].value == (2, 1)
        assert page.photometric == tifffile.PHOTOMETRIC.PALETTE
        np.testing.assert_array_equal(page.colormap[:, 1] // 257, [255, 136, 0])
        used = page.colormap[:, :3].T
        assert len({tuple(color) for color in used.tolist()}) == 3
        assert (used.sum(axis=1) > 0).all()  # nothing opens black
        np.testing.assert_array_equal(tif.asarray(), LABELS)


def test_many_labels_open_with_the_whole_range(tmp_path):
    with tifffile.TiffFile(write(tmp_path / "a.tif", 300)) as tif:
        assert (tif.imagej_metadata["min"], tif.imagej_metadata["max"]) == (0, 2)
        np.testing.assert_array_equal(tif.asarray(), LABELS)


@pytest.mark.parametrize("name", ["a.ome.tif", "large.tif"])
def test_ome_xml(tmp_path, monkeypatch, name):
    monkeypatch.setattr(tiff, "CLASSIC_BYTES", 10 if name == "large.tif" else 2**32)
    with tifffile.TiffFile(write(tmp_path / name)) as tif:
        assert tif.is_bigtiff == (name == "large.tif")
        root = ElementTree.fromstring(tif.ome_metadata)
        pixels = root.find(".//{*}Pixels")
        assert [float(pixels.get(f"PhysicalSize{axis}")) for axis in "ZYX"] == [1.5, 0.5, 0.25]
        assert {pixels.get(f"PhysicalSize{axis}Unit") for axis in "ZYX"} == {"µm"}
        places = [float(plane.get("PositionZ")) for plane in pixels.findall("{*}Plane")]
        assert places == [6 + 1.5 * n for n in range(5)]
        assert tif.pages.first.photometric == tifffile.PHOTOMETRIC.PALETTE
        np.testing.assert_array_equal(tif.asarray(), LABELS)


@pytest.mark.parametrize("dataset", ["/labels", "/entry/labels", "/entry/data", "/entry/data/x"])
def test_nexus_plots_the_labels_over_their_axes(tmp_path, dataset):
    write(f"{tmp_path}/a.nxs:{dataset}")
    with h5py.File(tmp_path / "a.nxs") as file:
        entry = file[file.attrs["default"]]
        plot = entry[entry.attrs["default"]]
        assert (entry.attrs["NX_class"], plot.attrs["NX_class"]) == ("NXentry", "NXdata")
        np.testing.assert_array_equal(plot[plot.attrs["signal"]], LABELS)
        assert list(plot.attrs["axes"]) == ["z", "y", "x"]
        np.testing.assert_allclose(plot["z"], [6, 7.5, 9, 10.5, 12])
        assert plot["x"].attrs["units"] == "micrometer"
        assert [file[dataset].dims[i][0] for i in range(3)] == [plot[axis] for axis in "zyx"]
    assert open_volume(tmp_path / "a.nxs").spacing == (1.5, 0.5, 0.25)


def test_nrrd(tmp_path):
    content = write(tmp_path / "a.nrrd").read_bytes()
    header, _, values = content.partition(b"\n\n")
    lines = header.decode("ascii").splitlines()
    fields = dict(line.split(": ", 1) for line in lines[2:])
    assert lines[0] == "NRRD0005"
    assert lines[1].startswith("# ")
    assert fields["sizes"] == "7 6 5"  # the fastest axis first
    assert fields["space directions"] == "(0.25,0,0) (0,0.5,0) (0,0,1.5)"
    assert fields["space origin"] == "(0.0,0.0,6.0)"
    assert fields["space units"] == '"micrometer" "micrometer" "micrometer"'
    assert values == LABELS.tobytes()


def test_vti(tmp_path):
    content = write(tmp_path / "a.vti").read_bytes()
    text, _, rest = content.partition(b'<AppendedData encoding="raw">_')
    image = ElementTree.fromstring(text + b"</VTKFile>").find("ImageData")
    assert image.get("WholeExtent") == "0 6 0 5 0 4"
    assert image.get("Spacing") == "0.25 0.5 1.5"
    assert image.get("Origin") == "0.0 0.0 6.0"
    assert int.from_bytes(rest[:8], "little") == LABELS.nbytes
    assert rest[8 : 8 + LABELS.nbytes] == LABELS.tobytes()
    assert rest.endswith(b"</AppendedData>\n</VTKFile>\n")


def test_numpy_reads_the_labels_and_then_the_note(tmp_path):
    path = write(tmp_path / "a.npy")
    for mode in (None, "r"):
        np.testing.assert_array_equal(np.load(path, mmap_mode=mode), LABELS)
    with open(path, "rb") as file:
        np.load(file)
        assert "micrometer" in str(np.load(file))
