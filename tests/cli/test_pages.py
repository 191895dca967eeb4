"""The preview and the page of each result, as the commands write them."""

import json
import re

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from sp_graph_seg import Segmenter
from sp_graph_seg.io import label_colors, read_image, read_labels
from sp_graph_seg.report import sample as sample_module

PREVIEW, PAGE = "out_preview.png", "out_report.html"


def text_of(page):
    """The text of a page without its tags and pictures."""
    text = re.sub(
        r"<(style|script).*?</\1>|<[^>]*>", " ", page.read_text(encoding="utf-8"), flags=re.S
    )
    return " ".join(text.split())


@pytest.fixture
def labelled(tmp_path, stack, run, stack_flags):
    """A stack that was labelled with a command that a page has to quote."""
    folder = tmp_path / "a <b> & 'c'"
    command = ["segment", stack, "--train-on", "1,3", "-o", folder / "out.tif", *stack_flags]
    assert run(*command) == 0
    return folder


def test_a_page_tells_what_was_done(labelled, stack):
    text = text_of(labelled / PAGE)
    for part in (
        "scan 5 slices · ",
        f"Input {stack}",
        "Size 5 × 24 × 32 (z, y, x), uint16",
        "Trained on slices 1, 3",
        "which sees intensities from",
        "num_features: 4",
        "sp-graph-seg segment ",
        "--train-on 1,3 -o &#x27;",
        "10.5220/0012380700003660",
    ):
        assert part in text, part
    with Image.open(labelled / PREVIEW) as picture:
        assert picture.width == 2000


def test_the_legend_counts_the_labels(labelled, stack):
    labels, values = tifffile.imread(labelled / "out.tif"), tifffile.imread(stack)
    text = text_of(labelled / PAGE)
    for label in np.unique(labels):
        share, grey = (labels == label).mean(), values[labels == label].mean()
        assert f"{label} {100 * share:.1f} % {grey:.4g}" in text


def test_colours_are_those_of_the_model(labelled):
    colors = Segmenter.load(labelled / "model.safetensors").colors_
    page = (labelled / PAGE).read_text(encoding="utf-8")
    swatches = re.findall(r'--color: (#[0-9a-f]{6})"></span>(\d+)<', page)
    assert len(swatches) > 1
    assert all(colors[int(label)] == color for color, label in swatches)
    assert {color for color, _ in swatches} <= set(label_colors(range(len(swatches) + 2)).values())


def test_page_colour_map_zarr_and_mesh_have_the_same_colours(labelled, run):
    file, out = labelled / "out.tif", labelled / "measured"
    assert run("relabel", file, "-o", labelled / "out.zarr") == 0
    labels = np.unique(tifffile.imread(file)).tolist()
    assert run("inspect", file, "-o", out, "--meshes", *labels) == 0
    with tifffile.TiffFile(file) as tif:
        fiji = {n: (tif.pages.first.colormap[:, n] // 257).tolist() for n in labels}
    ome = json.loads((labelled / "out.zarr/zarr.json").read_text())["attributes"]["ome"]
    rows = ome["image-label"]["colors"]
    napari = {row["label-value"]: row["rgba"][:3] for row in rows if row["label-value"] in labels}
    page = (out / "report.html").read_text(encoding="utf-8")
    swatches = re.findall(r'--color: (#[0-9a-f]{6})"></span>(\d+)<', page)
    shown = {int(n): list(bytes.fromhex(color[1:])) for color, n in swatches}
    mesh = {}
    for label in labels:
        header, _, body = (out / f"label_{label}.ply").read_bytes().partition(b"end_header\n")
        assert header.index(b"property uchar red") > header.index(b"property float z")
        mesh[label] = list(body[12:15])  # after the three coordinates of the first vertex
    assert fiji == napari == shown == mesh


def test_names_and_colours_of_a_map_are_on_the_page(tmp_path, stack, model, run):
    entry = {"name": "<pore>", "color": "#123456"}
    (tmp_path / "map.yaml").write_text(
        yaml.safe_dump({"labels": {n: entry | {"name": f"<pore{n}>"} for n in range(4)}})
    )
    command = ["predict", model, stack, "-o", tmp_path / "out.zarr", "--relabel"]
    assert run(*command, tmp_path / "map.yaml") == 0
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "&lt;pore" in page
    assert "<pore" not in page
    assert "--color: #123456" in page


def test_a_page_that_fails_is_a_warning(tmp_path, stack, model, run, monkeypatch, capsys):
    def fail(*_):
        raise MemoryError("no memory for\na picture.")

    monkeypatch.setattr(sample_module, "shrink_labels", fail)
    assert run("predict", model, stack, "-o", tmp_path / "out.npy") == 0
    said = capsys.readouterr()
    assert (
        f"warning: {tmp_path}/{PAGE}: cannot be made (no memory for a picture); the labels"
        in said.err
    )
    assert "Traceback" not in said.err
    assert np.load(tmp_path / "out.npy").shape == (5, 24, 32)
    assert not (tmp_path / PAGE).exists()


def test_pages_of_others_are_kept_and_own_ones_replaced(
    tmp_path, stack, model, run, refusal, monkeypatch
):
    command = ["predict", model, stack, "-o", tmp_path / "out.npy"]
    (tmp_path / PAGE).write_text("<html>mine</html>")
    line = refusal(*command)
    assert line == f"{tmp_path}/{PAGE}: already exists; add --overwrite or choose another --output."
    (tmp_path / PAGE).unlink()
    assert run(*command) == 0
    (tmp_path / "out.npy").unlink()
    assert run(*command) == 0


@pytest.mark.parametrize("suffix", ["tif", "zarr", "npy"])
def test_an_array_of_two_axes_has_its_page(tmp_path, stack, model, run, capsys, suffix):
    np.save(tmp_path / "one.npy", tifffile.imread(stack)[0])
    assert run("predict", model, tmp_path / "one.npy", "-o", tmp_path / f"out.{suffix}") == 0
    assert "warning" not in capsys.readouterr().err
    assert "one 1 slice" in text_of(tmp_path / PAGE)


@pytest.mark.parametrize("axis", ["y", "x"])
def test_labels_along_another_axis_lie_over_their_slices(tmp_path, stack, model, run, axis):
    out = tmp_path / "out.tif"
    assert run("predict", model, stack, "--axis", axis, "-o", out) == 0
    labels, values = tifffile.imread(out), tifffile.imread(stack)
    text = text_of(tmp_path / PAGE)
    for label in np.unique(labels):
        assert f"{values[labels == label].mean():.4g}" in text


def test_the_page_of_photographs(results, tmp_path):
    """In the folder of three photographs that were segmented together."""
    text = text_of(results / "out/report.html")
    assert text.startswith("a to c – labels a to c 3 images · ")
    assert f"Input {results}/a.png, {results}/b.png, {results}/c.png" in text
    stored = [read_labels(results / f"out/{name}_labels.png") for name in "abc"]
    values = [read_image(results / f"{name}.png").mean(axis=0) for name in "abc"]
    labels, values = (np.concatenate([a.ravel() for a in arrays]) for arrays in (stored, values))
    for label in np.unique(labels):
        share, grey = (labels == label).mean(), values[labels == label].mean()
        assert f"{label} {100 * share:.1f} % {grey:.4g}" in text
    page = (results / "out/report.html").read_text(encoding="utf-8")
    for label, color in Segmenter.load(results / "out/model.safetensors").colors_.items():
        assert (f"--color: {color}" in page) == (label in labels)


def test_the_page_of_others_stops_segment_before_training(photo, untrained, refusal):
    (photo.parent / "report.html").write_text("mine")
    line = refusal("segment", photo, "-o", photo.parent)
    assert line.startswith(f"{photo.parent}/report.html: already exists; add --overwrite")
