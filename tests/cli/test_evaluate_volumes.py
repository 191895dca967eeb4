"""``sp-graph-seg evaluate`` of two volumes."""

import json

import numpy as np
import pytest
import tifffile

from sp_graph_seg.evaluation import contingency_table, score_classes, score_clustering


@pytest.fixture
def pair(tmp_path, stack, model, run):
    """Labels of a stack as predict writes them, with a skipped slice, and a truth."""
    assert run("predict", model, stack, "-o", tmp_path / "a.tif") == 0
    labels = tifffile.imread(tmp_path / "a.tif").astype(int)
    truth = np.where(labels == labels.min(), 0, 255).astype(np.uint8)
    truth[:, :4] = 0
    np.save(tmp_path / "truth.npy", truth)
    return labels, truth.astype(int)


def test_two_volumes(tmp_path, pair, run, capsys):
    labels, truth = pair
    capsys.readouterr()
    command = ["evaluate", tmp_path / "a.tif", tmp_path / "truth.npy", "-o"]
    assert run(*command, tmp_path / "scores.json") == 0
    said = capsys.readouterr().out
    told = json.loads((tmp_path / "scores.json").read_text())
    table = contingency_table(labels, truth)
    for name, score in score_clustering(table).items():
        assert told["scores"][name] == pytest.approx(score)
    for row, score in zip(told["classes"], score_classes(table), strict=True):
        assert row["class"] == np.unique(truth)[score.row]
        assert row["label"] == np.unique(labels)[score.column]
        assert (row["IoU"], row["Dice"]) == (score.iou, score.dice)
        assert f"{score.iou:.3f}" in said
    assert told["scores"]["mean_IoU"] == pytest.approx(np.mean([r["IoU"] for r in told["classes"]]))
    assert told["scores"]["voxels"] == labels.size
    assert told["record"]["inputs"][1]["path"] == str(tmp_path / "truth.npy")
    assert run(*command, tmp_path / "scores.csv") == 0
    header, *rows = (tmp_path / "scores.csv").read_text().splitlines()
    assert header == "class,label,IoU,Dice,precision,recall,share"
    assert len(rows) == 2


def test_voxels_without_a_label_are_left_out(tmp_path, pair, run, capsys):
    labels, _ = pair
    skipped = int(labels.max())
    command = ["evaluate", tmp_path / "a.tif", tmp_path / "truth.npy", "-o", tmp_path / "s.json"]
    assert run(*command, "--unlabelled", skipped) == 0
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["scores"]["voxels"] == (labels != skipped).sum()


def test_volumes_of_other_sizes(tmp_path, pair, refusal, capsys):
    np.save(tmp_path / "b.npy", np.zeros((5, 24, 30), np.uint8))
    capsys.readouterr()
    line = refusal("evaluate", tmp_path / "a.tif", tmp_path / "b.npy")
    assert line.startswith(
        f"{tmp_path}/a.tif: has 5x24x32 voxels, but {tmp_path}/b.npy has 5x24x30"
    )
