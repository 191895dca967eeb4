"""Air around a sample, left out of training and labels by ``--mask``."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from sp_graph_seg import Segmenter
from sp_graph_seg.volumes import open_volume

FLAGS = ["--epochs", "1", "--patches", "4", "16", "16", "--labels", "2", "--workers", "0"]


@pytest.fixture
def scan(tmp_path):
    """A cylinder of two phases in air, and where it is."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    inside = np.hypot(y - 32, x - 32) < 26
    phases = np.kron(rng.random((4, 8, 8)) > 0.5, np.ones((8, 8), bool))
    values = np.where(inside, 1200 + 600 * phases, 300) + rng.normal(0, 30, (4, 64, 64))
    tifffile.imwrite(tmp_path / "scan.tif", values.astype(np.uint16), photometric="minisblack")
    return tmp_path / "scan.tif", inside, phases


def find_files(tmp_path, inside):
    tifffile.imwrite(tmp_path / "m.tif", np.stack([np.uint8(inside)] * 4), photometric="minisblack")
    Image.fromarray(np.uint8(255 * inside)).save(tmp_path / "m.png")
    np.save(tmp_path / "m.npy", inside)
    return tmp_path


@pytest.mark.parametrize("mask", ["m.tif", "m.png", "m.npy", "auto"])
def test_air_has_no_label_and_none_is_spent_on_it(tmp_path, scan, run, capsys, mask):
    path, inside, phases = scan
    given = mask if mask == "auto" else find_files(tmp_path, inside) / mask
    command = ["segment", path, "--mask", given, *FLAGS, "-o", tmp_path / "o/labels.npy"]
    assert run(*command, "--resume") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("mask:    air is below 8" if mask == "auto" else "chosen:")
    labels = np.load(tmp_path / "o/labels.npy")
    assert ((labels == 255) == ~inside).mean() > (0.94 if mask == "auto" else 0.9999)
    assert (labels[:, ~inside] == 255).all()
    known = inside & (labels < 255)
    assert (labels == phases)[known].mean() > 0.97
    model = tmp_path / "o/model.safetensors"
    assert Segmenter.load(model).intensity_range_[0] > 1000
    again = ["predict", model, path, "--mask", given, "-o", tmp_path / "again.npy"]
    assert run(*again) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), labels)


def test_another_mask_is_another_job(tmp_path, scan, run, capsys, refusal):
    path, inside, _ = scan
    command = ["segment", path, "--mask", find_files(tmp_path, inside) / "m.png", *FLAGS]
    command += ["-o", tmp_path / "o/labels.npy"]
    assert run(*command) == 0
    Image.fromarray(np.uint8(~inside)).save(tmp_path / "m.png")
    capsys.readouterr()
    line = refusal(*command[:-1], tmp_path / "o/other.npy")
    assert "was trained with other" in line


def test_a_mask_that_does_not_fit(tmp_path, scan, refusal):
    path, inside, _ = scan
    folder = find_files(tmp_path, inside)
    command = ["predict", tmp_path / "m.safetensors", path, "-o", tmp_path / "out.npy", "--mask"]
    line = refusal(*command, folder / "m.png", folder / "m.png")
    assert line == "--mask: got 2 masks for 1 images; give a mask for each image."
    line = refusal(*command, folder / "m.tif", "--crop", "0:9,0:70")
    assert "crop" in line
    tifffile.imwrite(folder / "n.tif", np.ones((3, 64, 64), np.uint8), photometric="minisblack")
    line = refusal(*command, folder / "n.tif")
    assert line.startswith(f"{folder}/n.tif: has 3x64x64 pixels, but {path} has 4x64x64;")


def test_air_around_the_sample_of_images(tmp_path, scan, run):
    path, inside, _ = scan
    for number, image in enumerate(open_volume(path)[n] for n in range(2)):
        Image.fromarray(np.uint8(image[0] // 10)).save(tmp_path / f"{number}.png")
    images = [tmp_path / "0.png", tmp_path / "1.png"]
    assert run("segment", *images, "--mask", "auto", *FLAGS[:-2], "-o", tmp_path / "o") == 0
    for number in range(2):
        labels = np.asarray(Image.open(tmp_path / f"o/{number}_labels.png"))
        assert ((labels == 255) == ~inside).mean() > 0.94


def test_a_constant_outside_has_no_label_without_a_mask(tmp_path, scan, run, capsys):
    path, inside, phases = scan
    values = np.where(inside, tifffile.imread(path), 0)
    tifffile.imwrite(path, values, photometric="minisblack")
    assert run("segment", path, *FLAGS, "-o", tmp_path / "o/labels.npy") == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "no data: in 49% of each slice, constant around the rest; no label there"
    labels = np.load(tmp_path / "o/labels.npy")
    np.testing.assert_array_equal(labels == 255, np.broadcast_to(~inside, labels.shape))
    assert (labels == phases)[:, inside].mean() > 0.97
    model = tmp_path / "o/model.safetensors"
    assert run("predict", model, path, "-o", tmp_path / "again.npy") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), labels)


def test_air_is_named_if_it_takes_a_label(tmp_path, scan, run, capsys):
    path, *_ = scan
    assert run("segment", path, *FLAGS, "-o", tmp_path / "o/labels.npy") == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "air:     surrounds the sample and takes a label; --mask auto leaves it out"
    assert (np.load(tmp_path / "o/labels.npy") < 255).all()
