"""One unit of intensity, and pixels that are no data, on the command line."""

from collections import Counter

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from sp_graph_seg import Segmenter
from sp_graph_seg.io import read_image, read_labels
from sp_graph_seg.volumes.formats import folder as folder_module


@pytest.fixture
def slices(tmp_path, scene):
    """Four slices, 8 bits, as PNGs in a folder."""
    folder = tmp_path / "slices"
    folder.mkdir()
    for number in range(4):
        values = 60 + 70 * scene(48, 64, channels=1, seed=number)[..., 0]
        Image.fromarray(values.astype(np.uint8)).save(folder / f"s{number}.png")
    return folder


@pytest.fixture
def masked(tmp_path, scene):
    """An image with a bright border, the same with NaN there, and the mask without it."""
    values = scene(48, 64, channels=1)[..., 0].astype(np.float32)
    mask = np.ones((48, 64), bool)
    mask[-10:] = False
    tifffile.imwrite(tmp_path / "bright.tif", np.where(mask, values, np.float32(40)))
    tifffile.imwrite(tmp_path / "nan.tif", np.where(mask, values, np.float32(np.nan)))
    Image.fromarray(np.uint8(255 * mask)).save(tmp_path / "mask.png")
    return mask


def test_a_folder_and_its_file_get_the_same_labels(tmp_path, slices, run, photo_flags):
    command = ["segment", slices, "--train-on", "0", "-o", tmp_path / "a/labels.npy", *photo_flags]
    assert run(*command) == 0
    by_folder = np.load(tmp_path / "a/labels.npy")
    model = tmp_path / "a/model.safetensors"
    assert run("predict", model, slices / "s2.png", "-o", tmp_path / "b") == 0  # nor a warning
    np.testing.assert_array_equal(read_labels(tmp_path / "b/s2_labels.png"), by_folder[2])
    assert len(np.unique(by_folder[2])) > 1

    model = tmp_path / "c.safetensors"
    assert run("train", slices / "s0.png", "-o", model, *photo_flags) == 0
    assert run("predict", model, slices / "s1.png", "-o", tmp_path / "d") == 0
    assert run("predict", model, slices, "-o", tmp_path / "d/labels.npy") == 0
    by_folder = np.load(tmp_path / "d/labels.npy")
    np.testing.assert_array_equal(read_labels(tmp_path / "d/s1_labels.png"), by_folder[1])


def test_what_a_mask_excludes_is_no_data(tmp_path, masked, run, photo_flags):
    """The bright border enters neither the range nor the labels; NaN there says the same."""
    bright, mask = tmp_path / "bright.tif", tmp_path / "mask.png"
    assert run("segment", bright, "--mask", mask, "-o", tmp_path / "a", *photo_flags) == 0
    assert run("segment", tmp_path / "nan.tif", "-o", tmp_path / "b", *photo_flags) == 0
    segmenter = Segmenter.load(tmp_path / "a/model.safetensors")
    assert segmenter.intensity_range_[1] < 1
    labels = read_labels(tmp_path / "a/bright_labels.png")
    np.testing.assert_array_equal(labels == 255, ~masked)
    np.testing.assert_array_equal(read_labels(tmp_path / "b/nan_labels.png"), labels)
    model = tmp_path / "b/model.safetensors"
    assert run("predict", model, bright, "--mask", mask, "-o", tmp_path / "c") == 0
    np.testing.assert_array_equal(read_labels(tmp_path / "c/bright_labels.png"), labels)
    expected = segmenter.predict(read_image(bright), mask=masked)
    np.testing.assert_array_equal(labels[masked], expected[masked])


def test_masks_of_predict_are_one_for_each_image(tmp_path, results, stack, refusal):
    model, image = results / "out/model.safetensors", results / "a.png"
    command = ["predict", model, image, "-o", tmp_path / "out", "--mask"]
    assert (
        refusal(*command, image, image)
        == "--mask: got 2 masks for 1 images; give a mask for each image."
    )
    line = refusal(*command, results / "b.png")
    assert line.startswith(f"{results / 'b.png'}: ")
    line = refusal("predict", model, stack, "-o", tmp_path / "out.npy", "--mask", image, image)
    assert line == "--mask: got 2 masks for 1 images; give a mask for each image."


def test_a_volume_is_labelled_inside_of_its_circle_alone(tmp_path, scene, run, photo_flags):
    """Whatever number the fill is: it reads as no data."""
    stack = np.stack([1000 + 40 * scene(48, 64, 1, n)[..., 0] for n in range(4)])
    rows, columns = np.indices((48, 64))
    outside = (rows - 24) ** 2 + (columns - 32) ** 2 > 22**2
    stack[:, outside] = np.nan
    stack = stack.astype(np.float32)
    options = {"metadata": {"axes": "ZYX"}, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", stack, **options)
    labels, ranges = [], []
    for fill in ("0", "1000"):
        out = tmp_path / fill
        command = ["segment", tmp_path / "a.tif", "--fill", fill, "--train-on", "auto:2"]
        command += ["-o", out / "labels.npy", "--overlay", out / "o.mp4", *photo_flags]
        assert run(*command) == 0
        labels.append(np.load(out / "labels.npy"))
        ranges.append(Segmenter.load(out / "model.safetensors").intensity_range_)
        assert (out / "o.mp4").exists()
    np.testing.assert_array_equal(*labels)
    assert ranges[0] == ranges[1]
    assert 1000 <= ranges[0][0] < ranges[0][1] <= 1040
    np.testing.assert_array_equal(labels[0] == 255, np.broadcast_to(outside, stack.shape))


def test_a_range_is_given(tmp_path, slices, run, photo_flags, refusal, capsys):
    image = slices / "s0.png"
    given = ["--range", "50", "150.5", *photo_flags]
    assert run("segment", image, "-o", tmp_path / "a", *given) == 0
    assert run("train", image, "-o", tmp_path / "b.safetensors", *given) == 0
    command = ["segment", slices, "--train-on", "auto:2", "-o", tmp_path / "c/out.npy"]
    assert run(*command, *given) == 0
    for model in ("a/model.safetensors", "b.safetensors", "c/model.safetensors"):
        assert Segmenter.load(tmp_path / model).intensity_range_ == (50, 150.5)
    assert run("graph", image, "-o", tmp_path / "g.pt", "--range", "0", "510") == 0
    graph = torch.load(tmp_path / "g.pt")
    assert graph["x"].max() == pytest.approx(read_image(image).max() / 510, abs=0.02)
    capsys.readouterr()
    for low, high in (("5", "5"), ("9", "1"), ("nan", "1")):
        line = refusal("segment", image, "-o", tmp_path / "d", "--range", low, high)
        assert line.startswith(f"--range {low} {high}: is not ascending; ")
    # Another range is another training.
    (tmp_path / "c/out.npy").unlink()
    line = refusal(*command, "--range", "0", "200", *photo_flags)
    assert "trained with other" in line


def test_a_graph_leaves_out_what_is_no_data(tmp_path, masked, run):
    assert run("graph", tmp_path / "nan.tif", "-o", tmp_path / "g.pt", "--n-segments", "40") == 0
    graph = torch.load(tmp_path / "g.pt")
    np.testing.assert_array_equal(graph["pixel_mask"].numpy(), masked.ravel())
    assert graph["x"].isfinite().all()


def test_each_slice_is_decoded_once_before_it_is_labelled(
    tmp_path, slices, run, photo_flags, monkeypatch
):
    counts = Counter()
    original = folder_module._FolderReader.plane

    def plane(reader, z, channels):
        counts.update([z])
        return original(reader, z, channels)

    monkeypatch.setattr(folder_module._FolderReader, "plane", plane)
    command = ["segment", slices, "--train-on", "0,2", "-o", tmp_path / "o/a.npy", "--workers", "0"]
    assert run(*command, *photo_flags) == 0
    # To survey and train, to label, and for the page; the first also to see what lies outside.
    assert counts == dict.fromkeys(range(4), 3) | {0: 4}
