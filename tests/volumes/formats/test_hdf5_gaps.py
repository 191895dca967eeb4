"""What was never written, or lies in a file that is missing, is not read as zeros."""

import h5py
import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming.survey import read_usable
from sp_graph_seg.volumes import open_volume

ARRAY = np.random.default_rng(0).integers(1, 255, (6, 8, 10), np.uint8)


def check(path, bad, reason):
    volume = open_volume(path)
    for quick in (True, False):
        found = dict(volume.check(quick))
        assert sorted(found) == bad
        for number, why in found.items():
            assert why.startswith(f"{path}: slice {number} ")
            assert reason in why
    for number in range(len(volume)):
        if number in bad:
            with pytest.raises(InputError, match=f"slice {number} "):
                volume[number]
        else:
            np.testing.assert_array_equal(volume[number][0], ARRAY[number])
    unusable = {}
    usable = dict(read_usable(volume, 0, len(volume), unusable))
    assert sorted(unusable) == bad
    assert set(range(6)) - set(bad) <= set(usable)
    across = open_volume(path, axis="y")
    with pytest.raises(InputError, match=f"slice {bad[0]} "):
        across[0]
    assert len(open_volume(path, start=0, stop=bad[0]).check()) == 0


@pytest.mark.parametrize(
    ("chunk", "bad"), [((1, 8, 10), [4, 5]), ((2, 4, 10), [4, 5]), ((4, 8, 5), [4, 5])]
)
def test_chunks_of_a_scan_that_was_stopped(tmp_path, chunk, bad):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", ARRAY.shape, np.uint8, chunks=chunk)[:4] = ARRAY[:4]
    check(path, [4, 5], "never written")


def test_one_missing_tile_makes_its_slices_unusable(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", ARRAY.shape, np.uint8, chunks=(1, 4, 5))
        for z, y, x in np.ndindex(6, 2, 2):
            if (z, y, x) != (2, 1, 0):
                part = np.s_[z, 4 * y : 4 * y + 4, 5 * x : 5 * x + 5]
                data[part] = ARRAY[part]
    check(path, [2], "never written")


def test_a_dataset_without_any_data(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("data", ARRAY.shape, np.uint8)
    volume = open_volume(tmp_path / "scan.h5")
    assert [number for number, _ in volume.check(quick=True)] == list(range(6))


def write_master(path, sources):
    """Write a virtual dataset of the files that own these slices."""
    layout = h5py.VirtualLayout(ARRAY.shape, np.uint8)
    for name, slices in sources.items():
        layout[slices] = h5py.VirtualSource(name, "data", ARRAY[slices].shape)
        with h5py.File(path.with_name(name), "w") as file:
            file["data"] = ARRAY[slices]
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("data", layout)


SPLITS = {
    "runs": {"a.h5": slice(0, 2), "b.h5": slice(2, 5), "c.h5": slice(5, 6)},
    "in turn": {"a.h5": slice(0, 6, 3), "b.h5": slice(1, 6, 3), "c.h5": slice(2, 6, 3)},
}


@pytest.mark.parametrize("split", SPLITS)
def test_sources_that_are_missing(tmp_path, split):
    path = tmp_path / "master.h5"
    write_master(path, SPLITS[split])
    np.testing.assert_array_equal(open_volume(path).read(0, 6)[:, 0], ARRAY)
    (tmp_path / "b.h5").unlink()
    check(path, list(range(6))[SPLITS[split]["b.h5"]], "needs b.h5, which is missing")


def test_a_source_without_the_dataset(tmp_path):
    path = tmp_path / "master.h5"
    write_master(path, SPLITS["runs"])
    with h5py.File(tmp_path / "b.h5", "a") as file:
        file.move("data", "other")
    check(path, [2, 3, 4], "needs data in b.h5, which is missing")


def test_a_source_that_was_not_written_to_its_end(tmp_path):
    path = tmp_path / "master.h5"
    write_master(path, SPLITS["runs"])
    with h5py.File(tmp_path / "b.h5", "w") as file:
        data = file.create_dataset("data", (3, 8, 10), np.uint8, chunks=(1, 8, 10))
        data[:2] = ARRAY[2:4]
    check(path, [4], "which were never written")


def test_slices_without_a_source(tmp_path):
    path = tmp_path / "master.h5"
    write_master(path, {"a.h5": slice(0, 4)})
    check(path, [4, 5], "has no source")
