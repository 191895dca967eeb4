import os

import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs import parse_output
from sp_graph_seg.label_jobs.outputs import refuse_inputs


@pytest.mark.parametrize(
    ("name", "path", "kind", "dataset"),
    [
        ("a.zarr", "a.zarr", "zarr", None),
        ("a.TIF", "a.TIF", "tiff", None),
        ("a.b.tiff", "a.b.tiff", "tiff", None),
        ("a.h5", "a.h5", "hdf5", "/labels"),
        ("a.hdf5:/x/y", "a.hdf5", "hdf5", "/x/y"),
        ("a.nxs:x/y/", "a.nxs", "hdf5", "/x/y"),
        ("a.H5:", "a.H5", "hdf5", "/labels"),
        ("a.npy", "a.npy", "npy", None),
        ("folder", "folder", "folder", None),
        ("scan.v2/", "scan.v2", "folder", None),
        ("a.zarr/", "a.zarr", "zarr", None),
    ],
)
def test_the_name_tells_the_format(tmp_path, name, path, kind, dataset):
    output = parse_output(f"{tmp_path}/{name}")
    assert (output.path, output.kind, output.dataset) == (tmp_path / path, kind, dataset)
    assert output.partial == tmp_path / f"{path}.partial"


@pytest.mark.parametrize("name", ["a.png", "a.zarr.zip", "scan.v2"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path, name):
    with pytest.raises(InputError, match=r"\.zarr, \.tif.*\.npy.* folder of PNGs"):
        parse_output(tmp_path / name)


def test_a_dataset_is_refused_for_other_formats(tmp_path):
    with pytest.raises(InputError, match="only an HDF5 file has datasets"):
        parse_output(f"{tmp_path}/a.tif:/labels")


def test_the_root_is_no_output():
    with pytest.raises(InputError, match="no name"):
        parse_output("/")


def test_an_output_must_keep_away_from_the_inputs(tmp_path):
    scan, frames = tmp_path / "scan.h5", tmp_path / "frames"
    scan.touch()
    frames.mkdir()
    (tmp_path / "raw.zarr").mkdir()
    os.link(scan, tmp_path / "other.h5")
    for output, given in [
        (scan, f"{scan}:/entry/data"),
        (tmp_path / "other.h5", scan),
        (f"{scan}:/labels", scan),
        (frames / "labels.tif", frames),
        (frames, frames / "raw.tif"),
        (tmp_path / "raw.zarr" / "labels.zarr", f"{tmp_path / 'raw.zarr'}:/0"),
    ]:
        with pytest.raises(InputError, match=r"input .*; choose"):
            refuse_inputs(parse_output(output), [tmp_path / "unrelated", given])
    refuse_inputs(parse_output(tmp_path / "labels.h5"), [scan, frames, f"{scan}:/x"])
    (tmp_path / "link").symlink_to(frames)
    with pytest.raises(InputError, match="lies inside"):
        refuse_inputs(parse_output(tmp_path / "link" / "a.tif"), [frames])
