import shutil

import h5py
import numpy as np
import pytest
import tifffile

from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs import open_label_job, parse_output
from sp_graph_seg.label_jobs.finished import exists, find_finished, read_finished


@pytest.mark.parametrize(
    ("name", "dataset"),
    [("a.zarr", None), ("a.tif", None), ("a.h5:/x/y", "/x/y"), ("folder", None)],
)
@pytest.mark.parametrize("num_labels", [4, 400])
def test_an_output_tells_about_itself(tmp_path, name, dataset, num_labels):
    job = open_label_job(f"{tmp_path}/{name}", (3, 4, 5), num_labels, {"a": 1})
    assert not exists(job.output)
    job.write_block(0, np.zeros((3, 4, 5), int), {1: "bad"})
    job.finish()
    assert exists(job.output)
    shape, dtype, provenance, place = read_finished(job.output)
    assert (shape, dtype, place) == ((3, 4, 5), job.dtype, dataset)
    assert (provenance["settings"], provenance["skipped"]) == ({"a": 1}, {"1": "bad"})


@pytest.mark.parametrize("top", [None, "a.zarr"])
def test_a_zipped_zarr_tells_about_itself(tmp_path, top):
    """The store is the ZIP file itself, or a folder in it."""
    job = open_label_job(tmp_path / "a.zarr", (3, 4, 5), 4, {"a": 1})
    job.write_block(0, np.zeros((3, 4, 5), int), {})
    job.finish()
    root = tmp_path / "a.zarr" if top is None else tmp_path
    file = shutil.make_archive(str(tmp_path / "zipped.zarr"), "zip", root, top)
    assert find_finished(file) == find_finished(tmp_path / "a.zarr") == read_finished(job.output)
    for name in ("missing.zip", "missing.tif", "a.txt"):
        assert find_finished(tmp_path / name) is None


def test_strange_outputs_tell_nothing(tmp_path):
    for name in ("a.zarr", "a.tif", "a.h5", "a.npy", "folder"):
        assert read_finished(parse_output(tmp_path / name)) is None
        (tmp_path / name).write_text("no labels")
        assert exists(parse_output(tmp_path / name))
        assert read_finished(parse_output(tmp_path / name)) is None


def test_an_empty_folder_is_as_good_as_none(tmp_path):
    for name, outcome in (("a.zarr", False), ("folder", False), ("a.tif", True)):
        (tmp_path / name).mkdir()
        assert exists(parse_output(tmp_path / name)) == outcome


SHAPE = (6, 40, 50)
SETTINGS = {"model": "a"}


def open_job(path, **flags):
    return open_label_job(path, SHAPE, 7, SETTINGS, block=2, **flags)


@pytest.fixture(params=["a.zarr", "a.tif", "a.h5", "folder"])
def output(request, tmp_path):
    """A finished output with many labels, and a block that has none."""
    job = open_job(tmp_path / request.param)
    labels = np.random.default_rng(0).integers(0, 7, SHAPE)
    labels[4:] = job.unlabelled
    for start, stop in job.missing_blocks():
        job.write_block(start, labels[start:stop])
    job.finish()
    return tmp_path / request.param


def files_of(path):
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def test_a_whole_output_is_accepted(output):
    assert open_job(output, resume=True).complete


def places_of_data(file):
    """The bytes of a file that hold labels."""
    if file.suffix == ".h5":
        with h5py.File(file) as h5:
            chunk = h5["labels"].id.get_chunk_info(0)
        return chunk.byte_offset, chunk.byte_offset + chunk.size
    if file.suffix == ".tif":
        with tifffile.TiffFile(file) as tif:
            page = tif.pages.first
        return page.dataoffsets[0], page.dataoffsets[0] + page.databytecounts[0]
    size = file.stat().st_size
    return size // 3, 2 * size // 3  # the rest may be metadata


def test_a_damaged_output_is_not_accepted_as_finished(output):
    """A flipped bit at ten places in the labels of each file, and half of each file missing."""
    rng = np.random.default_rng(1)
    for file in [file for file in files_of(output) if file.suffix != ".json"]:
        content = file.read_bytes()
        for place in rng.integers(*places_of_data(file), 10):
            damaged = bytearray(content)
            damaged[place] ^= 1 << rng.integers(8)
            file.write_bytes(damaged)
            with pytest.raises(InputError, match=r"damaged.* so it cannot be resumed; add --over"):
                open_job(output, resume=True)
        if output.suffix:  # a folder that cannot be read may hold files of others
            assert not open_job(output, resume=True, overwrite=True).complete
            shutil.rmtree(output.with_name(f"{output.name}.partial"))
        file.write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError, match="damaged"):
            open_job(output, resume=True)
        file.write_bytes(content)
    assert open_job(output, resume=True).complete


@pytest.mark.parametrize("name", ["a.zarr", "folder"])
def test_a_missing_file_is_noticed(name, tmp_path):
    job = open_job(tmp_path / name)
    for start, stop in job.missing_blocks():
        job.write_block(start, np.full((stop - start, 40, 50), start))
    job.finish()
    files = [file for file in files_of(tmp_path / name) if file.name != "zarr.json"]
    assert len(files) >= 3
    for file in files:
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(InputError, match=r"damaged|shape was"):
            open_job(tmp_path / name, resume=True)
        file.write_bytes(content)
    assert open_job(tmp_path / name, resume=True).complete


@pytest.mark.parametrize(
    "place", ["notes.txt", "0/c/notes.txt", "0/c/0/notes.txt", "other/zarr.json"]
)
def test_a_zarr_with_files_of_others_is_never_replaced(place, tmp_path):
    job = open_job(tmp_path / "a.zarr")
    for start, stop in job.missing_blocks():
        job.write_block(start, np.zeros((stop - start, 40, 50), int))
    job.finish()
    foreign = tmp_path / "a.zarr" / place
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("mine")
    before = {file: file.read_bytes() for file in files_of(tmp_path / "a.zarr")}
    with pytest.raises(InputError, match="holds something other than labels"):
        open_job(tmp_path / "a.zarr", overwrite=True)
    assert {file: file.read_bytes() for file in files_of(tmp_path / "a.zarr")} == before
    assert open_job(tmp_path / "a.zarr", resume=True).complete
