import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import open_volume
from sp_graph_seg.volumes.axes import resolve_axes


@pytest.mark.parametrize(
    ("shape", "given", "declared", "sizes"),
    [
        ((5, 6, 7), None, None, (5, 1, 6, 7)),
        ((5, 6, 7), "YXZ", None, (7, 1, 5, 6)),
        ((5, 6, 7, 2), "tyxc", None, (5, 2, 6, 7)),
        ((3, 6, 7), "zyx", None, (3, 1, 6, 7)),
        ((5, 6, 7), "zyx", "cyx", (5, 1, 6, 7)),  # the user overrules the file
        ((1, 2, 5, 6, 7), None, "TCZYX", (5, 2, 6, 7)),
        ((5, 2, 1, 6, 7), None, "tczyx", (5, 2, 6, 7)),  # time, as z has length 1
        ((5, 6, 7, 3), None, "zyxs", (5, 3, 6, 7)),
        ((1, 5, 6, 7), None, "pzyx", (5, 1, 6, 7)),
        ((6, 7), "yx", None, (1, 1, 6, 7)),
        ((1, 6, 7), "zyx", None, (1, 1, 6, 7)),
    ],
)
def test_axes_that_are_known(shape, given, declared, sizes):
    assert resolve_axes("a", shape, given, declared).sizes == sizes


@pytest.mark.parametrize(
    ("shape", "given", "declared", "words"),
    [
        ((100, 200, 3), None, None, ["(100, 200, 3)", 'axes="zyx"', 'axes="yxc"']),
        ((4, 100, 200), None, None, ["(4, 100, 200)", 'axes="zyx"', 'axes="cyx"']),
        ((5, 6, 7, 8), None, None, ["(5, 6, 7, 8)", 'axes="zcyx"', 'axes="tyxc"']),
        ((1, 1, 5, 6, 7), None, None, ['axes="tczyx"']),
        ((6, 7), None, None, ["is one image", 'axes="yx"']),
        ((1, 6, 7), None, None, ["is one image", 'axes="zyx"']),
        ((6, 7, 3), None, "yxs", ["is one image", 'axes="yxc"']),
        ((5, 6, 7), "yx", None, ["3 axes", "'yx'"]),
        ((5, 6, 7, 8), None, "tzyx", ["tzyx", "export one"]),
        ((5, 6, 7, 8), None, "pzyx", ["pzyx", "export one"]),
        ((5, 6, 7), None, "zcx", ["not both y and x"]),
        ((5, 0, 7), None, None, ["no voxels"]),
    ],
)
def test_axes_that_are_not(shape, given, declared, words):
    with pytest.raises(InputError, match=r"^a: ") as caught:
        resolve_axes("a", shape, given, declared)
    for word in words:
        assert word in str(caught.value)


def test_one_slice_needs_consent(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((6, 7, 2)))
    assert open_volume(tmp_path / "a.npy").num_slices == 6
    assert open_volume(tmp_path / "a.npy", axes="yxc").read(0, 1).shape == (1, 2, 6, 7)


def test_files_of_slices_have_but_one_order(stored):
    for name in ("png", "rgb.mkv"):
        path, _, array = stored[name]
        np.testing.assert_array_equal(open_volume(path, axes="tyx")[2], array[2])
        with pytest.raises(InputError, match=r"^axes: 'yxz' does not suit"):
            open_volume(path, axes="yxz")
