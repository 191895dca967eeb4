import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import open_volume

RNG = np.random.default_rng(0)


def test_it_is_a_sequence(stored):
    path, _, array = stored["zlib.tif"]
    volume = open_volume(path)
    assert repr(volume) == f"Volume({path}: 6 slices of 1 x 18 x 23 uint8)"
    assert len(list(volume)) == len(volume) == 6
    np.testing.assert_array_equal(np.stack([volume[i] for i in range(-6, 0)]), array)
    for index in (6, -7):
        with pytest.raises(IndexError, match=rf"slice {index} does not exist"):
            volume[index]
    with pytest.raises(TypeError):
        volume[1.0]
    assert next(iter(reversed(volume))).shape == (1, 18, 23)


@pytest.mark.parametrize("part", [(0, 7), (-1, 2), (3, 3), (4, 2)])
def test_read_does_not_cut_short_in_silence(stored, part):
    volume = open_volume(stored["a.npy"][0])
    with pytest.raises(InputError, match=r"a\.npy: slices .*; give"):
        volume.read(*part)


def test_what_is_read_may_be_changed(stored):
    """The file is mapped for reading alone, and nothing is kept that a caller could spoil."""
    for name in ("plain.tif", "a.npy", "rgb.mkv", "png"):
        path, axes, array = stored[name]
        volume = open_volume(path, axes=axes)
        volume[2][:] = 0
        np.testing.assert_array_equal(volume[2], array[2])


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4", "f8", "?"])
def test_bins_are_means(tmp_path, dtype):
    array = (RNG.normal(size=(5, 6, 7)) * 20000).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    volume = open_volume(tmp_path / "a.npy", binning=(2, 3, 2))
    bins = array[:4, :, :6].astype(np.float64).reshape(2, 2, 2, 3, 3, 2).mean((1, 3, 5))
    assert volume.dtype == np.float32
    np.testing.assert_allclose(volume.read(0, 2)[:, 0], bins, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_what_is_no_number_is_filled(tmp_path, dtype):
    array = RNG.random((5, 6, 8)).astype(dtype)
    holes = array < 0.3
    array[holes] = np.resize([np.nan, np.inf, -np.inf], holes.sum())
    np.save(tmp_path / "a.npy", array)
    filled = np.where(holes, 0.25, array)
    np.testing.assert_array_equal(
        open_volume(tmp_path / "a.npy", fill=0.25).read(0, 5)[:, 0], filled
    )
    bins, holed = array.reshape(5, 3, 2, 4, 2), holes.reshape(5, 3, 2, 4, 2).any((2, 4))
    bins = np.where(holed, 0.25, np.where(np.isfinite(bins), bins, 0).mean((2, 4)))
    binned = open_volume(tmp_path / "a.npy", fill=0.25, binning=2).read(0, 5)[:, 0]
    np.testing.assert_allclose(binned, bins, rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(open_volume(tmp_path / "a.npy")[0]), np.isnan(array[:1]))


@pytest.mark.parametrize("fill", [np.nan, np.inf])
def test_a_fill_must_be_a_number(tmp_path, fill):
    with pytest.raises(InputError, match=f"^fill={fill}: is not finite"):
        open_volume(tmp_path / "a.npy", fill=fill)


def blocks_of(path, axis, **options):
    return list(open_volume(path, axis=axis).read_runs(**options))


def test_blocks_follow_the_chunks(tmp_path):
    array = np.zeros((10, 40, 50), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=array, chunks=(4, 16, 50))
    assert blocks_of(tmp_path / "a.h5", "z") == [(0, 4), (4, 8), (8, 10)]
    assert blocks_of(tmp_path / "a.h5", "y") == [(0, 16), (16, 32), (32, 40)]
    assert blocks_of(tmp_path / "a.h5", "x") == [(0, 50)]
    assert blocks_of(tmp_path / "a.h5", "x", max_bytes=20 * 400) == [(0, 20), (20, 40), (40, 50)]
    assert blocks_of(tmp_path / "a.h5", "z", max_bytes=0)[:2] == [(0, 1), (1, 2)]
    tifffile.imwrite(tmp_path / "a.tif", array, compression="zlib", photometric="minisblack")
    assert blocks_of(tmp_path / "a.tif", "z") == [(i, i + 1) for i in range(10)]
    assert blocks_of(tmp_path / "a.tif", "y") == [(0, 40)]
    np.save(tmp_path / "a.npy", array)
    assert len(blocks_of(tmp_path / "a.npy", "y")) == 40
    assert blocks_of(tmp_path / "a.npy", "x") == [(0, 50)]
    binned = open_volume(tmp_path / "a.h5", binning=(2, 1, 1))
    assert list(binned.read_runs()) == [(0, 2), (2, 4), (4, 5)]
    assert list(binned.read_runs(first=1, last=4)) == [(1, 3), (3, 4)]


def test_a_block_decodes_each_page_once(tmp_path, monkeypatch):
    array = RNG.integers(0, 256, (10, 40, 50), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, compression="zlib", photometric="minisblack")
    decoded = []
    for kind in (tifffile.TiffPage, tifffile.TiffFrame):
        asarray = kind.asarray
        monkeypatch.setattr(
            kind, "asarray", lambda self, f=asarray, **o: decoded.append(self.index) or f(self, **o)
        )
    slices = list(open_volume(tmp_path / "a.tif", axis="y"))
    assert len(slices) == 40
    assert len(decoded) <= 20  # a frame may pass the call on to its page


def test_fingerprint(tmp_path):
    path, other = tmp_path / "a.npy", tmp_path / "there/b.npy"
    np.save(path, RNG.random((5, 6, 7)))
    volume = open_volume(path)
    first = volume.fingerprint()
    assert open_volume(path).fingerprint() == first
    other.parent.mkdir()
    shutil.copy2(path, other)  # with its times
    assert open_volume(other).fingerprint() == first
    options = [
        {"axis": "y"},
        {"start": 1},
        {"stop": 4},
        {"step": 2},
        {"crop": "1:,:"},
        {"binning": 2},
        {"axes": "yxz"},
        {"fill": 0.0},
        {"fill": 1.0},
    ]
    found = {open_volume(path, **option).fingerprint() for option in options}
    assert len(found | {first}) == len(options) + 1
    os.utime(path, (1, 1))
    assert volume.fingerprint() != first
    path.unlink()
    with pytest.raises(InputError, match=r"a\.npy: cannot be found"):
        volume.fingerprint()


def test_fingerprints_of_what_lies_in_one_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"], file["b"] = np.zeros((2, 5, 6, 7))
    one, other = (open_volume(f"{tmp_path}/a.h5:/{name}").fingerprint() for name in "ab")
    assert one != other


def test_a_file_that_was_replaced_is_opened_anew(tmp_path):
    path = tmp_path / "a.tif"
    for value, size in ((1, 20), (2, 30)):
        array = np.full((5, size, 40), value, np.uint8)
        tifffile.imwrite(path, array, compression="zlib", photometric="minisblack")
        volume = open_volume(path)
        assert volume[3].shape == (1, size, 40)
        assert (volume[3] == value).all()


STREAM = """
import sys
from sp_graph_seg.volumes import measure_range, open_volume

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

volumes = [open_volume(path) for path in sys.argv[1:]]
for volume in volumes:
    volume[0], measure_range(open_volume(volume.path, stop=3)), volume.check(quick=True)
before = peak()
for volume in volumes:
    assert sum(image.shape == (1, 200, 256) for image in volume) == 500
    measure_range(volume)
    assert volume.check() == []
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_holds_no_volume(tmp_path, video):
    """Each file has 50 MB (the video 25): reading it to the end takes a few slices at a time."""
    array = np.zeros((500, 200, 256), np.uint16)
    array[:, ::7] = RNG.integers(0, 60000, (500, 1, 256))
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", metadata=None)
    tifffile.imwrite(tmp_path / "z.tif", array, photometric="minisblack", compression="zlib")
    np.save(tmp_path / "a.npy", array)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=array, chunks=(8, 200, 256))
    zarr.create_array(tmp_path / "a.zarr", data=array, chunks=(8, 100, 256))
    video(tmp_path / "a.mkv", (array[:, np.newaxis] >> 8).astype(np.uint8), pixels="gray")
    names = ("a.tif", "z.tif", "a.npy", "a.h5", "a.zarr", "a.mkv")
    done = subprocess.run(
        [sys.executable, "-c", STREAM, *(str(tmp_path / name) for name in names)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) < 20 * 1024  # kB
