import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import open_volume
from sp_graph_seg.volumes.formats import arrays

ARRAY = np.random.default_rng(0).integers(0, 60000, (6, 3, 10, 11), np.uint16)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("axes", ["zcyx", "yxzc", "xczy"])
def test_a_map_for_each_piece(tmp_path, monkeypatch, axes, order):
    """Pieces of a few indices along the slowest axis add up to the region, also with a step."""
    mapped = []
    memmap = np.memmap
    monkeypatch.setattr(np, "memmap", lambda *given: mapped.append(1) or memmap(*given))
    monkeypatch.setattr(arrays, "_MAPPED_BYTES", 2 * ARRAY.nbytes // 6)
    stored = ARRAY.transpose(["zcyx".index(axis) for axis in axes])
    np.save(tmp_path / "a.npy", np.asarray(stored, order=order))
    for axis, places in (("z", (0, 1, 2, 3)), ("y", (2, 1, 0, 3)), ("x", (3, 1, 0, 2))):
        volume = open_volume(tmp_path / "a.npy", axes=axes, axis=axis, step=2)
        mapped.clear()
        expected = ARRAY.transpose(places)[::2]
        np.testing.assert_array_equal(volume.read(0, len(volume)), expected)
        assert len(mapped) > 1 or (order, axis, axes[0]) != ("C", "z", "z")


def test_what_is_no_array(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([[["a"]]]))
    with pytest.raises(
        InputError, match=r"a\.npy: holds <U1 values; save it as integers or floats"
    ):
        open_volume(path)
    np.save(path, np.ones((5, 6, 7), complex))
    with pytest.raises(InputError, match=r"a\.npy: holds complex128 values"):
        open_volume(path)
    np.save(path, ARRAY[:, 0])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"a\.npy: is cut off: it has 1447 of 1448 bytes"):
        open_volume(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"a\.npy: cannot be read .*; save it again"):
        open_volume(path)


def test_a_file_that_goes_away(tmp_path):
    np.save(tmp_path / "a.npy", ARRAY[:, 0])
    volume = open_volume(tmp_path / "a.npy")
    (tmp_path / "a.npy").unlink()
    with pytest.raises(InputError, match=r"a\.npy: cannot be read"):
        volume.read(0, 2)
    assert len(volume.check()) == 6
