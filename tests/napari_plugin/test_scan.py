import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.napari_plugin.scan import Scan
from sp_graph_seg.volumes import open_volume

ARRAY = np.random.default_rng(0).integers(0, 200, (5, 20, 30), dtype=np.uint8)
SPACING = {"spacing": (2.0, 1.5, 1.5), "unit": "micrometer"}


def test_a_volume_on_the_disk_is_what_it_is(scan, scan_file, tmp_path):
    assert scan.shape == (6, 1, 48, 40)
    assert scan.describe() == "6 × 48 × 40, voxel 2 × 1.5 × 1.5 µm"
    assert (scan.kind, scan.folder) == ("tomogram", scan_file.parent / "scan")
    assert scan.on_disk(tmp_path) is scan.volume
    np.testing.assert_array_equal(scan.read(2), open_volume(scan_file)[2])


@pytest.mark.parametrize(
    ("array", "rgb", "shape", "kind"),
    [
        (ARRAY, False, (5, 1, 20, 30), "tomogram"),
        (ARRAY[0], False, (1, 1, 20, 30), "tomogram"),
        (np.stack([ARRAY] * 3, axis=-1), True, (5, 3, 20, 30), "video"),
        (np.stack([ARRAY[0]] * 4, axis=-1), True, (1, 3, 20, 30), "photo"),  # with alpha
        (ARRAY > 90, False, (5, 1, 20, 30), "tomogram"),
    ],
)
def test_an_array_is_saved_once_and_read_alike(tmp_path, array, rgb, shape, kind):
    scan = Scan.of_array(array, "a layer", rgb=rgb, **SPACING)
    assert (scan.shape, scan.kind, scan.volume) == (shape, kind, None)
    volume = scan.on_disk(tmp_path)
    assert (len(volume), *volume[0].shape) == shape
    assert (volume.spacing, volume.spacing_unit) == ((2.0, 1.5, 1.5), "micrometer")
    for number in range(shape[0]):
        np.testing.assert_array_equal(volume[number], scan.read(number))
    before = (tmp_path / "a layer.npy").stat().st_mtime_ns
    again = Scan.of_array(array, "a layer", rgb=rgb, **SPACING).on_disk(tmp_path)
    assert again.fingerprint() == volume.fingerprint()
    assert (tmp_path / "a layer.npy").stat().st_mtime_ns == before


@pytest.mark.parametrize("other", [ARRAY[:3], ARRAY + 1])
def test_another_array_does_not_take_its_place(tmp_path, other):
    Scan.of_array(ARRAY, "a").on_disk(tmp_path)
    with pytest.raises(InputError, match=r"a\.npy: the layer a would be saved here, but"):
        Scan.of_array(other, "a").on_disk(tmp_path)


def test_a_name_is_no_path():
    assert Scan.of_array(ARRAY, "a/b: c").folder.name == "a_b_ c"


def test_too_many_axes_are_refused():
    with pytest.raises(InputError, match=r"^a: has 4 axes, but an image has 2 and a volume has 3"):
        Scan.of_array(ARRAY[np.newaxis], "a")


def test_the_range_leaves_out_hot_pixels_and_unknown_ones():
    values = np.random.default_rng(1).uniform(10, 20, (20, 30, 30))
    values[3, 4, 5], values[7, 8, 9] = 1e9, np.nan
    low, high = Scan.of_array(values, "a").intensity_range()
    assert 10 <= low < 10.2
    assert 19.8 < high <= 20
    with pytest.raises(InputError, match=r"^a: is 3 everywhere; give a volume with contrast\.$"):
        Scan.of_array(np.full((4, 9, 9), 3.0), "a").intensity_range()
