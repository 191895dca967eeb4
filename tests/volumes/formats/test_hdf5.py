from contextlib import contextmanager

import h5py
import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import open_volume

ARRAY = np.random.default_rng(0).integers(0, 60000, (5, 6, 7), np.uint16)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.nxs"


@contextmanager
def writing(path):
    with h5py.File(path, "w") as file:
        yield file


def equals(path, expected=ARRAY, **options):
    volume = open_volume(path, **options)
    np.testing.assert_array_equal(volume.read(0, len(expected))[:, 0], expected)


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        open_volume(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_the_only_volume_is_found(path):
    with writing(path) as file:
        file["entry/data/data"] = ARRAY
        file["entry/angles"] = np.arange(9.0)
        file["entry/image"] = np.ones((4, 5))
        file["entry/texts"] = np.full((2, 2, 2), b"a")
        file["entry/same"] = file["entry/data/data"]  # a hard link is no second volume
        file["entry/soft"] = h5py.SoftLink("/entry/data/data")
        file["entry/broken"] = h5py.SoftLink("/nowhere")
        file["entry/data/circle"] = h5py.SoftLink("/entry")
    equals(path)
    equals(f"{path}:/entry/data/data")
    equals(f"{path}:entry/soft")
    equals(f"{path}:/entry/data")
    refused(f"{path}:/entry/broken", "/entry/broken does not exist", "/entry/same (5, 6, 7)")
    refused(f"{path}:/entry/dta", "/entry/dta does not exist", "/entry/image (4, 5)")
    assert open_volume(f"{path}:/entry/image").num_slices == 1
    refused(f"{path}:/entry/texts", "integers or floats")


def test_several_volumes_are_listed(path):
    with writing(path) as file:
        file["raw"] = ARRAY
        file["entry/reconstruction"] = ARRAY.astype(np.float32)
    refused(path, "/raw (5, 6, 7) uint16", "/entry/reconstruction (5, 6, 7) float32", "colon")
    with writing(path) as file:
        file["angles"] = np.arange(3)
    refused(path, "no numeric dataset")


def test_nexus_tells_which_to_plot(path):
    with writing(path) as file:
        file["entry/detector/counts"] = ARRAY[::-1]
        file["entry/plot/volume"] = ARRAY
        file.attrs["default"] = "entry"
        file["entry"].attrs["default"] = "plot"
        file["entry/plot"].attrs["signal"] = np.bytes_("volume")
    equals(path)
    equals(f"{path}:/entry")
    with h5py.File(path, "r+") as file:
        file["entry/plot/volume"].attrs["units"] = "counts"
        file["entry/plot"].attrs["signal"] = "missing"
    refused(path, "/entry/plot/volume", "/entry/detector/counts")


def test_axes_by_nexus_and_by_labels(path):
    with writing(path) as file:
        file["a/data"] = ARRAY
        file["a"].attrs["axes"] = ["x", "z", "y"]
        file["b/data"] = ARRAY
        for dimension, label in zip(file["b/data"].dims, "yxz", strict=True):
            dimension.label = label
        file["c/data"] = ARRAY
        file["c"].attrs["axes"] = ["angle", "y", "x"]
        file["d/data"] = ARRAY[..., :3]
    equals(f"{path}:/a/data", ARRAY.transpose(1, 2, 0))
    equals(f"{path}:/b/data", ARRAY.transpose(2, 0, 1))
    equals(f"{path}:/c/data")
    refused(f"{path}:/d/data", 'axes="zyx"', "(5, 6, 3)")
    equals(f"{path}:/a/data", axes="zyx")


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"chunks": (1, 6, 7)}, {}])
def test_storage(path, options):
    with writing(path) as file:
        file.create_dataset("data", data=ARRAY.astype(">u2"), **options)
    equals(path)
    assert open_volume(path).dtype == np.dtype(np.uint16)


def test_external_links_and_virtual_datasets(path):
    with writing(path.with_name("data.h5")) as file:
        file["raw"] = ARRAY
    layout = h5py.VirtualLayout((5, 6, 7), np.uint16)
    layout[:] = h5py.VirtualSource("data.h5", "raw", (5, 6, 7))
    with writing(path) as file:
        file["linked"] = h5py.ExternalLink("data.h5", "raw")
        file["lost"] = h5py.ExternalLink("lost.h5", "raw")
        file.create_virtual_dataset("virtual", layout)
    for name in ("linked", "virtual"):
        volume = open_volume(f"{path}:{name}")
        before = volume.fingerprint()
        equals(f"{path}:{name}")
        path.with_name("data.h5").touch()
        assert volume.fingerprint() != before
    refused(f"{path}:lost", "lost does not exist")


def test_a_filter_that_is_not_installed(path):
    with writing(path) as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((5, 6, 7))
        properties.set_filter(32123, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((5, 6, 7))
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, space, properties)
    refused(path, "filter 32123", "pip install 'sp_graph_seg[volumes]'")


def test_damage(path):
    with writing(path) as file:
        file.create_dataset("data", data=ARRAY, chunks=(1, 6, 7), compression="gzip")
        place = file["data"].id.get_chunk_info(3)
    content = bytearray(path.read_bytes())
    content[place.byte_offset : place.byte_offset + place.size] = bytes(place.size)
    path.write_bytes(content)
    ((number, reason),) = open_volume(path).check()
    assert number == 3
    assert reason.startswith(f"{path}: cannot be read")
    assert open_volume(path).check(quick=True) == []
    path.write_bytes(content[: len(content) // 2])
    refused(path, "cannot be read", "copy or export it again")
