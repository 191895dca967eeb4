"""The command line with images: its help, its configuration, and what it writes."""

import csv
import dataclasses
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


# In a real shell


def test_in_a_shell(photo, photo_flags):
    command = [PROGRAM, "segment", photo.name, "--output", "out", *photo_flags]
    done = subprocess.run(command, cwd=photo.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    labels, overlay, model, stable, page = done.stdout.splitlines()
    assert stable.startswith("stable:  not known; ")
    assert labels.startswith("labels: ")
    assert labels.endswith(f" in {Path('out/photo_labels.png')}")
    assert overlay.split() == ["overlay:", str(Path("out/photo_overlay.png"))]
    assert model.endswith("model.safetensors, with config.yaml, history.csv and history.png")
    assert page.split() == ["report:", str(Path("out/report.html"))]
    (progress,) = done.stderr.splitlines()
    assert progress.startswith("2 of 2 steps in ")
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
        assert "Longest side, in pixels, of an image in the network. A larger image is" in words
        assert f"[default: {Config().n_segments}]" in words
        assert "--no-redraw-patches" in words
        assert "--empty-" not in words


def test_a_graph_has_the_flags_that_it_depends_on(capsys):
    assert main(["graph", "--help"]) == 0
    shown = capsys.readouterr().out
    names = [
        f.name for f in dataclasses.fields(Config) if f"--{f.name.replace('_', '-')} " in shown
    ]
    assert names == ["superpixel_method", "n_segments", "compactness", "tau_con"]


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
    with pytest.raises(InputError, match=r"my.yaml: 'n_segment' is an unknown .* use 'n_segments'"):
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


def test_segment_writes_all_results_and_nothing_else(results, files_in):
    per_image = {f"{name}_{kind}.png" for name in "abc" for kind in ("labels", "overlay")}
    once = {"model.safetensors", "config.yaml", "history.csv", "history.png"}
    once |= {"report.html", "records.json"}
    assert files_in(results / "out") == per_image | once
    for name in "abc":
        with Image.open(results / f"{name}.png") as image:
            size = image.size
        with Image.open(results / f"out/{name}_labels.png") as labels:
            assert (labels.mode, labels.size) == ("L", size)
            assert "transparency" not in labels.info
            assert labels.getextrema()[1] < 8
        with Image.open(results / f"out/{name}_overlay.png") as overlay:
            assert (overlay.mode, overlay.width) == ("RGB", size[0])
            assert overlay.height > size[1]  # of the legend below the image
    rows = list(csv.DictReader((results / "out/history.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["1", "2"]


def test_predict_repeats_the_labels_of_segment_and_labels_a_fourth(results, tmp_path, capsys):
    images = [str(results / f"{name}.png") for name in "abcd"]
    model = str(results / "out/model.safetensors")
    assert main(["predict", model, *images, "-o", str(tmp_path)]) == 0
    labels, overlay, page = capsys.readouterr().out.splitlines()
    assert page.endswith(f"{tmp_path}/report.html")
    assert labels.endswith(f"{tmp_path}/a_labels.png to {tmp_path}/d_labels.png (4 files)")
    assert overlay.endswith(f"{tmp_path}/a_overlay.png to {tmp_path}/d_overlay.png (4 files)")
    for name in "abc":
        file = f"{name}_labels.png"
        assert (tmp_path / file).read_bytes() == (results / "out" / file).read_bytes()
    assert read_labels(tmp_path / "d_labels.png").shape == (50, 50)


@pytest.fixture
def save_tiff(scene):
    def save(path, channels, dtype, scale, height=48, width=64):
        values = (scale * scene(height, width, channels)).astype(dtype).transpose(2, 0, 1)
        tifffile.imwrite(path, values.squeeze(), photometric="minisblack")
        return path

    return save


@pytest.mark.parametrize(
    ("channels", "dtype", "scale"), [(1, "uint16", 65535), (5, "float32", 1500)], ids=str
)
def test_tiffs(tmp_path, channels, dtype, scale, capsys, files_in, photo_flags, save_tiff):
    image = save_tiff(tmp_path / "scan.tif", channels, dtype, scale)
    model = tmp_path / "models" / "scan.safetensors"
    assert main(["train", str(image), "--output", str(model), *photo_flags]) == 0
    out = capsys.readouterr().out
    first, second = out.splitlines()
    assert first == f"model:   {model}, with scan.yaml, scan.csv and scan.png"
    assert second.startswith("stable:  not known; ")
    assert files_in(model.parent) == {
        f"scan.{end}" for end in ("safetensors", "yaml", "csv", "png")
    }
    segmenter = Segmenter.load(model)
    assert segmenter.intensity_range_[1] > (0.5 if dtype == "uint16" else 500)

    assert main(["predict", str(model), str(image), "-o", str(tmp_path)]) == 0
    expected = segmenter.predict(read_image(image))
    np.testing.assert_array_equal(read_labels(tmp_path / "scan_labels.png"), expected)


def test_masks_are_read_and_scaled(photo, tmp_path, monkeypatch, photo_flags):
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
    assert main(["train", str(photo), *map(str, arguments), *photo_flags]) == 0
    np.testing.assert_array_equal(seen, [mask > 0])


def test_the_uncertainty_of_each_label(photo, tmp_path, capsys, photo_flags):
    out = tmp_path / "out"
    command = ["segment", photo, "-o", out, "--uncertainty", "--labels", "3"]
    assert main([str(word) for word in command]) == 0
    assert f"unsure:  {out}/photo_uncertainty.png" in capsys.readouterr().out.splitlines()
    segmenter = Segmenter.load(out / "model.safetensors")
    _, margins = segmenter.predict_with_margin(read_image(photo))
    found = np.asarray(Image.open(out / "photo_uncertainty.png"))
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found / 254, 1 - margins, atol=0.5 / 254 + 1e-6)
    again = ["predict", out / "model.safetensors", photo, "-o", tmp_path / "b", "--uncertainty"]
    assert main([str(word) for word in again]) == 0
    again = np.asarray(Image.open(tmp_path / "b/photo_uncertainty.png"))
    np.testing.assert_array_equal(again, found)


def test_graph(photo, tmp_path, capsys, files_in):
    output = tmp_path / "graphs/photo.pt"
    arguments = ["--n-segments", "30", "--tau-con", "-2", "--superpixel-method", "watershed"]
    assert main(["graph", str(photo), "-o", str(output), *arguments]) == 0
    assert files_in(output.parent) == {"photo.pt", "photo.png"}
    data = Data.from_dict(torch.load(output, weights_only=True))
    image = read_image(photo)
    low, high = np.quantile(image, (0.001, 0.999))
    stretched = np.clip((image - np.float32(low)) / np.float32(high - low), 0, 1)
    to_rag = ToRAG(30, tau=-2.0, superpixel_method="watershed", edge_weight="softmax")
    expected = to_rag(stretched)
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


def test_own_warnings_are_one_line_and_others_none(
    photo, tmp_path, capsys, monkeypatch, photo_flags
):
    fit = Segmenter.fit

    def chatter(self, *arguments, **options):
        warnings.warn("of another library", DeprecationWarning, stacklevel=1)
        return fit(self, *arguments, **options)

    monkeypatch.setattr(Segmenter, "fit", chatter)
    arguments = [*photo_flags, "--patches", "2", "16", "99"]
    assert main(["train", str(photo), "-o", str(tmp_path / "m.safetensors"), *arguments]) == 0
    warning, progress = capsys.readouterr().err.splitlines()
    reduced = "patches: patches of 16x99 pixels are reduced to 16x64"
    assert warning.startswith(f"sp-graph-seg: warning: {reduced}")
    assert progress.startswith("2 of 2 steps in ")


def test_many_channels_are_mentioned(tmp_path, capsys, photo_flags, save_tiff):
    path = save_tiff(tmp_path / "stack.tif", 6, np.uint8, 255)
    assert main(["train", str(path), "-o", str(tmp_path / "m.safetensors"), *photo_flags]) == 0
    warning, _ = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"sp-graph-seg: warning: {path}: is read as one image of 6 channels")
