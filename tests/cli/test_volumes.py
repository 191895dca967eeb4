"""Volumes and videos on the command line: formats, parts, overlays, damaged slices."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
import zarr
from PIL import Image

from sp_graph_seg import Segmenter
from sp_graph_seg.cli.volume_flags import VolumeFlags, are_volumes
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import write_overlay_video
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.volumes import open_volume

MODEL_FILES = {
    *("model.safetensors", "config.yaml", "history.csv", "history.png"),
    "records.json",
}


def pages(*names):
    return {f"{name}_{page}" for name in names for page in ("preview.png", "report.html")}


# Formats


def save_folder(path, slices):
    path.mkdir()
    for number, image in enumerate(slices):
        Image.fromarray((image // 4).astype(np.uint8)).save(path / f"frame{number}.png")
    return path


def save_npy(path, slices):
    np.save(path, slices)
    return path


def save_hdf5(path, slices):
    with h5py.File(path, "w") as file:
        file["entry/data"] = slices
        file["entry/other"] = slices[:2]
    return f"{path}:/entry/data"


def save_video(path, slices):
    frames = (np.repeat((image // 4).astype(np.uint8)[..., None], 3, axis=2) for image in slices)
    write_overlay_video(path, frames, 10)
    return path


INPUTS = {
    "frames": (save_folder, "out.tif"),
    "a.npy": (save_npy, "out.npy"),
    "a.h5": (save_hdf5, "out.h5:/entry/labels"),
    "a.mp4": (save_video, "out.zarr"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_segment_and_predict_label_all_slices_of_any_format(
    tmp_path, name, capsys, run, files_in, stack_flags, make_slices, predicted
):
    save, out = INPUTS[name]
    given = save(tmp_path / name, make_slices())
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("segment", given, "--train-on", "1", "-o", first / out, *stack_flags) == 0
    said = capsys.readouterr()
    is_video = name.endswith("mp4")
    file = out.partition(":")[0]
    overlay = f"{Path(file).stem}_overlay.mp4"
    own = {file} | pages(Path(file).stem) | ({overlay} if is_video else set())
    assert files_in(first) == MODEL_FILES | own
    lines = [line.partition(":") for line in said.out.splitlines()]
    whats = ["chosen", "model", "stable", "labels"] + (["overlay"] if is_video else []) + ["report"]
    assert [what for what, _, _ in lines] == whats
    noun = "frames" if is_video else "slices"
    assert lines[0][2].strip() == f"{noun[:-1]} 1 of 5"
    assert lines[3][2].strip() == f"5 {noun} in {first / file}"
    assert all(line.isprintable() for line in said.err.splitlines())
    assert said.err.splitlines()[-1].startswith(f"5 of 5 {noun} in ")

    model = first / "model.safetensors"
    assert run("predict", model, given, "-o", second / out) == 0
    assert files_in(second) == own
    volume = open_volume(given)
    expected = predicted(model, volume)
    for folder in (first, second):
        found = folder / file
        if file.endswith(".zarr"):
            labels = np.asarray(zarr.open_array(f"{found}/0", mode="r"))
        elif file.endswith(".h5"):
            with h5py.File(found) as stored:
                labels = stored["entry/labels"][:]
        else:
            labels = open_volume(found).read(0, 5)[:, 0]
        np.testing.assert_array_equal(labels, expected)
        if is_video:
            shown = open_volume(folder / overlay)
            assert (len(shown), shown.width) == (5, 32)
            assert shown.height > 24  # of the legend
            assert shown.frame_times == pytest.approx(volume.frame_times, abs=1e-3)
            assert shown[0].std() > 5


def test_parts_of_a_volume(tmp_path, stack, model, capsys, run, refusal, predicted):
    out = tmp_path / "out.npy"
    part = ["--slices", "1:5:2", "--crop", "2:22,4:32", "--binning", "2"]
    assert run("predict", model, stack, *part, "-o", out) == 0
    volume = open_volume(stack, start=1, stop=5, step=2, crop="2:22,4:32", binning=2)
    assert np.load(out).shape == (2, 10, 14)
    np.testing.assert_array_equal(np.load(out), predicted(model, volume))
    assert run("predict", model, stack, "--axis", "y", "-o", tmp_path / "y.npy") == 0
    in_slices = predicted(model, open_volume(stack, axis="y"))
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), in_slices.transpose(1, 0, 2))
    capsys.readouterr()
    for flags, reason in (
        (["--slices", "1-5"], "--slices 1-5: is not a range"),
        (["--slices", "1:2:3:4"], "--slices 1:2:3:4: is not a range"),
        (["--slices", "4:9"], "slices"),
        (["--crop", "1:2"], "crop"),
        (["--binning", "2", "2"], "--binning: got 2 numbers; give one number or"),
        (["--axes", "zz"], "axes"),
    ):
        line = refusal("predict", model, stack, *flags, "-o", tmp_path / "no.npy")
        assert reason in line
    assert not (tmp_path / "no.npy").exists()


def test_supervoxels_and_relabelling(tmp_path, stack, model, run):
    (tmp_path / "map.yaml").write_text("merge: {0: [1, 2]}\nsmooth: 1\n")
    flags = ["--mode", "supervoxels", "--block", "3", "--workers", "0"]
    assert run("predict", model, stack, *flags, "-o", tmp_path / "plain.npy") == 0
    flags += ["--relabel", tmp_path / "map.yaml"]
    assert run("predict", model, stack, *flags, "-o", tmp_path / "out.npy") == 0
    plain, labels = np.load(tmp_path / "plain.npy"), np.load(tmp_path / "out.npy")
    relabel = Relabel(merge={0: [1, 2]}, smooth=1)
    np.testing.assert_array_equal(labels, np.stack([relabel.apply(p) for p in plain]))


def test_the_superpixels_of_a_volume_are_made_as_the_network_sees_it(tmp_path, model):
    assert Segmenter.load(model).config_.superpixel_size == 320
    assert yaml.safe_load((model.parent / "config.yaml").read_text())["superpixel_size"] == 320


# Overlays


def test_an_overlay_never_replaces_the_video(tmp_path, model, refusal, make_slices):
    video = save_video(tmp_path / "a_overlay.mp4", make_slices())
    before = video.read_bytes()
    command = ["predict", model, video, "--overwrite", "-o", tmp_path / "a.zarr"]
    assert refusal(*command).startswith(f"{video}: is an input and would be replaced")
    line = refusal(*command[:-1], tmp_path / "b.zarr", "--overlay", video)
    assert line.startswith(f"{video}: is an input and would be replaced")
    assert video.read_bytes() == before


def test_overlays_that_cannot_be(tmp_path, stack, model, run, refusal):
    command = ["predict", model, stack, "-o", tmp_path / "a.zarr", "--overlay"]
    (tmp_path / "there.mp4").write_text("mine")
    assert "there.mp4: already exists" in refusal(*command, tmp_path / "there.mp4")
    assert "does not end in .mp4" in refusal(*command, tmp_path / "look.avi")
    assert run(*command, tmp_path / "new/look.mp4") == 0
    assert len(open_volume(tmp_path / "new/look.mp4")) == 5


# Slices that cannot be used


@pytest.fixture
def damaged(tmp_path, make_slices):
    folder = save_folder(tmp_path / "damaged", make_slices())
    file = folder / "frame2.png"
    file.write_bytes(file.read_bytes()[:200])
    return folder


def test_a_damaged_slice_is_named_before_training(
    tmp_path, damaged, untrained, refusal, stack_flags
):
    command = ["segment", damaged, "--train-on", "0", "-o", tmp_path / "out.zarr", *stack_flags]
    line = refusal(*command)
    assert line.startswith(f"{damaged}: slice 2 cannot be used ({damaged}/frame2.png: ")
    assert line.endswith("--skip-bad.")
    command[3] = "2"
    line = refusal(*command, "--skip-bad")
    assert line.startswith(f"--train-on: slice 2 cannot be used ({damaged}/frame2.png: ")


@pytest.mark.parametrize("train_on", ["0,3", "auto:4"])
def test_damaged_slices_are_left_out_when_told(
    tmp_path, damaged, capsys, train_on, run, stack_flags
):
    out = tmp_path / "o/out.npy"
    command = ["segment", damaged, "--train-on", train_on, "-o", out, "--skip-bad", *stack_flags]
    assert run(*command, "--overlay", tmp_path / "look.mp4") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2].startswith(
        f"skipped: slice 2 has the value 255: {damaged}/frame2.png: cannot be read"
    )
    labels = np.load(out)
    assert (labels[2] == 255).all()
    assert labels[[0, 1, 3, 4]].max() < 4
    assert len(open_volume(tmp_path / "look.mp4")) == 5


@pytest.mark.parametrize("kind", ["never written", "a source is missing"])
def test_gaps_of_hdf5_are_no_zeros(tmp_path, model, kind, run, refusal, make_slices):
    slices, path = make_slices(), tmp_path / "scan.h5"
    with h5py.File(tmp_path / "part.h5", "w") as part, h5py.File(path, "w") as file:
        if kind == "never written":
            chunk = (1, *slices.shape[1:])
            file.create_dataset("data", slices.shape, slices.dtype, chunks=chunk)[:3] = slices[:3]
        else:
            layout = h5py.VirtualLayout(slices.shape, slices.dtype)
            part["data"], file["first"] = slices[3:], slices[:3]
            layout[3:] = h5py.VirtualSource("part.h5", "data", part["data"].shape)
            layout[:3] = h5py.VirtualSource(".", "first", file["first"].shape)
            file.create_virtual_dataset("data", layout)
    (tmp_path / "part.h5").unlink()
    command = ["predict", model, f"{path}:/data", "--workers", "0", "-o", tmp_path / "out.npy"]
    reason = "never written" if kind == "never written" else "needs part.h5, which is missing"
    line = refusal(*command)
    assert line.startswith(f"{path}:/data: slice 3 (and 1 more) cannot be used")
    assert reason in line
    assert run(*command, "--skip-bad") == 0
    labels = np.load(tmp_path / "out.npy")
    assert (labels[3:] == 255).all()
    assert labels[:3].max() < 4


# What is and is not a volume


@pytest.mark.parametrize(
    "name", ["none.tif", "text.txt", "image.png", "empty", "a.h5:/entry/none", "a.h5"]
)
def test_what_is_no_volume(tmp_path, model, name, refusal, make_slices):
    (tmp_path / "text.txt").write_text("text")
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(tmp_path / "image.png")
    (tmp_path / "empty").mkdir()
    save_hdf5(tmp_path / "a.h5", make_slices())
    line = refusal("predict", model, tmp_path / name, "-o", tmp_path / "out.zarr")
    assert line.startswith(f"{tmp_path}/{name.partition(':')[0]}")
    assert not (tmp_path / "out.zarr").exists()


def test_a_model_of_other_channels(tmp_path, model, refusal, make_slices):
    video = save_video(tmp_path / "a.mp4", make_slices())
    line = refusal("predict", model, video, "-o", tmp_path / "out.zarr")
    assert line.startswith(f"{video}: has 3 channels instead of 1")


def test_segment_takes_one_volume(tmp_path, stack, refusal):
    other = save_npy(tmp_path / "b.npy", open_volume(stack).read(0, 5)[:, 0])
    line = refusal("segment", stack, other, "--slices", "0:4", "-o", tmp_path / "out")
    assert line.startswith(
        f"{other}: is a second volume, but segment labels only one; train on all"
    )


def test_an_image_and_a_volume_are_two_commands(tmp_path, stack, model, refusal):
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(tmp_path / "image.png")
    other = save_npy(tmp_path / "b.npy", open_volume(stack).read(0, 5)[:, 0])
    line = refusal("predict", model, tmp_path / "image.png", other, "-o", tmp_path / "out")
    assert line.startswith(f"{tmp_path}/image.png: is one image, but {other} is a volume")


def test_many_volumes_are_labelled_by_one_command(
    tmp_path, model, capsys, run, refusal, files_in, make_slices, predicted
):
    others = [
        save_npy(tmp_path / f"{name}.npy", make_slices(seed=n)) for n, name in enumerate("bc")
    ]
    out = tmp_path / "out"
    command = ["predict", model, *others, "-o", out, "--format"]
    assert run(*command, "zarr") == 0
    assert files_in(out) == {"b_labels.zarr", "c_labels.zarr"} | pages("b", "c")
    for name, other in zip("bc", others, strict=True):
        labels = zarr.open_array(out / f"{name}_labels.zarr/0", mode="r")[:]
        np.testing.assert_array_equal(labels, predicted(model, open_volume(other)))
    capsys.readouterr()
    line = refusal(*command[:-2], out / "one.zarr")
    assert line.startswith(f"--output {out}/one.zarr: is one file, but there are 2 volumes")
    (tmp_path / "again").mkdir()
    same = save_npy(tmp_path / "again/b.npy", make_slices())
    line = refusal("predict", model, others[0], same, "-o", tmp_path / "two")
    assert line.startswith(f"{tmp_path}/two/b_labels.tif: would hold labels of two volumes")
    assert refusal(*command, "xyz").startswith("--format xyz: ")
    assert files_in(out) == {"b_labels.zarr", "c_labels.zarr"} | pages("b", "c")


@pytest.mark.parametrize("name", ["frames", "a.mp4"])
def test_a_folder_takes_all_results(
    tmp_path, name, monkeypatch, capsys, run, files_in, stack_flags, make_slices
):
    """Also without --train-on, and nothing is written to the current folder."""
    given = INPUTS[name][0](tmp_path / name, make_slices())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run("segment", given, "-o", tmp_path / "out", *stack_flags) == 0
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith("chosen:")
    assert said.endswith(" of 5, as --train-on auto:2 does")
    stem = Path(name).stem
    overlay = {f"{stem}_overlay.mp4"} if name.endswith("mp4") else set()
    files = MODEL_FILES | {f"{stem}_labels.tif"} | pages(stem) | overlay
    assert files_in(tmp_path / "out") == files
    assert files_in(".") == set()
    if not overlay:  # the model is used again, and the labels are added in another format
        assert run("segment", given, "-o", tmp_path / "out", "--format", "png", *stack_flags) == 0
        assert files_in(tmp_path / "out") == files | {"frames_labels"}


@pytest.mark.parametrize(
    ("image", "output", "expected"),
    [
        ("a.png", "out", False),
        ("a.tif", "out", False),
        ("a.tif", "out.TIF", True),
        ("a.tif", "out.h5:/entry/labels", True),
        ("a.tif", "out.xyz", False),
        ("a.MP4", "out", True),
        ("a.npy", "out", True),
        ("a.nxs:/entry/data/data", "out", True),
        ("a.dat:/entry/data", "out", True),
        ("a.tif:1", "out", True),
        (".", "out", True),
        ("C:/images/a.png", "out", False),
    ],
)
def test_volumes_are_told_by_their_names(tmp_path, monkeypatch, image, output, expected):
    monkeypatch.chdir(tmp_path)
    flags = VolumeFlags()
    assert are_volumes([Path(image)], Path(output), flags) is expected
    assert are_volumes([Path(image)], Path(output), flags, train_on="0")
    assert are_volumes([Path(image)], Path(output), VolumeFlags(block=3))
    if not expected:
        assert not are_volumes([Path(image), Path(image)], Path(output), flags)
    if are_volumes([Path(image)], Path("out"), flags):
        with pytest.raises(InputError, match="is one image, but"):
            are_volumes([Path(image), Path("b")], Path("out"), flags)
