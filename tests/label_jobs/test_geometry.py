"""The labels of a volume lie where the volume lies, in whatever direction it was cut."""

import numpy as np
import pytest
import tifffile

from sp_graph_seg.label_jobs import job as job_module
from sp_graph_seg.label_jobs import open_label_job
from sp_graph_seg.volumes import open_volume

OUTPUTS = ["a.zarr", "a.tif", "a.h5", "a.npy", "folder"]
VOLUME = np.random.default_rng(0).integers(0, 200, (7, 9, 11), np.uint8)
SPACING = (1.5, 0.5, 0.25)


def write_scan(path, axes="ZYX", **metadata):
    tifffile.imwrite(
        path,
        VOLUME,
        imagej=True,
        resolution=(4, 2),
        metadata={"axes": axes, "unit": "um"} | metadata,
    )
    return path


def copy(volume, output):
    """Use a volume as its own labels: what is written must be what the volume was read from."""
    job = open_label_job(
        output,
        (len(volume), volume.height, volume.width),
        200,
        {},
        block=3,
        geometry=volume.geometry,
    )
    for start, stop in job.missing_blocks():
        job.write_block(start, volume.read(start, stop)[:, 0])
    assert job.missing_blocks() == []
    job.finish()
    return job


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("axis", ["z", "y", "x"])
@pytest.mark.parametrize("run_bytes", [2**28, 200])
def test_labels_have_the_axes_of_the_input(tmp_path, monkeypatch, name, axis, run_bytes):
    monkeypatch.setattr(job_module, "RUN_BYTES", run_bytes)
    scan = open_volume(write_scan(tmp_path / "scan.tif", spacing=1.5), axis=axis)
    output = tmp_path / name
    copy(scan, output)
    labels = open_volume(output)
    np.testing.assert_array_equal(labels.read(0, 7)[:, 0], VOLUME)
    resumed = open_label_job(
        output, (len(scan), scan.height, scan.width), 200, {}, block=3,
        geometry=scan.geometry, resume=True,
    )  # fmt: skip
    assert resumed.complete


@pytest.mark.parametrize("name", ["a.npy", "a.h5"])
def test_an_array_keeps_the_order_of_its_axes(tmp_path, name):
    np.save(tmp_path / "scan.npy", VOLUME)
    scan = open_volume(tmp_path / "scan.npy", axes="yxz", axis="y")
    copy(scan, tmp_path / name)
    labels = open_volume(tmp_path / name, axes="yxz")
    np.testing.assert_array_equal(
        labels.read(0, 11), open_volume(scan.path, axes="yxz").read(0, 11)
    )


@pytest.mark.parametrize("name", ["a.zarr", "a.tif", "a.h5"])
@pytest.mark.parametrize("axis", ["z", "x"])
def test_frames_of_an_array_give_labels_of_frames(tmp_path, name, axis):
    scan = open_volume(write_scan(tmp_path / "scan.tif", axes="TYX", finterval=0.25), axis=axis)
    job = copy(scan, tmp_path / name)
    assert job.geometry.order == "tyx"
    labels = open_volume(tmp_path / name)
    assert labels.source.axes[0].name == "t"
    np.testing.assert_array_equal(labels.read(0, 7)[:, 0], VOLUME)
