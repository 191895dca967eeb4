"""What the command line refuses with images, and what is left when it fails later."""

import os

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from sp_graph_seg import Segmenter
from sp_graph_seg.cli import main

# Refused, with nothing written


def make_nan(path):
    values = np.full((48, 64, 3), np.nan, dtype=np.float32)
    tifffile.imwrite(path, values, photometric="rgb")


def make_infinite(path):
    tifffile.imwrite(path, np.full((48, 64), np.inf, dtype=np.float32))


def make_text(path):
    path.write_text("no image")


def make_small(path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (3, 64, 3), dtype=np.uint8)).save(path)


def make_grey(path):
    Image.fromarray(np.zeros((48, 64), dtype=np.uint8)).save(path, format="PNG")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "cannot be opened (No such file or directory)"),
        (make_text, "is not an image of a known format"),
        (make_nan, "is NaN in every pixel"),
        (make_infinite, "3072 of 3072 values are infinite"),
        (make_small, "3x64 pixels are too few for depth=2"),
        (make_grey, "has 1 channels instead of 3"),
    ],
    ids=["missing", "text", "nan", "infinite", "small", "grey"],
)
@pytest.mark.parametrize("command", ["segment", "predict"])
def test_an_image_that_cannot_be_used(
    results, photo, tmp_path, make, reason, command, refusal, photo_flags
):
    bad, out = tmp_path / "bad.png", tmp_path / "out"
    make(bad)
    if command == "segment":
        line = refusal("segment", photo, bad, "-o", out, *photo_flags)
    else:
        line = refusal("predict", results / "out/model.safetensors", photo, bad, "-o", out)
    assert line.startswith(f"{bad}: {reason}")
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--beta-rec", "nan"], "beta_rec=nan must be a finite number"),
        (["--epochs", "0"], "epochs=0 is too small"),
        (["--epoch", "3"], "Unknown option: --epoch. Did you mean --epochs?"),
        (["--epochs", "few"], "Invalid value for --epochs"),
        (["--preset", "slow"], 'Invalid value "slow" for --preset'),
        (["--config", "none.yaml"], "none.yaml: cannot be read (No such file or directory)"),
        (["--patches", "4", "16"], ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_configuration_that_cannot_be_used(photo, tmp_path, arguments, reason, files_in, refusal):
    line = refusal("segment", photo, "-o", tmp_path / "out", *arguments)
    assert line.startswith(reason)
    assert files_in(tmp_path) == {"photo.png"}


def test_patches_too_small_for_the_network(photo, tmp_path, files_in, refusal, photo_flags):
    arguments = [*photo_flags, "--patches", "4", "2", "2"]
    line = refusal("train", photo, "-o", tmp_path / "m.safetensors", *arguments)
    assert line.startswith("patches: 2 pixels are too few for depth=2")
    assert files_in(tmp_path) == {"photo.png"}


def test_an_output_that_exists_is_kept_unless_told(photo, tmp_path, files_in, refusal, photo_flags):
    model = tmp_path / "m.safetensors"
    (tmp_path / "m.csv").write_text("mine")
    line = refusal("train", photo, "-o", model, *photo_flags)
    assert (
        line == f"{tmp_path / 'm.csv'}: already exists; add --overwrite or choose another --output."
    )
    assert files_in(tmp_path) == {"photo.png", "m.csv"}
    assert main(["train", str(photo), "-o", str(model), "--overwrite", *photo_flags]) == 0
    assert (tmp_path / "m.csv").read_text() != "mine"


def test_outputs_that_collide(photo, tmp_path, refusal, save_photo):
    other = save_photo(tmp_path / "photo.jpg")
    line = refusal("segment", photo, other, "-o", tmp_path / "out")
    assert line.startswith(f"{tmp_path / 'out/photo_labels.png'}: would hold results of two images")
    assert not (tmp_path / "out").exists()


def test_an_input_is_never_replaced(photo, tmp_path, refusal):
    before = photo.read_bytes()
    line = refusal("graph", photo, "-o", tmp_path / "photo.pt", "--overwrite")
    assert line.startswith(f"{photo}: is an input")
    assert photo.read_bytes() == before


@pytest.mark.parametrize(("command", "suffix"), [("train", ".safetensors"), ("graph", ".pt")])
def test_the_suffix_of_the_output(photo, tmp_path, command, suffix, refusal):
    line = refusal(command, photo, "-o", tmp_path / "photo.jpg")
    assert line == f"--output {tmp_path / 'photo.jpg'}: does not end in {suffix}; rename it."


def test_a_folder_that_cannot_be_made(photo, refusal, photo_flags):
    line = refusal("segment", photo, "-o", photo / "out", *photo_flags)
    assert line.startswith(f"{photo / 'out'}: cannot be written to")


def test_a_truncated_model(results, photo, tmp_path, refusal):
    model = tmp_path / "half.safetensors"
    model.write_bytes((results / "out/model.safetensors").read_bytes()[:500])
    line = refusal("predict", model, photo, "-o", tmp_path / "out")
    assert line.startswith(f"{model}: cannot be read as a model")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("masks", "reason"),
    [
        ([np.ones((48, 64))] * 2, "--mask: got 2 masks for 1 images; give a mask for each image."),
        ([np.ones((8, 9))], "mask0.npy: has 8x9 pixels, but "),
        ([np.zeros((48, 64))], "mask0.npy: is 0 everywhere"),
        (
            [np.ones((48, 64, 3))],
            "mask0.npy: holds a uint8 array of shape (48, 64, 3), not a label map",
        ),
    ],
    ids=["count", "size", "empty", "colours"],
)
def test_masks_that_cannot_be_used(photo, tmp_path, masks, reason, refusal, photo_flags):
    files = [tmp_path / f"mask{number}.npy" for number in range(len(masks))]
    for file, mask in zip(files, masks, strict=True):
        np.save(file, mask.astype(np.uint8))
    output = tmp_path / "m.safetensors"
    line = refusal("train", photo, "--mask", *files, "-o", output, *photo_flags)
    assert reason in line
    assert not output.exists()


# Interrupted or failing later


def test_an_interrupt(photo, tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Segmenter, "fit", interrupt)
    assert main(["segment", str(photo), "-o", str(tmp_path / "out")]) == 130
    assert capsys.readouterr() == ("", "sp-graph-seg: interrupted\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_write_that_fails_is_named_and_leaves_nothing(
    photo, tmp_path, monkeypatch, files_in, refusal
):
    def fill_the_disk(data, path):
        with open("/dev/full", "wb") as disk:
            disk.write(bytes(10))

    monkeypatch.setattr(torch, "save", fill_the_disk)
    line = refusal("graph", photo, "-o", tmp_path / "g.pt", "--n-segments", "9")
    assert line.startswith(f"{tmp_path / 'g.pt'}: cannot be written (No space left on device)")
    assert files_in(tmp_path) == {"photo.png"}


def test_a_bug_keeps_its_traceback(photo, tmp_path, monkeypatch):
    monkeypatch.setattr(Segmenter, "fit", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["segment", str(photo), "-o", str(tmp_path / "out")])


def test_the_same_warning_is_shown_once(capsys):
    import warnings

    from sp_graph_seg.cli.messages import open_messages
    from sp_graph_seg.errors import SmallImageWarning

    with open_messages(False, False, None):
        for number in (1, 2, 1, 2, 1):
            warnings.resetwarnings()  # as other libraries do
            warnings.simplefilter("always")
            warnings.warn(f"image {number} is small.", SmallImageWarning, stacklevel=1)
    assert capsys.readouterr().err.splitlines() == [
        "sp-graph-seg: warning: image 1 is small.",
        "sp-graph-seg: warning: image 2 is small.",
    ]
