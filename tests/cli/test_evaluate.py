import csv
import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from sp_graph_seg.cli import main
from sp_graph_seg.evaluation import (
    SCORE_NAMES,
    mean_scores,
    score_annotators,
    score_segmentation,
)
from sp_graph_seg.io import write_labels

SIZE = (12, 16)


def refusal(capsys, *arguments):
    """What is wrong: one line on standard error, exit code 2, nothing on standard output."""
    assert main(["evaluate", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    line = captured.err.splitlines()[-1]
    assert line.startswith("sp-graph-seg: error: ")
    return line.removeprefix("sp-graph-seg: error: ")


def save_mat(path, truths):
    people = np.empty((1, len(truths)), dtype=object)
    for k, truth in enumerate(truths):
        people[0, k] = {"Segmentation": np.uint16(truth + 1)}
    savemat(path, {"groundTruth": people})


def save_seg(path, truth):
    lines = [f"width {truth.shape[1]}", f"height {truth.shape[0]}", f"segments {truth.max() + 1}"]
    pixels = [f"{label} {row} {column} {column}" for (row, column), label in np.ndenumerate(truth)]
    path.write_text("\n".join([*lines, "data", *pixels]) + "\n")


@pytest.fixture
def folders(tmp_path, label_map):
    """Labels of two images, as ``segment`` leaves them, and two annotators of each."""
    labels = {name: label_map(SIZE, 4, seed) for seed, name in enumerate("ab")}
    truths = {name: [label_map(SIZE, k, seed=k) for k in (3, 5)] for name in "ab"}
    for folder in ("labels", "truth"):
        (tmp_path / folder).mkdir()
    for name in "ab":
        write_labels(tmp_path / f"labels/{name}_labels.png", labels[name])
        Image.new("RGB", SIZE[::-1]).save(tmp_path / f"labels/{name}_overlay.png")
        save_mat(tmp_path / f"truth/{name}.mat", truths[name])
    return tmp_path, labels, truths


def test_folders(folders, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    path, labels, truths = folders
    output = path / "new/scores.json"
    assert main(["evaluate", f"{path}/labels", f"{path}/truth", "-o", str(output)]) == 0
    content = json.loads(output.read_text())
    expected = {name: score_segmentation(labels[name], truths[name]) for name in "ab"}
    assert content["combine"] == "mean"
    for image, (name, scores) in zip(content["images"], expected.items(), strict=True):
        assert image.pop("image") == name
        assert image.pop("annotators") == score_annotators(labels[name], truths[name])
        assert image == pytest.approx(scores)
    mean = mean_scores(list(expected.values()))
    assert content["mean"] == pytest.approx(mean)

    captured = capsys.readouterr()
    assert captured.err == ""
    heading, *rows, written = captured.out.splitlines()
    assert heading.split()[:4] == ["image", "Rand", "A-MI", "FM"]
    assert [row.split()[0] for row in rows] == ["a", "b", "mean"]
    assert rows[0].split()[6] == f"{expected['a']['v']:.3f}"
    assert rows[2].split()[9] == f"{mean['covering']:.3f}"
    assert all(len(row) <= 80 for row in rows)
    assert written == f"scores:  {output}"


def test_a_value_can_mean_unlabelled(tmp_path, label_map):
    labels, truth = (label_map(SIZE, 4, seed) for seed in (0, 1))
    np.save(tmp_path / "truth.npy", truth)
    labels[:5] = -1
    marked = np.where(labels < 0, 255, labels).astype(np.uint8)
    np.save(tmp_path / "labels.npy", marked)
    files = [f"{tmp_path}/labels.npy", f"{tmp_path}/truth.npy"]
    written = {}
    for name, flags in {"told": ["--unlabelled", "255"], "not told": []}.items():
        assert main(["evaluate", *files, *flags, "-o", f"{tmp_path}/{name}.json"]) == 0
        (written[name],) = json.loads((tmp_path / f"{name}.json").read_text())["images"]
    expected = score_segmentation(labels, [truth])
    assert {key: written["told"][key] for key in expected} == pytest.approx(expected)
    assert written["not told"]["num_labels"] == expected["num_labels"] + 1


def test_csv_and_another_way_to_combine(folders, capsys):
    path, labels, truths = folders
    output = path / "scores.csv"
    arguments = ["evaluate", f"{path}/labels", f"{path}/truth", "--combine", "best", "-o", output]
    assert main([*map(str, arguments)]) == 0
    a, b, mean = csv.DictReader(output.read_text().splitlines())
    assert [row["image"] for row in (a, b, mean)] == ["a", "b", "mean"]
    for row, name in ((a, "a"), (b, "b")):
        scores = score_segmentation(labels[name], truths[name], "best")
        assert {key: float(row[key]) for key in SCORE_NAMES} == {k: scores[k] for k in SCORE_NAMES}
    assert float(mean["v"]) == pytest.approx((float(a["v"]) + float(b["v"])) / 2)


@pytest.mark.parametrize("kind", ["png", "npy", "mat", "seg"])
def test_two_files_of_any_kind(folders, capsys, kind):
    path, labels, truths = folders
    truth = truths["a"][0]
    file = path / f"other.{kind}"
    save = {"png": write_labels, "npy": np.save, "seg": save_seg}
    if kind == "mat":
        save_mat(file, [truth])
    else:
        save[kind](file, truth)
    assert main(["evaluate", f"{path}/labels/a_labels.png", str(file)]) == 0
    _, row = capsys.readouterr().out.splitlines()
    scores = score_segmentation(labels["a"], [truth])
    assert row.split()[:3] == ["a", f"{scores['rand']:.3f}", f"{scores['ami']:.3f}"]


def test_a_folder_for_each_annotator(folders):
    path, labels, truths = folders
    for person in (0, 1):
        folder = path / f"human/{person}"
        folder.mkdir(parents=True)
        save_seg(folder / "b.seg", truths["b"][person])
    save_seg(path / "human/0/a.seg", truths["a"][0])
    output = path / "scores.json"
    assert main(["evaluate", f"{path}/labels", f"{path}/human", "-o", str(output)]) == 0
    a, b = json.loads(output.read_text())["images"]
    assert a["annotators"] == score_annotators(labels["a"], truths["a"][:1])
    assert b["annotators"] == score_annotators(labels["b"], truths["b"])


def test_what_is_missing_on_either_side(folders, capsys):
    path, _, _ = folders
    (path / "labels/b_labels.png").unlink()
    assert main(["evaluate", f"{path}/labels", f"{path}/truth"]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert captured.err == (
        f"sp-graph-seg: note: {path}/labels holds no labels for b of {path}/truth; "
        "1 of 2 images are scored\n"
    )
    (path / "truth/a.mat").unlink()
    line = refusal(capsys, path / "labels", path / "truth")
    assert line.startswith(f"{path}/truth: holds no ground truth for a of {path}/labels")


def test_files_that_cannot_be_read_are_named(folders, capsys):
    path, _, _ = folders
    truth = path / "truth/b.mat"
    good = truth.read_bytes()
    truth.write_bytes(good[: len(good) // 2])
    output = path / "scores.csv"
    line = refusal(capsys, path / "labels", path / "truth", "-o", output)
    assert line.startswith(f"{truth}: is not a BSDS ground truth file")
    save_mat(truth, [])
    line = refusal(capsys, path / "labels", path / "truth", "-o", output)
    assert line.startswith(f"{truth}: is not a BSDS ground truth file")
    save_mat(truth, [np.zeros(SIZE, int), np.zeros((4, 4), int)])
    line = refusal(capsys, path / "labels", path / "truth", "-o", output)
    assert line.startswith(f"{truth}: is not a BSDS ground truth file (no annotators, or")
    (path / "bad.seg").write_text("no segments")
    line = refusal(capsys, path / "labels/a_labels.png", path / "bad.seg", "-o", output)
    assert line.startswith(f"{path}/bad.seg: is not a BSDS ground truth file")
    assert not output.exists()


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (np.zeros((4, 5), int), "a_labels.png: has 12x16 pixels, but "),
        (np.full(SIZE, -1), "truth.npy: has no labels where "),
        (np.full(SIZE, 0.5), "truth.npy: holds 0.5, which is not the number of a label"),
    ],
    ids=["size", "empty", "float"],
)
def test_truth_that_does_not_fit(folders, capsys, truth, reason):
    path, _, _ = folders
    np.save(path / "truth.npy", truth)
    assert reason in refusal(capsys, path / "labels/a_labels.png", path / "truth.npy")


def test_unlabelled_labels(folders, capsys):
    path, _, _ = folders
    np.save(path / "none.npy", np.full(SIZE, -1))
    line = refusal(capsys, path / "none.npy", path / "truth/a.mat")
    assert line.startswith(f"{path}/none.npy: every pixel is unlabelled")


def test_paths_that_do_not_fit(folders, capsys):
    path, _, _ = folders
    labels, truth = path / "labels", path / "truth"
    assert refusal(capsys, labels, truth / "a.mat").startswith(f"{labels}: is a folder, but ")
    assert refusal(capsys, path / "nowhere", truth).startswith(f"{path}/nowhere: does not exist")
    (path / "empty").mkdir()
    assert refusal(capsys, labels, path / "empty").startswith(
        f"{path}/empty: holds no file of the types .mat"
    )
    write_labels(truth / "a.png", np.zeros(SIZE, int))
    assert refusal(capsys, labels, truth).startswith(
        f"{truth}/a.png: belongs to the same image as "
    )


def test_outputs(folders, capsys):
    path, _, _ = folders
    pair = [path / "labels/a_labels.png", path / "truth/a.mat"]
    line = refusal(capsys, *pair, "-o", path / "scores.txt")
    assert line == f"--output {path}/scores.txt: must end in .json or .csv; rename it."
    output = path / "scores.json"
    output.write_text("mine")
    assert refusal(capsys, *pair, "-o", output).startswith(f"{output}: already exists")
    assert output.read_text() == "mine"
    assert main(["evaluate", *map(str, pair), "-o", str(output), "--overwrite"]) == 0
    assert json.loads(output.read_text())["images"][0]["image"] == "a"
