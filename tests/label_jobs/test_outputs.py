import os
from pathlib import Path

import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs import parse_output
from sp_graph_seg.label_jobs.outputs import refuse_inputs


@pytest.mark.parametrize(
    ("name", "path", "kind", "dataset"),
    [
        ("a.zarr", "a.zarr", "OmeZarr", None),
        ("a.TIF", "a.TIF", "ImageJTiff", None),
        ("a.b.tiff", "a.b.tiff", "ImageJTiff", None),
        ("a.OME.tif", "a.OME.tif", "OmeTiff", None),
        ("a.ome.zarr", "a.ome.zarr", "OmeZarr", None),
        ("a.nrrd", "a.nrrd", "Nrrd", None),
        ("a.vti", "a.vti", "Vti", None),
        ("a.h5", "a.h5", "Hdf5", "/labels"),
        ("a.hdf5:/x/y", "a.hdf5", "Hdf5", "/x/y"),
        ("a.nxs:x/y/", "a.nxs", "Hdf5", "/x/y"),
        ("a.H5:", "a.H5", "Hdf5", "/labels"),
        ("a.npy", "a.npy", "Npy", None),
        ("folder", "folder", "Pngs", None),
        ("scan.v2/", "scan.v2", "Pngs", None),
        ("a.zarr/", "a.zarr", "OmeZarr", None),
    ],
)
def test_the_name_tells_the_format(tmp_path, name, path, kind, dataset):
    output = parse_output(f"{tmp_path}/{name}")
    assert (output.path, output.dataset) == (tmp_path / path, dataset)
    assert type(output.format).__name__ == kind
    assert output.partial == tmp_path / f"{path}.partial"
    assert parse_output(output) is output


@pytest.mark.parametrize("name", ["a.png", "a.zarr.zip", "scan.v2"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path, name):
    with pytest.raises(InputError, match=r"\.zarr, \.tif.*\.npy.* folder of PNGs"):
        parse_output(tmp_path / name)


def test_a_dataset_is_refused_for_other_formats(tmp_path):
    with pytest.raises(InputError, match="only an HDF5 file has datasets"):
        parse_output(f"{tmp_path}/a.tif:/labels")


@pytest.mark.parametrize(
    ("name", "given"), [("b/../a.h5:/x", "b/../a.h5"), ("new/", "new"), (".", None)]
)
def test_the_name_as_it_was_given_is_kept(tmp_path, monkeypatch, name, given):
    monkeypatch.chdir(tmp_path)
    output = parse_output(name)
    assert output.given == (output.path if given is None else Path(given))
    assert output.given.resolve() == output.path


def test_the_root_is_no_output():
    with pytest.raises(InputError, match="is the root folder"):
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
