import numpy as np
import pytest
import tifffile
import zarr

from sp_graph_seg import Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming import check_slices, label_volume
from sp_graph_seg.volumes import open_volume


@pytest.fixture
def damaged(tmp_path, slices):
    """A folder of TIFF slices; number 2 is cut off and 5 is of another size."""
    folder = tmp_path / "damaged"
    folder.mkdir()
    for number, image in enumerate(slices):
        tifffile.imwrite(folder / f"{number}.tif", image[0, 1:] if number == 5 else image[0])
    file = folder / "2.tif"
    file.write_bytes(file.read_bytes()[:700])
    return folder


def test_a_damaged_slice_is_named_before_the_work(tmp_path, model, damaged, calls):
    volume = open_volume(damaged)
    with pytest.raises(InputError) as refused:
        label_volume(model, volume, tmp_path / "out.zarr", workers=0)
    line = str(refused.value)
    assert line.startswith(f"{damaged}: slice 2 (and 1 more) cannot be used ({damaged}/2.tif")
    assert line.endswith("--skip-bad.")
    assert calls == []
    assert not (tmp_path / "out.zarr.partial").exists()


@pytest.mark.parametrize("preflight", [True, False])
def test_damaged_slices_are_left_out(tmp_path, model, damaged, predicted, read_zarr, preflight):
    done = label_volume(
        model,
        open_volume(damaged),
        tmp_path / "out.zarr",
        block=2,
        skip_bad=True,
        workers=0,
        preflight=preflight,
    )
    assert sorted(done.skipped) == [2, 5]
    assert "2.tif" in done.skipped[2]
    labels = read_zarr(done.path)
    assert done.unlabelled == 255
    assert (labels[[2, 5]] == 255).all()
    good = [0, 1, 3, 4, 6]
    np.testing.assert_array_equal(labels[good], predicted[good])
    recorded = zarr.open_group(done.path, mode="r").attrs["sp_graph_seg"]
    assert recorded["skipped"] == {str(n): done.skipped[n] for n in (2, 5)}


def test_found_late_it_is_named_too_and_what_is_done_stays(tmp_path, model, damaged, calls):
    volume, output = open_volume(damaged), tmp_path / "out.zarr"
    with pytest.raises(InputError, match=r"2\.tif"):
        label_volume(model, volume, output, block=1, workers=0, preflight=False)
    calls.clear()
    done = label_volume(model, volume, output, block=1, workers=0, preflight=False, skip_bad=True)
    assert calls[0] == (2, 3)
    assert sorted(done.skipped) == [2, 5]


def test_nan_is_named_with_its_slice(tmp_path, model, slices, save_volume):
    stored = slices.astype(np.float32)
    stored[4, 0, 1, 1] = np.nan
    volume = save_volume(tmp_path / "a.npy", stored)
    for preflight in (True, False):
        with pytest.raises(InputError, match="of slice 4 are NaN or infinite"):
            label_volume(
                model, volume, tmp_path / "out.npy", workers=0, preflight=preflight, overwrite=True
            )
    with pytest.raises(InputError, match=f"^{volume.path}: slice 4 cannot be used"):
        check_slices(volume, Segmenter.load(model).config_)


def test_checks_tell_what_is_left_out(tmp_path, config, damaged, volume, slices, save_volume):
    assert check_slices(volume, config) == {}
    assert list(check_slices(open_volume(damaged), config, skip_bad=True)) == [2, 5]
    nothing = save_volume(tmp_path / "nan.npy", np.full(slices.shape, np.nan, np.float32))
    with pytest.raises(InputError, match=f"^{nothing.path}: no slice can be used"):
        check_slices(nothing, config, skip_bad=True)


def test_slices_too_small_for_the_network(tmp_path, config, make_slices, save_volume):
    volume = save_volume(tmp_path / "small.npy", make_slices(3, 3, 32))
    with pytest.raises(InputError, match=f"^{volume.path}: 3x32 pixels are too few for depth=2"):
        check_slices(volume, config)


def test_channels_of_another_model(tmp_path, model, make_slices, save_volume, fit_model, read_zarr):
    volume = save_volume(tmp_path / "rgb.npy", make_slices(3, channels=3))
    with pytest.raises(InputError, match=f"^{volume.path}: has 3 channels instead of 1"):
        label_volume(model, volume, tmp_path / "out.zarr", workers=0)
    rgb = fit_model(tmp_path / "rgb.safetensors", channels=3)
    done = label_volume(rgb, volume, tmp_path / "out.zarr", workers=0)
    assert read_zarr(done.path).shape == (3, 24, 32)
