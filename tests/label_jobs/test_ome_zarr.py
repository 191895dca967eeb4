"""OME-Zarr 0.5, https://ngff.openmicroscopy.org/0.5: what the specification says that must be."""

import itertools
import json

import numpy as np
import pytest
import zarr

from sp_graph_seg.label_jobs import open_label_job
from sp_graph_seg.label_jobs.formats import pyramid
from sp_graph_seg.label_jobs.formats.pyramid import pool_mode
from sp_graph_seg.volumes import Axis, Geometry

GEOMETRY = Geometry(
    (Axis("z", 1.5, "micrometer", 6.0), Axis("y", 0.5, "micrometer"), Axis("x", 0.25, "micrometer"))
)
FRAMES = Geometry((Axis("t", 0.04, "second"), Axis("y"), Axis("x")))
UNITS = {"space": "micrometer", "time": "second"}


@pytest.fixture(params=[GEOMETRY, FRAMES, Geometry()], ids=["volume", "frames", "unknown"])
def written(request, tmp_path, monkeypatch):
    monkeypatch.setattr(pyramid, "SMALLEST", 8)
    monkeypatch.setattr(pyramid, "SLAB_BYTES", 400)
    labels = np.random.default_rng(0).integers(0, 3, (11, 20, 31))
    about = {1: {"name": "pore", "color": "#ff8800"}}
    job = open_label_job(
        tmp_path / "a.zarr", labels.shape, 5, {}, block=4, geometry=request.param, labels=about
    )
    for start, stop in job.blocks:
        job.write_block(start, labels[start:stop], {2: "dark"} if start == 0 else {})
    job.finish()
    labels[2] = 255
    return tmp_path / "a.zarr", labels.astype(np.uint8), request.param


def test_multiscales(written):
    path, labels, geometry = written
    ome = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    assert ome["version"] == "0.5"
    (image,) = ome["multiscales"]
    kinds = [axis["type"] for axis in image["axes"]]
    assert [axis["name"] for axis in image["axes"]] == list(geometry.order)
    assert kinds in (["space"] * 3, ["time", "space", "space"])  # time first
    for axis in image["axes"]:
        assert axis.get("unit") in (None, UNITS[axis["type"]])
    shapes = []
    for dataset in image["datasets"]:
        array = zarr.open_array(path / dataset["path"], mode="r")
        assert array.metadata.dimension_names == tuple(geometry.order)
        assert array.metadata.chunk_key_encoding.to_dict()["configuration"] == {"separator": "/"}
        shapes.append(array.shape)
        scale, shift = dataset["coordinateTransformations"]
        assert (scale["type"], shift["type"]) == ("scale", "translation")
        assert len(scale["scale"]) == len(shift["translation"]) == 3
    assert shapes == sorted(shapes, reverse=True)  # the largest first
    assert shapes[0] == labels.shape
    assert max(n for n, kind in zip(shapes[-1], kinds, strict=True) if kind == "space") <= 8
    if geometry is FRAMES:
        assert {shape[0] for shape in shapes} == {11}
    assert {path.name for path in path.iterdir()} == {
        "zarr.json",
        *(dataset["path"] for dataset in image["datasets"]),
    }


def test_the_voxels_of_all_levels_cover_the_same_space(written):
    path, _, geometry = written
    (image,) = zarr.open_group(path, mode="r").attrs["ome"]["multiscales"]
    begins = [a.origin - (a.spacing or 1) / 2 for a in geometry.axes]
    for dataset in image["datasets"]:
        scale, shift = dataset["coordinateTransformations"]
        half = np.array(scale["scale"]) / 2
        np.testing.assert_allclose(np.array(shift["translation"]) - half, begins)


def test_each_level_has_the_most_frequent_label_of_the_one_before(written):
    path, labels, _ = written
    group = zarr.open_group(path, mode="r")
    np.testing.assert_array_equal(group["0"][:], labels)
    levels = [group[str(number)][:] for number in range(len(list(group.array_keys())))]
    for fine, coarse in itertools.pairwise(levels):
        steps = [-(-n // m) for n, m in zip(fine.shape, coarse.shape, strict=True)]
        np.testing.assert_array_equal(coarse, mode_of_windows(fine, steps))


def mode_of_windows(labels, steps):
    wide = np.pad(labels, [(0, -n % s) for n, s in zip(labels.shape, steps, strict=True)], "edge")
    shape = [n // s for n, s in zip(wide.shape, steps, strict=True)]
    found = np.empty(shape, labels.dtype)
    for place in np.ndindex(*shape):
        window = tuple(slice(i * s, (i + 1) * s) for i, s in zip(place, steps, strict=True))
        found[place] = np.bincount(wide[window].ravel()).argmax()  # the smallest in a tie
    return found


@pytest.mark.parametrize("steps", [(2, 2, 2), (1, 2, 2), (2, 1, 1), (3, 2, 1)])
def test_pooling(steps):
    labels = np.random.default_rng(1).integers(0, 4, (7, 8, 9)).astype(np.uint16)
    np.testing.assert_array_equal(pool_mode(labels, steps), mode_of_windows(labels, steps))


def test_colours_and_names_of_the_labels_in_use(written):
    path, labels, _ = written
    about = zarr.open_group(path, mode="r").attrs["ome"]["image-label"]
    colors = {entry["label-value"]: entry["rgba"] for entry in about["colors"]}
    names = {entry["label-value"]: entry["name"] for entry in about["properties"]}
    assert set(colors) == set(names) == set(np.unique(labels).tolist())
    assert len(about["colors"]) == len(colors)
    assert all(len(rgba) == 4 and {type(n) for n in rgba} == {int} for rgba in colors.values())
    assert (colors[1], names[1]) == ([255, 136, 0, 255], "pore")
    assert colors[255][3] == 0
    assert len({tuple(rgba) for rgba in colors.values()}) == 4
