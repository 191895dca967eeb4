"""``sp-graph-seg regions``: its files, its wishes, its refusals."""

import numpy as np
import pytest
from PIL import Image

from sp_graph_seg import regions
from sp_graph_seg.evaluation import score_segmentation
from sp_graph_seg.io import read_image, read_labels
from sp_graph_seg.regions import RegionTree, build_region_tree


@pytest.fixture
def picture(tmp_path):
    """Four squares, ``four.png``, and which is where."""
    truth = np.kron(np.array([[0, 1], [2, 3]]), np.ones((24, 32), int))
    colors = np.array([[200, 40, 40], [40, 180, 60], [40, 60, 200], [240, 240, 90]], np.uint8)
    Image.fromarray(colors[truth]).save(tmp_path / "four.png")
    return tmp_path / "four.png", truth


def test_regions_overlay_and_contours_are_written(run, picture, capsys):
    path, truth = picture
    output = path.parent / "out"
    assert run("regions", path, "--output", output, "--regions", 4) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["regions", "overlay", "contours", "tree"]
    with Image.open(output / "four_regions.png") as stored:
        assert stored.mode.startswith("I;16")
    labels = read_labels(output / "four_regions.png")
    assert score_segmentation(labels, [truth])["v"] > 0.95
    contours = read_image(output / "four_contours.png")[0] / 255
    tree = build_region_tree(read_image(path) / 255)
    np.testing.assert_allclose(contours, 1 - tree.contours(), atol=0.003)
    assert contours[10, 31] < 0.5 < contours[10, 10]
    assert read_image(output / "four_overlay.png").shape == (3, 48, 64)


def test_a_threshold_and_a_mask(run, picture):
    path, truth = picture
    mask = np.zeros(truth.shape, np.uint8)
    mask[:24] = 255
    Image.fromarray(mask).save(path.parent / "mask.png")
    command = ["regions", path, "--output", path.parent, "--mask", path.parent / "mask.png"]
    assert run(*command, "--threshold", 0.5) == 0
    labels = read_labels(path.parent / "four_regions.png")
    assert (labels[24:] == 65535).all()
    assert score_segmentation(labels[:24], [truth[:24]])["v"] > 0.99
    assert run(*command, "--threshold", 1, "--overwrite") == 0
    assert not read_labels(path.parent / "four_regions.png")[:24].any()


def test_a_tree_is_cut_again_but_not_that_of_another_image(run, picture, monkeypatch):
    path, _ = picture
    command = ["regions", path, "--output", path.parent, "--overwrite"]
    assert run(*command, "--regions", 2) == 0
    tree = RegionTree.load(path.parent / "four_tree.npz")
    with monkeypatch.context() as patch:
        patch.setattr(regions, "build_region_tree", None)  # not called
        assert run(*command, "--regions", 4) == 0
        labels = read_labels(path.parent / "four_regions.png")
        assert (labels == tree.cut(num_regions=4)).all()
    Image.fromarray(np.flipud(np.array(Image.open(path))[:, :32])).save(path)
    assert run(*command, "--regions", 2) == 0
    assert read_labels(path.parent / "four_regions.png").shape == (48, 32)


def test_labels_of_regions_come_without_a_history(run, picture, capsys):
    path, truth = picture
    output = path.parent / "out"
    assert run("segment", path, "--output", output, "--label-by", "regions") == 0
    assert capsys.readouterr().out.splitlines()[-3].endswith("model.safetensors, with config.yaml")
    names = {"four_labels.png", "four_overlay.png", "model.safetensors", "config.yaml"}
    assert {file.name for file in output.iterdir()} == names | {"report.html", "records.json"}
    labels = read_labels(output / "four_labels.png")
    assert score_segmentation(labels, [truth])["v"] > 0.95
    model = output / "model.safetensors"
    assert run("predict", model, path, "--output", path.parent / "again") == 0
    assert (read_labels(path.parent / "again" / "four_labels.png") == labels).all()


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (["--regions", 3, "--threshold", 0.5], "--threshold: cannot be used with --regions"),
        (["--regions", 0], "--regions 0: is out of range"),
        (["--threshold", 2], "--threshold 2: is not a probability"),
        (["--max-size", -1], "--max-size -1: is negative"),
        (["--mask", "a.png", "b.png"], "--mask: got 2 masks for 1 images"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(refusal, picture, wish, message):
    path, _ = picture
    line = refusal("regions", path, "--output", path.parent / "out", *wish)
    assert line.startswith(message)
    assert not (path.parent / "out").exists()
