import json

import numpy as np
import pytest
import tifffile

from sp_graph_seg import Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.streaming import label_volume
from sp_graph_seg.volumes import Volume


@pytest.mark.parametrize("mode", ["slices", "supervoxels"])
def test_labels_are_those_of_predict(tmp_path, model, volume, predicted, mode):
    done = label_volume(model, volume, tmp_path / "out.npy", mode=mode, block=1, workers=0)
    assert done.path == tmp_path / "out.npy"
    assert (done.skipped, done.unlabelled) == ({}, 255)
    labels = np.load(done.path)
    assert labels.dtype == np.uint8
    if mode == "slices":
        np.testing.assert_array_equal(labels, predicted)
    assert not (tmp_path / "out.npy.partial").exists()


def test_a_superpixel_method_without_supervoxels_is_refused_at_once(
    tmp_path, volume, config, fit_model
):
    config = config.replace(superpixel_method="felzenszwalb")
    model = fit_model(tmp_path / "model.safetensors", config)
    with pytest.raises(
        InputError, match=r"^superpixel_method='felzenszwalb' does not support volumes"
    ):
        label_volume(model, volume, tmp_path / "out.npy", mode="supervoxels", workers=0)
    assert label_volume(model, volume, tmp_path / "out.npy", workers=0).skipped == {}


def test_blocks_change_nothing_where_slices_are_labelled_one_by_one(
    tmp_path, model, volume, predicted
):
    for block in (2, 7, None):
        output = tmp_path / f"{block}.npy"
        label_volume(model, volume, output, block=block, workers=0)
        np.testing.assert_array_equal(np.load(output), predicted)


# Outputs


@pytest.mark.parametrize("name", ["volume.npy", "volume.npy/labels", "out.xyz", "out.npy:/a"])
def test_an_output_that_cannot_be_is_refused(tmp_path, model, volume, slices, name):
    with pytest.raises(InputError, match=r"input|written as|datasets"):
        label_volume(model, volume, tmp_path / name, overwrite=True, workers=0)
    np.testing.assert_array_equal(np.load(tmp_path / "volume.npy"), slices)


def test_the_model_is_no_output(tmp_path, model, volume):
    with pytest.raises(InputError, match="contains the input"):
        label_volume(model, volume, model.parent, overwrite=True, workers=0)


def test_an_unknown_format_is_refused_before_anything_is_read(tmp_path, model, volume, monkeypatch):
    monkeypatch.setattr(Volume, "read", lambda *_: pytest.fail("read"))
    with pytest.raises(InputError, match=r"out\.xyz: labels cannot be written as \.xyz"):
        label_volume(model, volume, tmp_path / "out.xyz")


@pytest.mark.parametrize("mode", ["slices", "supervoxels"])
def test_one_slice(tmp_path, model, slices, save_volume, predicted, mode):
    volume = save_volume(tmp_path / "one.npy", slices[:1])
    label_volume(model, volume, tmp_path / "out.npy", mode=mode)
    labels = np.load(tmp_path / "out.npy")
    assert labels.shape == (1, 24, 32)
    if mode == "slices":
        np.testing.assert_array_equal(labels, predicted[:1])


# Post-processing


MERGE = Relabel(merge={0: [1, 2]}, smooth=1)


def test_the_relabelling_of_the_model_is_applied_unless_another_is_given(
    tmp_path, fit_model, volume, predicted
):
    path = fit_model(tmp_path / "m.safetensors", relabel=MERGE)
    for number, (given, expected) in enumerate(
        [(None, MERGE), (Relabel(smooth=2), Relabel(smooth=2)), (Relabel(), Relabel())]
    ):
        output = tmp_path / f"{number}.npy"
        label_volume(path, volume, output, relabel=given, workers=0)
        wanted = np.stack([expected.apply(labels) for labels in predicted])
        np.testing.assert_array_equal(np.load(output), wanted)
    assert not np.array_equal(np.load(tmp_path / "0.npy"), np.load(tmp_path / "2.npy"))


def test_labels_beyond_a_byte_make_wider_labels(tmp_path, model, volume, predicted):
    relabel = Relabel(merge={254: [0]})
    done = label_volume(model, volume, tmp_path / "a.npy", relabel=relabel, workers=0)
    assert (np.load(done.path).dtype, done.unlabelled) == (np.uint8, 255)
    relabel = Relabel(merge={255: [0]})
    done = label_volume(model, volume, tmp_path / "b.npy", relabel=relabel, workers=0)
    labels = np.load(done.path)
    assert (labels.dtype, done.unlabelled) == (np.uint16, 65535)
    np.testing.assert_array_equal(labels, np.where(predicted == 0, 255, predicted))


def test_the_output_tells_what_made_it(tmp_path, fit_model, volume):
    path = fit_model(tmp_path / "m.safetensors", relabel=MERGE)
    label_volume(path, volume, tmp_path / "out.tif", workers=0)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        settings = json.loads(file.imagej_metadata["Info"])["sp_graph_seg"]["settings"]
    assert settings["mode"] == "slices"
    assert settings["input"] == volume.fingerprint()
    assert Relabel.from_dict(settings["relabel"]) == MERGE


def test_a_failure_of_a_block_is_one_line(tmp_path, model, volume, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(Segmenter, "predict", fail)
    with pytest.raises(InputError) as refused:
        label_volume(model, volume, tmp_path / "out.zarr", block=3, workers=0)
    assert str(refused.value) == (
        f"{tmp_path}/out.zarr: labelling slices 0 to 2 failed (out of memory); repeat the same "
        "command to continue."
    )
