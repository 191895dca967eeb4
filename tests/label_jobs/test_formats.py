import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from sp_graph_seg.io import label_colors, read_labels
from sp_graph_seg.label_jobs import open_label_job
from sp_graph_seg.label_jobs.formats import FORMATS, chunk_shape, slice_names
from sp_graph_seg.label_jobs.manifest import Manifest
from sp_graph_seg.volumes import Axis, Geometry, open_volume

SETTINGS = {"model": "é", "options": [1, None]}
OUTPUTS = [
    *("a.zarr", "a.tif", "a.ome.tif", "a.h5", "a.nxs:/entry/labels", "b.nxs:/entry/data"),
    *("c.nxs:/entry/data/labels", "a.npy", "a.nrrd", "a.vti", "folder"),
]


def along(axis):
    return Geometry((Axis(axis), Axis("y"), Axis("x")))


def make(tmp_path, name, num_labels=5, axis="z", count=7):
    """Write random labels of which one slice was skipped; give the output and what is in it."""
    labels = np.random.default_rng(0).integers(0, num_labels, (count, 9, 11))
    labels[0, 0, 0] = num_labels - 1
    output = f"{tmp_path}/{name}"
    job = open_label_job(output, labels.shape, num_labels, SETTINGS, block=3, geometry=along(axis))
    for start, stop in job.missing_blocks():
        job.write_block(start, labels[start:stop], {4: "dark"} if start == 3 else {})
    assert job.finish() == {4: "dark"}
    labels[4] = job.unlabelled
    return output, labels.astype(job.dtype)


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("num_labels", [255, 256])
@pytest.mark.parametrize("axis", ["z", "t"])
def test_open_volume_reads_what_was_written(tmp_path, name, num_labels, axis):
    output, labels = make(tmp_path, name, num_labels, axis)
    volume = open_volume(output)
    back = np.concatenate([volume[number] for number in range(volume.num_slices)])
    assert back.dtype == labels.dtype == (np.uint8 if num_labels == 255 else np.uint16)
    np.testing.assert_array_equal(back, labels)
    assert [path.name for path in tmp_path.iterdir()] == [name.partition(":")[0]]


@pytest.mark.parametrize("name", OUTPUTS)
def test_three_slices_are_not_taken_for_colours(tmp_path, name):
    labels = np.arange(18, dtype=np.uint8).reshape(3, 2, 3)
    job = open_label_job(f"{tmp_path}/{name}", labels.shape, 18, {})
    job.write_block(0, labels)
    job.finish()
    assert open_volume(f"{tmp_path}/{name}").num_slices == 3


def check_provenance(provenance, axis="z"):
    assert provenance == {
        "version": 2,
        "num_labels": 5,
        "unlabelled": 255,
        "geometry": json.loads(json.dumps(along(axis).to_json())),
        "settings": SETTINGS,
        "skipped": {"4": "dark"},
        "legend": [{"label": n, "color": c} for n, c in label_colors(range(5)).items()],
    }


def test_zarr(tmp_path):
    output, labels = make(tmp_path, "a.zarr", axis="t")
    group = zarr.open_group(output, mode="r")
    array = group["0"]
    np.testing.assert_array_equal(array[:], labels)
    assert array.metadata.zarr_format == 3
    assert array.metadata.dimension_names == ("t", "y", "x")
    assert array.chunks == (3, 9, 11)
    assert array.fill_value == 255
    check_provenance(group.attrs["sp_graph_seg"], axis="t")


def test_tiff(tmp_path):
    output, labels = make(tmp_path, "a.tif")
    with tifffile.TiffFile(output) as tif:
        np.testing.assert_array_equal(tif.asarray(), labels)
        assert (len(tif.pages), tif.series[0].axes, tif.is_bigtiff) == (7, "ZYX", False)
        assert tif.pages[3].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        check_provenance(json.loads(tif.imagej_metadata["Info"])["sp_graph_seg"])


def test_a_large_tiff_is_a_big_tiff(tmp_path, monkeypatch):
    monkeypatch.setattr(Manifest, "nbytes", property(lambda _: 2**32))
    output, labels = make(tmp_path, "a.tiff")
    with tifffile.TiffFile(output) as tif:
        assert tif.is_bigtiff
        np.testing.assert_array_equal(tif.asarray(), labels)


def test_hdf5(tmp_path):
    _, labels = make(tmp_path, "a.h5:/entry/labels")
    with h5py.File(tmp_path / "a.h5") as file:
        dataset = file["entry/labels"]
        np.testing.assert_array_equal(dataset, labels)
        assert (dataset.chunks, dataset.compression, dataset.fillvalue) == ((3, 9, 11), "gzip", 255)
        assert [dimension.label for dimension in dataset.dims] == ["z", "y", "x"]
        check_provenance(json.loads(dataset.attrs["sp_graph_seg"]))


def test_npy(tmp_path):
    output, labels = make(tmp_path, "a.npy", num_labels=300)
    np.testing.assert_array_equal(np.load(output, mmap_mode="r"), labels)


def test_a_folder_of_pngs(tmp_path):
    output, labels = make(tmp_path, "folder")
    np.testing.assert_array_equal(read_labels(f"{output}/0002.png"), labels[2])
    check_provenance(json.loads(Path(output, "labels.json").read_text())["sp_graph_seg"])


@pytest.mark.parametrize("name", ["a.zarr", "a.tif", "a.ome.tif", "a.h5", "a.nrrd", "a.vti"])
def test_thousands_of_skipped_slices_fit_into_the_record(tmp_path, name):
    output = f"{tmp_path}/{name}"
    job = open_label_job(output, (3000, 1, 2), 5, {}, block=3000)
    skipped = dict.fromkeys(range(3000), "the frame could not be decoded")
    job.write_block(0, np.zeros((3000, 1, 2), int), skipped)
    job.finish()
    again = open_label_job(output, (3000, 1, 2), 5, {}, block=3000, resume=True)
    assert again.complete
    assert again.finish() == skipped


@pytest.mark.parametrize("block", [1, 12, 37, 64])
@pytest.mark.parametrize("side", [1, 100, 1100, 5000])
@pytest.mark.parametrize("num_labels", [5, 300])
def test_chunks_divide_blocks_and_are_bounded(block, side, num_labels):
    manifest = Manifest(shape=(64, side, side), num_labels=num_labels, block=block, settings={})
    slices, height, width = chunk_shape(manifest, 2**22)
    assert block % slices == 0
    assert slices * height * width * manifest.dtype.itemsize <= 2**22
    assert height == width
    assert (height == side) == (side <= 1024)
    assert -(-side // height) * height - side < 8  # hardly any padding


def test_a_suffix_names_one_format():
    suffixes = [suffix for form in FORMATS for suffix in form.suffixes]
    assert sorted(suffixes) == sorted({suffix.lower() for suffix in suffixes})


def test_slice_numbers_sort_like_numbers():
    for count in (3, 20000):
        names = slice_names(count)
        assert names == sorted(names)
        assert list(map(int, names)) == list(range(count))
