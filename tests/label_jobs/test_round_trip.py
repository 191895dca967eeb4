"""What a scan declares about its voxels is found again in its labels, whatever their format."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sp_graph_seg.label_jobs import open_label_job
from sp_graph_seg.label_jobs.formats import FORMATS
from sp_graph_seg.volumes import open_volume

SUFFIXES = [suffix for form in FORMATS for suffix in form.suffixes or ("",)]
VOLUME = np.random.default_rng(0).integers(0, 9, (8, 9, 10), np.uint8)
ABOUT = {1: {"name": "pore"}, 3: {"name": "grain", "color": "#ff8800"}}
OPTIONS = {
    "whole": {},
    "part": {"start": 1, "stop": 8, "step": 2, "crop": "2:9,1:9", "binning": (1, 2, 4)},
    "along y": {"axis": "y", "start": 2, "step": 3},
    "along x": {"axis": "x", "crop": "1:,2:"},
}


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.npy"
    np.save(path, VOLUME)
    return path


def label(volume, output, num_labels=9):
    shape = len(volume), volume.height, volume.width
    labels = np.random.default_rng(1).integers(0, num_labels, shape)
    job = open_label_job(
        output, shape, num_labels, {}, block=2, geometry=volume.geometry, labels=ABOUT
    )
    for start, stop in job.blocks:
        job.write_block(start, labels[start:stop])
    job.finish()
    return labels


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("num_labels", [9, 300])
@pytest.mark.parametrize("part", OPTIONS)
def test_spacing_unit_and_origin(tmp_path, scan, suffix, part, num_labels):
    volume = open_volume(scan, spacing=(1.5, 0.5, 0.25), unit="mm", **OPTIONS[part])
    labels = label(volume, tmp_path / f"labels{suffix}", num_labels)
    back = open_volume(tmp_path / f"labels{suffix}")
    wanted = volume.geometry.sorted().stored()
    for found, axis in zip(back.geometry.axes, wanted, strict=True):
        assert (found.name, found.unit) == (axis.name, "micrometer")
        assert_allclose([found.spacing, found.origin], [axis.spacing, axis.origin], rtol=1e-6)
    assert back.spacing == pytest.approx([axis.spacing for axis in wanted])
    np.testing.assert_array_equal(
        back.read(0, len(back))[:, 0], labels.transpose(volume.geometry.places)
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_keep_their_interval(tmp_path, scan, suffix):
    volume = open_volume(scan, axes="tyx", spacing=(0.04, 2, 2), unit="um")
    label(volume, tmp_path / f"labels{suffix}")
    back = open_volume(tmp_path / f"labels{suffix}")
    for found, axis in zip(back.geometry.axes, volume.geometry.axes, strict=True):
        assert (found.name, found.unit) == (axis.name, axis.unit)
        assert found.spacing == pytest.approx(axis.spacing)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_not_known_is_not_made_up(tmp_path, scan, suffix):
    label(open_volume(scan, start=2), tmp_path / f"labels{suffix}")
    assert open_volume(tmp_path / f"labels{suffix}").spacing is None


@pytest.mark.parametrize("suffix", sorted({*SUFFIXES} - {".tif", ".tiff"}))
def test_a_spacing_without_a_unit_stays_without(tmp_path, scan, suffix):
    label(open_volume(scan, spacing=(3, 2, 1)), tmp_path / f"labels{suffix}")
    back = open_volume(tmp_path / f"labels{suffix}")
    assert (back.spacing, back.spacing_unit) == ((3, 2, 1), None)
