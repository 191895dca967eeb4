import csv
import dataclasses
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml
from PIL import Image
from torch_geometric.data import Data

from sp_graph_seg import Config, Segmenter, ToRAG
from sp_graph_seg.cli import main
from sp_graph_seg.cli.flags import GraphFlags, TrainingFlags
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import read_image, read_labels

PROGRAM = Path(sys.executable).parent / "sp-graph-seg"
QUICK = ["--width", "4", "--depth", "2", "--num-features", "8", "--n-segments", "40"]
QUICK += ["--epochs", "1", "--minibatches", "2", "--patches", "4", "16", "16"]


def scene(height, width, channels=3, seed=0):
    """A bright disc and a dark bar on a gradient, with noise: floats in [0, 1], (H, W, C)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    values = 0.3 + 0.2 * np.stack([(x / width) ** (c + 1) for c in range(channels)], axis=-1)
    values[np.hypot(y - height / 2, x - width / 2) < height / 4, 0] = 0.9
    values[: height // 6] *= 0.3
    return (values + rng.normal(0, 0.01, values.shape)).clip(0, 1)


def save_photo(path, height=48, width=64, seed=0):
    Image.fromarray(np.uint8(255 * scene(height, width, seed=seed))).save(path)
    return path


def save_tiff(path, channels, dtype, scale, height=48, width=64):
    values = (scale * scene(height, width, channels)).astype(dtype).transpose(2, 0, 1)
    tifffile.imwrite(path, values.squeeze(), photometric="minisblack")
    return path


@pytest.fixture
def photo(tmp_path):
    return save_photo(tmp_path / "photo.png")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Three photographs of different sizes, segmented together, and a fourth."""
    folder = tmp_path_factory.mktemp("results")
    sizes = {"a": (48, 64), "b": (64, 48), "c": (40, 56), "d": (50, 50)}
    for seed, (name, size) in enumerate(sizes.items()):
        save_photo(folder / f"{name}.png", *size, seed=seed)
    images = [str(folder / f"{name}.png") for name in "abc"]
    assert main(["segment", *images, "-o", str(folder / "out"), *QUICK]) == 0
    return folder


def refusal(capsys, *arguments):
    """What is wrong: one line on standard error, exit code 2, nothing on standard output."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("sp-graph-seg: error: ")
    return line.removeprefix("sp-graph-seg: error: ")


def files_in(folder):
    return {path.name for path in Path(folder).iterdir()}


# In a real shell


def test_in_a_shell(photo):
    command = [PROGRAM, "segment", photo.name, "--output", "out", *QUICK]
    done = subprocess.run(command, cwd=photo.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    labels, overlay, model = done.stdout.splitlines()
    assert labels.startswith("labels: ")
    assert labels.endswith(f" in {Path('out/photo_labels.png')}")
    assert overlay.split() == ["overlay:", str(Path("out/photo_overlay.png"))]
    assert model.endswith("model.safetensors, with config.yaml, history.csv and history.png")
    (progress,) = done.stderr.splitlines()
    assert "2/2" in progress
    assert progress.isprintable()

    done = subprocess.run(command, cwd=photo.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "already exists; add --overwrite" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from sp_graph_seg.cli import main; main(['segment', '--help'])\n"
        "heavy = {'torch', 'skimage', 'sklearn', 'matplotlib', 'scipy', 'pandas', 'PIL'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--num-features" in done.stdout


# Help


def test_every_field_of_the_configuration_is_a_flag(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for command in ("segment", "train"):
        assert main([command, "--help"]) == 0
        shown = capsys.readouterr().out
        for field in dataclasses.fields(Config):
            assert f"--{field.name.replace('_', '-')} " in shown
        words = " ".join(shown.replace("│", " ").split())
        assert "Longest side in pixels at which the network sees an image; a larger one" in words
        assert f"[default: {Config().n_segments}]" in words
        assert "--no-redraw-patches" in words
        assert "--empty-" not in words


def test_a_graph_has_the_flags_that_it_depends_on(capsys):
    assert main(["graph", "--help"]) == 0
    shown = capsys.readouterr().out
    names = [
        f.name for f in dataclasses.fields(Config) if f"--{f.name.replace('_', '-')} " in shown
    ]
    assert names == ["superpixels", "n_segments", "compactness", "tau_con"]


def test_version(capsys):
    from sp_graph_seg import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


# Configuration


def test_flags_override_the_file_and_the_file_the_preset(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("n_segments: 77\nepochs: 5\npatches: [[2, 32, 32]]\n")
    flags = TrainingFlags(preset="paper", config=file, epochs=6, redraw_patches=False)
    expected = Config.preset("paper").replace(
        n_segments=77, epochs=6, patches=((2, 32, 32),), redraw_patches=False
    )
    assert flags.resolve() == expected
    assert TrainingFlags().resolve() == Config()
    assert GraphFlags(config=file, tau_con=-1.0).resolve().tau_con == -1.0


def test_a_false_value_in_the_file_is_named_with_the_file(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("n_segment: 77\n")
    with pytest.raises(
        InputError, match=r"my.yaml: 'n_segment' is no .* did you mean 'n_segments'"
    ):
        TrainingFlags(config=file).resolve()


def test_the_file_that_is_written_is_a_configuration(results, photo, tmp_path):
    written = results / "out/config.yaml"
    resolved = TrainingFlags(config=written).resolve()
    assert resolved == Segmenter.load(results / "out/model.safetensors").config
    assert (resolved.width, resolved.patches) == (4, ((4, 16, 16),))
    again = tmp_path / "again.safetensors"
    arguments = ["--config", str(written), "--patches", "2", "16", "16", "--patches", "2", "8", "8"]
    assert main(["train", str(photo), "-o", str(again), *arguments]) == 0
    values = yaml.safe_load((tmp_path / "again.yaml").read_text())
    assert values["patches"] == [[2, 16, 16], [2, 8, 8]]
    assert values["width"] == 4


# What the commands write


def test_segment_writes_all_results_and_nothing_else(results):
    per_image = {f"{name}_{kind}.png" for name in "abc" for kind in ("labels", "overlay")}
    once = {"model.safetensors", "config.yaml", "history.csv", "history.png"}
    assert files_in(results / "out") == per_image | once
    for name in "abc":
        with Image.open(results / f"{name}.png") as image:
            size = image.size
        with Image.open(results / f"out/{name}_labels.png") as labels:
            assert (labels.mode, labels.size) == ("L", size)
            assert "transparency" not in labels.info
            assert labels.getextrema()[1] < 8
        with Image.open(results / f"out/{name}_overlay.png") as overlay:
            assert (overlay.mode, overlay.size) == ("RGB", size)
    rows = list(csv.DictReader((results / "out/history.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["1", "2"]


def test_predict_repeats_the_labels_of_segment_and_labels_a_fourth(results, tmp_path, capsys):
    images = [str(results / f"{name}.png") for name in "abcd"]
    model = str(results / "out/model.safetensors")
    assert main(["predict", model, *images, "-o", str(tmp_path)]) == 0
    labels, overlay = capsys.readouterr().out.splitlines()
    assert labels.endswith(f"{tmp_path}/a_labels.png to {tmp_path}/d_labels.png (4 files)")
    assert overlay.endswith(f"{tmp_path}/a_overlay.png to {tmp_path}/d_overlay.png (4 files)")
    for name in "abc":
        file = f"{name}_labels.png"
        assert (tmp_path / file).read_bytes() == (results / "out" / file).read_bytes()
    assert read_labels(tmp_path / "d_labels.png").shape == (50, 50)


@pytest.mark.parametrize(
    ("channels", "dtype", "scale"), [(1, "uint16", 65535), (5, "float32", 1500)], ids=str
)
def test_tiffs(tmp_path, channels, dtype, scale, capsys):
    image = save_tiff(tmp_path / "scan.tif", channels, dtype, scale)
    model = tmp_path / "models" / "scan.safetensors"
    assert main(["train", str(image), "--output", str(model), *QUICK]) == 0
    out = capsys.readouterr().out
    assert out == f"model:   {model}, with scan.yaml, scan.csv and scan.png\n"
    assert files_in(model.parent) == {
        f"scan.{end}" for end in ("safetensors", "yaml", "csv", "png")
    }
    segmenter = Segmenter.load(model)
    assert segmenter.intensity_range_[1] > (0.5 if dtype == "uint16" else 500)

    assert main(["predict", str(model), str(image), "-o", str(tmp_path)]) == 0
    expected = segmenter.predict(read_image(image, float_range=None))
    np.testing.assert_array_equal(read_labels(tmp_path / "scan_labels.png"), expected)


def test_masks_are_read_and_scaled(photo, tmp_path, monkeypatch):
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[10:20, 30:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    seen = []
    fit = Segmenter.fit

    def remember(self, images, masks, **options):
        seen.extend(masks)
        return fit(self, images, masks=masks, **options)

    monkeypatch.setattr(Segmenter, "fit", remember)
    arguments = ["--mask", tmp_path / "mask.png", "-o", tmp_path / "m.safetensors"]
    assert main(["train", str(photo), *map(str, arguments), *QUICK]) == 0
    np.testing.assert_array_equal(seen, [mask > 0])


def test_graph(photo, tmp_path, capsys):
    output = tmp_path / "graphs/photo.pt"
    arguments = ["--n-segments", "30", "--tau-con", "-2", "--superpixels", "watershed"]
    assert main(["graph", str(photo), "-o", str(output), *arguments]) == 0
    assert files_in(output.parent) == {"photo.pt", "photo.png"}
    data = Data.from_dict(torch.load(output, weights_only=True))
    image = read_image(photo)
    low, high = np.quantile(image, (0.001, 0.999))
    stretched = np.clip((image - np.float32(low)) / np.float32(high - low), 0, 1)
    expected = ToRAG(30, tau=-2.0, method="watershed")(stretched)
    assert data.keys() == expected.keys()
    for key in expected.keys():  # noqa: SIM118, a graph iterates over pairs
        assert torch.equal(torch.as_tensor(data[key]), torch.as_tensor(expected[key])), key
    graph, picture = capsys.readouterr().out.splitlines()
    assert graph.endswith(f"{data.num_nodes} nodes and {data.num_edges} directed edges in {output}")
    assert picture.split() == ["picture:", str(output.with_suffix(".png"))]


def test_graph_of_own_labels(photo, tmp_path):
    np.save(tmp_path / "own.npy", np.arange(48 * 64).reshape(48, 64) // (24 * 64))
    output = tmp_path / "own.pt"
    assert main(["graph", str(photo), "-o", str(output), "--labels", f"{tmp_path}/own.npy"]) == 0
    assert torch.load(output)["edge_index"].tolist() == [[1, 0], [0, 1]]


def test_own_warnings_are_one_line_and_others_none(photo, tmp_path, capsys, monkeypatch):
    fit = Segmenter.fit

    def chatter(self, *arguments, **options):
        warnings.warn("of another library", DeprecationWarning, stacklevel=1)
        return fit(self, *arguments, **options)

    monkeypatch.setattr(Segmenter, "fit", chatter)
    arguments = [*QUICK, "--patches", "2", "16", "99"]
    assert main(["train", str(photo), "-o", str(tmp_path / "m.safetensors"), *arguments]) == 0
    warning, progress = capsys.readouterr().err.splitlines()
    assert warning.startswith("sp-graph-seg: warning: patches: 16x99 shrink to 16x64")
    assert "2/2" in progress


# What is refused, with nothing written


def make_nan(path):
    tifffile.imwrite(path, np.full((48, 64), np.nan, dtype=np.float32))


def make_text(path):
    path.write_text("no image")


def make_small(path):
    save_photo(path, 3, 64)


def make_grey(path):
    Image.fromarray(np.zeros((48, 64), dtype=np.uint8)).save(path, format="PNG")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "cannot be opened (No such file or directory)"),
        (make_text, "is not an image of a known format"),
        (make_nan, "3072 of 3072 values are NaN or infinite"),
        (make_small, "3x64 pixels are too few for depth=2"),
        (make_grey, "1 channels, where 3 are expected"),
    ],
    ids=["missing", "text", "nan", "small", "grey"],
)
@pytest.mark.parametrize("command", ["segment", "predict"])
def test_an_image_that_cannot_be_used(results, photo, tmp_path, capsys, make, reason, command):
    bad, out = tmp_path / "bad.png", tmp_path / "out"
    make(bad)
    if command == "segment":
        line = refusal(capsys, "segment", photo, bad, "-o", out, *QUICK)
    else:
        line = refusal(capsys, "predict", results / "out/model.safetensors", photo, bad, "-o", out)
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
        (["--config", "none.yaml"], "none.yaml: No such file or directory"),
        (["--patches", "4", "16"], ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_configuration_that_cannot_be_used(photo, tmp_path, capsys, arguments, reason):
    line = refusal(capsys, "segment", photo, "-o", tmp_path / "out", *arguments)
    assert line.startswith(reason)
    assert files_in(tmp_path) == {"photo.png"}


def test_patches_too_small_for_the_network(photo, tmp_path, capsys):
    arguments = [*QUICK, "--patches", "4", "2", "2"]
    line = refusal(capsys, "train", photo, "-o", tmp_path / "m.safetensors", *arguments)
    assert line.startswith("patches: 2 pixels are too few for depth=2")
    assert files_in(tmp_path) == {"photo.png"}


def test_an_output_that_exists_is_kept_unless_told(photo, tmp_path, capsys):
    model = tmp_path / "m.safetensors"
    (tmp_path / "m.csv").write_text("mine")
    line = refusal(capsys, "train", photo, "-o", model, *QUICK)
    assert (
        line == f"{tmp_path / 'm.csv'}: already exists; add --overwrite or choose another --output"
    )
    assert files_in(tmp_path) == {"photo.png", "m.csv"}
    assert main(["train", str(photo), "-o", str(model), "--overwrite", *QUICK]) == 0
    assert (tmp_path / "m.csv").read_text() != "mine"


def test_outputs_that_collide(photo, tmp_path, capsys):
    other = save_photo(tmp_path / "photo.jpg")
    line = refusal(capsys, "segment", photo, other, "-o", tmp_path / "out")
    assert line.startswith(f"{tmp_path / 'out/photo_labels.png'}: would be written for two images")
    assert not (tmp_path / "out").exists()


def test_an_input_is_never_replaced(photo, tmp_path, capsys):
    before = photo.read_bytes()
    line = refusal(capsys, "graph", photo, "-o", tmp_path / "photo.pt", "--overwrite")
    assert line.startswith(f"{photo}: is an input")
    assert photo.read_bytes() == before


@pytest.mark.parametrize(("command", "suffix"), [("train", ".safetensors"), ("graph", ".pt")])
def test_the_suffix_of_the_output(photo, tmp_path, capsys, command, suffix):
    line = refusal(capsys, command, photo, "-o", tmp_path / "photo.jpg")
    assert line == f"--output {tmp_path / 'photo.jpg'}: must end in {suffix}; rename it."


def test_a_folder_that_cannot_be_made(photo, capsys):
    line = refusal(capsys, "segment", photo, "-o", photo / "out", *QUICK)
    assert line.startswith(f"{photo / 'out'}: cannot be written to")


def test_a_truncated_model(results, photo, tmp_path, capsys):
    model = tmp_path / "half.safetensors"
    model.write_bytes((results / "out/model.safetensors").read_bytes()[:500])
    line = refusal(capsys, "predict", model, photo, "-o", tmp_path / "out")
    assert line.startswith(f"{model}: cannot be read as a model")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("masks", "reason"),
    [
        ([np.ones((48, 64))] * 2, "--mask: 2 for 1 images; give one for each."),
        ([np.ones((8, 9))], "mask0.npy: 8x9 pixels are not the 48x64 of "),
        ([np.zeros((48, 64))], "mask0.npy: is 0 everywhere"),
        ([np.ones((48, 64, 3))], "mask0.npy: uint8 of shape (48, 64, 3) is not one label"),
    ],
    ids=["count", "size", "empty", "colours"],
)
def test_masks_that_cannot_be_used(photo, tmp_path, capsys, masks, reason):
    files = [tmp_path / f"mask{number}.npy" for number in range(len(masks))]
    for file, mask in zip(files, masks, strict=True):
        np.save(file, mask.astype(np.uint8))
    output = tmp_path / "m.safetensors"
    line = refusal(capsys, "train", photo, "--mask", *files, "-o", output, *QUICK)
    assert reason in line
    assert not output.exists()


# Interrupted or failing later


def test_an_interrupt(photo, tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Segmenter, "fit", interrupt)
    assert main(["segment", str(photo), "-o", str(tmp_path / "out")]) == 130
    assert capsys.readouterr() == ("", "sp-graph-seg: interrupted\n")
    assert files_in(tmp_path / "out") == set()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_write_that_fails_is_named_and_leaves_nothing(photo, tmp_path, capsys, monkeypatch):
    def fill_the_disk(data, path):
        with open("/dev/full", "wb") as disk:
            disk.write(bytes(10))

    monkeypatch.setattr(torch, "save", fill_the_disk)
    line = refusal(capsys, "graph", photo, "-o", tmp_path / "g.pt", "--n-segments", "9")
    assert line.startswith(f"{tmp_path / 'g.pt'}: cannot be written (No space left on device)")
    assert files_in(tmp_path) == {"photo.png"}


def test_a_bug_keeps_its_traceback(photo, tmp_path, monkeypatch):
    monkeypatch.setattr(Segmenter, "fit", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["segment", str(photo), "-o", str(tmp_path / "out")])


def test_many_channels_are_mentioned(tmp_path, capsys):
    path = save_tiff(tmp_path / "stack.tif", 6, np.uint8, 255)
    assert main(["train", str(path), "-o", str(tmp_path / "m.safetensors"), *QUICK]) == 0
    warning, _ = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"sp-graph-seg: warning: {path}: read as one image of 6 channels")
