import numpy as np
import pytest
import tifffile

from sp_graph_seg.napari_plugin.lazy import lazy_array
from sp_graph_seg.volumes import Volume, open_volume


@pytest.fixture
def reads(monkeypatch):
    """The runs of slices that were read."""
    reads, original = [], Volume.read

    def read(self, start, stop):
        reads.append((start, stop))
        return original(self, start, stop)

    monkeypatch.setattr(Volume, "read", read)
    return reads


def test_only_what_is_looked_at_is_read(scan_file, reads):
    array = lazy_array(open_volume(scan_file))
    assert (array.shape, array.dtype) == ((6, 1, 48, 40), np.uint8)
    stored = tifffile.imread(scan_file)
    assert reads == []
    np.testing.assert_array_equal(np.asarray(array[4, 0]), stored[4])
    assert reads == [(4, 5)]
    np.testing.assert_array_equal(np.asarray(array[:, 0]), stored)


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_it_is_the_volume_along_any_axis(scan_file, axis):
    volume = open_volume(scan_file, axis=axis, start=1, step=2)
    np.testing.assert_array_equal(np.asarray(lazy_array(volume)), np.stack(list(volume)))


def test_slices_that_are_decoded_together_are_one_chunk(tmp_path):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(tmp_path / "a.zarr", shape=(7, 8, 8), chunks=(3, 8, 8), dtype="u1")
    array[:] = np.arange(7, dtype=np.uint8)[:, None, None]
    lazy = lazy_array(open_volume(tmp_path / "a.zarr", axes="zyx"))
    assert lazy.chunks[0] == (3, 3, 1)
    np.testing.assert_array_equal(np.asarray(lazy)[:, 0, 0, 0], np.arange(7))
