import csv
import json

import pytest

from sp_graph_seg import __version__
from sp_graph_seg.errors import OutputError
from sp_graph_seg.evaluation import SCORE_NAMES
from sp_graph_seg.experiments import (
    PAPER,
    JobScores,
    Row,
    describe_machine,
    write_failures,
    write_tables,
)

SCORES = {name: (k + 1) / 30 for k, name in enumerate(SCORE_NAMES)}
SPREAD = {name: value / 10 for name, value in SCORES.items()}
ORACLE = Row("m", "oracle", SCORES, {}, None, num_images=2, num_candidates=6)
FREE = Row("m", "unsupervised", SCORES, {}, None, num_images=2, num_candidates=6)
FIXED = Row("m", "fixed", SCORES, SPREAD, 3.0, num_images=2, num_candidates=1)
OTHER = Row("m", "fixed", SCORES, {}, 0.5, num_images=2, num_candidates=1)
ROWS = {"oracle": [ORACLE], "unsupervised": [FREE], "fixed": [FIXED], "settings": [FIXED, OTHER]}


@pytest.fixture
def job_scores(make_job, photos):
    weights = {"annotated_pixels": 5}
    return [
        JobScores(
            make_job("Sparse-SimCon-Patch", seed=4), SCORES | weights, 0.75, {"sim": 0.25}, 1.5
        ),
        JobScores(make_job(photo=photos[1]), SCORES | weights, 0.5, {}, 0.5),
    ]


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def check_scores(line, scores=SCORES):
    for name, value in scores.items():
        assert float(line[name]) == pytest.approx(value, abs=1e-6)


def test_tables_hold_every_row_and_score(job_scores, tmp_path):
    files = write_tables(tmp_path, ROWS, job_scores, "best", "a command")
    assert [file.name for file in files] == [
        *("table.csv", "settings.csv", "per_image.csv", "table.json")
    ]
    oracle, free, fixed = read(tmp_path / "table.csv")
    for line, row in ((oracle, ORACLE), (free, FREE), (fixed, FIXED)):
        check_scores(line)
        assert (line["method"], line["selection"]) == (row.method, row.selection)
        assert (int(line["images"]), int(line["candidates"])) == (2, row.num_candidates)
    assert (oracle["setting"], oracle["ami_sd"], oracle["v_sd"]) == ("", "", "")
    assert float(fixed["setting"]) == 3.0
    assert float(fixed["ami_sd"]) == pytest.approx(SPREAD["ami"], abs=1e-6)
    assert float(fixed["v_sd"]) == pytest.approx(SPREAD["v"], abs=1e-6)
    settings = read(tmp_path / "settings.csv")
    assert [(line["setting"], line["ami_sd"] != "") for line in settings] == [
        ("3.0", True),
        ("0.5", False),
    ]


def test_every_result_has_a_line(job_scores, tmp_path):
    write_tables(tmp_path, ROWS, job_scores, "mean", "a command")
    model, baseline = read(tmp_path / "per_image.csv")
    for line in (model, baseline):
        check_scores(line)
        assert "annotated_pixels" not in line
    assert (model["image"], model["method"], model["setting"]) == (
        "10",
        "Sparse-SimCon-Patch",
        "3.0",
    )
    assert (model["seed"], model["unsupervised"], model["seconds"]) == ("4", "0.75", "1.5")
    assert [model[f"loss_{name}"] for name in ("rec", "cut", "sim", "con")] == ["", "", "0.25", ""]
    assert (baseline["image"], baseline["loss_sim"]) == ("7", "")


def test_the_json_file_says_how_it_was_made(job_scores, tmp_path):
    write_tables(tmp_path, ROWS, job_scores, "best", "sp-graph-seg benchmark")
    content = json.loads((tmp_path / "table.json").read_text())
    assert (content["command"], content["combine"]) == ("sp-graph-seg benchmark", "best")
    assert content["machine"] == describe_machine()
    assert content["paper"] == PAPER
    assert {"oracle", "unsupervised", "fixed", "covering", "miou"} == set(content["averages"])
    assert [row["selection"] for row in content["rows"]] == ["oracle", "unsupervised", "fixed"]
    for line, row in zip(read(tmp_path / "table.csv"), content["rows"], strict=True):
        assert line == {name: str(value) for name, value in row.items()}


def test_the_machine_is_described():
    machine = describe_machine()
    assert machine["sp_graph_seg"] == __version__
    assert machine["cores"] >= 1
    assert {"system", "processor", "gpu", "python", "torch", "scikit-image"} <= set(machine)


def test_failures_are_listed_and_the_list_of_an_earlier_run_removed(make_job, photos, tmp_path):
    failures = {make_job(seed=2): 'no "room", none', make_job(photo=photos[1]): "zero"}
    file = tmp_path / "failures.csv"
    write_failures(file, failures)
    first, second = read(file)
    expected = {"image": "10", "method": "KMeans-Pixels", "setting": "3.0", "seed": "2"}
    assert first == expected | {"reason": 'no "room", none'}
    assert (second["image"], second["reason"]) == ("7", "zero")
    write_failures(file, {})
    assert not file.exists()
    write_failures(file, {})


def test_a_folder_that_is_gone_is_an_error(job_scores, tmp_path):
    with pytest.raises(OutputError, match=r"gone/table\.csv: cannot be written"):
        write_tables(tmp_path / "gone", ROWS, job_scores, "mean", "a command")
