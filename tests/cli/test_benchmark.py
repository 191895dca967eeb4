import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from sp_graph_seg import Segmenter, experiments, parallel
from sp_graph_seg.cli import main
from sp_graph_seg.evaluation import score_segmentation
from sp_graph_seg.experiments import Method
from sp_graph_seg.io import read_labels

PROGRAM = Path(sys.executable).parent / "sp-graph-seg"
QUICK = ["--width", "4", "--depth", "2", "--num-features", "4", "--n-segments", "40"]
QUICK += ["--epochs", "1", "--minibatches", "1", "--patches", "2", "16", "16", "--workers", "0"]
TWO_TYPES = ["--types", "KMeans-Superpixels", "Sparse-SimCon-Patch"]
SMALL = [*TWO_TYPES, "--clusters", "2", "3", "--betas", "1", "3", "--seeds", "2", *QUICK]
TABLES = ["table.csv", "settings.csv", "per_image.csv", "table.json"]
SIZE = 48


def save_dataset(root):
    """BSDS500's layout: images 10 and 7, a bright disc each, and two annotators."""
    y, x = np.mgrid[:SIZE, :SIZE]
    for folder in ("images/test", "groundTruth/test"):
        (root / folder).mkdir(parents=True)
    for seed, name in enumerate(("10", "7")):
        disc = np.hypot(y - 24, x - 20 - 4 * seed) < 12
        noise = np.random.default_rng(seed).normal(0, 8, (SIZE, SIZE, 3))
        colors = np.where(disc[..., None], [200, 120, 60], [40, 60, 90]) + noise
        Image.fromarray(np.uint8(colors.clip(0, 255))).save(root / f"images/test/{name}.jpg")
        people = np.empty((1, 2), dtype=object)
        truths = (1 + disc, np.where(y < 8, 3, 1 + disc))
        people[0, :] = [{"Segmentation": np.uint16(truth)} for truth in truths]
        savemat(root / f"groundTruth/test/{name}.mat", {"groundTruth": people})
    return root


@pytest.fixture
def data(tmp_path):
    return save_dataset(tmp_path / "BSDS")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The data set, the results of a run of sixteen jobs, and what it left in the output folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    save_dataset(folder / "BSDS")
    assert run(folder / "BSDS", folder / "out", *SMALL) == 0
    return folder


def run(data, output, *options):
    return main(["benchmark", "bsds300", "--data", str(data), "-o", str(output), *options])


def refusal(capsys, *arguments):
    """What is wrong: the last line on standard error, after none but those of the progress."""
    assert run(*arguments) == 2
    *before, line = capsys.readouterr().err.splitlines()
    assert all("jobs" in other for other in before)
    assert line.startswith("sp-graph-seg: error: ")
    return line.removeprefix("sp-graph-seg: error: ")


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def results_in(output):
    """The scores and labels of all jobs; seconds differ from run to run."""
    scores = {
        file.relative_to(output): json.loads(file.read_text()) | {"seconds": 0}
        for file in (output / "results").rglob("*-seed*.json")
    }
    labels = {file.with_suffix(".png"): (output / file).with_suffix(".png") for file in scores}
    return scores, {name: file.read_bytes() for name, file in labels.items()}


def test_all_files_are_written(undisturbed):
    output = undisturbed / "out"
    assert {path.name for path in output.iterdir()} == {
        *TABLES,
        *("segmentations.png", "beta.png", "results", "superpixels", "report.html"),
    }
    for picture in ("segmentations.png", "beta.png"):
        Image.open(output / picture).verify()
    names = ["KMeans-Superpixels", "Sparse-SimCon-Patch"]
    rows = read(output / "table.csv")
    assert [(row["method"], row["selection"]) for row in rows] == [
        (name, selection) for selection in ("oracle", "unsupervised", "fixed") for name in names
    ]
    assert {(row["images"], row["candidates"]) for row in rows[:2]} == {("2", "4")}
    assert len(read(output / "settings.csv")) == 4
    content = json.loads((output / "table.json").read_text())
    assert [row["method"] for row in content["rows"]] == 3 * names


def test_every_figure_is_that_of_the_labels_on_disk(undisturbed):
    output = undisturbed / "out"
    photos = {photo.name: photo for photo in experiments.find_photos(undisturbed / "BSDS", "test")}
    lines = read(output / "per_image.csv")
    assert len(lines) == 16
    best = {}
    for line in lines:
        pattern = (
            f"{line['method']}/{line['image']}/{float(line['setting']):g}-seed{line['seed']}-*.png"
        )
        (file,) = (output / "results").glob(pattern)
        scores = score_segmentation(read_labels(file), photos[line["image"]].read_truth())
        for name in ("ami", "v", "pri", "covering", "num_labels"):
            assert float(line[name]) == pytest.approx(scores[name], abs=1e-6)
        best.setdefault(line["method"], {}).setdefault(line["image"], []).append(scores["v"])
    for row in read(output / "table.csv"):
        if row["selection"] == "oracle":
            expected = np.mean([max(values) for values in best[row["method"]].values()])
            assert float(row["v"]) == pytest.approx(expected, abs=1e-6)


def test_the_second_call_does_nothing_again(undisturbed, monkeypatch, capsys):
    def refuse(*_, **__):
        raise AssertionError("nothing is left to do")

    monkeypatch.setattr(Segmenter, "fit", refuse)
    monkeypatch.setattr(Method, "label", refuse)
    output = undisturbed / "out"
    before = {name: (output / name).read_bytes() for name in TABLES[:3]}
    assert run(undisturbed / "BSDS", output, *SMALL) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    first, *table, last, page = captured.out.splitlines()
    assert first.startswith("jobs: ")
    assert first.endswith(" 16: 2 images, 2 methods, 2 seeds; 16 done")
    assert last.startswith("tables:")
    assert page == f"report:  {output}/report.html"
    shown = [line.split()[0] for line in table if line.startswith(("KMeans", "Sparse"))]
    assert shown == ["KMeans-Superpixels", "Sparse-SimCon-Patch"]
    assert {name: (output / name).read_bytes() for name in TABLES[:3]} == before


def test_jobs_are_counted_without_work(undisturbed, data, tmp_path, capsys):
    assert run(data, tmp_path / "new", "--list-only") == 0
    out = capsys.readouterr().out
    assert out.split() == f"jobs: {2 * 12 * 9 * 10}: 2 images, 12 methods, 10 seeds; 0 done".split()
    assert not (tmp_path / "new").exists()
    more = [*SMALL, "--list-only"]
    more[more.index("--seeds") + 1] = "3"
    assert run(undisturbed / "BSDS", undisturbed / "out", *more) == 0
    assert capsys.readouterr().out.endswith("24: 2 images, 2 methods, 3 seeds; 16 done\n")


def kill_after_the_first_result(command, output):
    """Runs a command until a result appears and ends it at once, as a power cut would."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    with process:
        deadline = time.monotonic() + 120
        while not any((output / "results").rglob("*-seed*.json")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def test_a_run_that_was_killed_goes_on_where_it_was(undisturbed, tmp_path, capsys):
    output = tmp_path / "out"
    command = [PROGRAM, "benchmark", "bsds300", "--data", undisturbed / "BSDS", "-o", output]
    kill_after_the_first_result([*command, *SMALL], output)
    (output / "results/.0123456789abcdef.png").touch()  # what a write that was cut leaves behind
    done = len(results_in(output)[0])
    assert 1 <= done < 16
    assert run(undisturbed / "BSDS", output, *SMALL) == 0
    assert f"; {done} done" in capsys.readouterr().out
    assert results_in(output) == results_in(undisturbed / "out")
    for name in ("table.csv", "settings.csv"):
        assert (output / name).read_bytes() == (undisturbed / "out" / name).read_bytes()


def test_variants_name_rows_of_their_own(data, tmp_path, capsys):
    variants = tmp_path / "variants.yaml"
    variants.write_text(
        "coarse: {type: KMeans-Superpixels, settings: 2, n_segments: 20}\n"
        "fine: {type: KMeans-Superpixels, settings: [2, 3]}\n"
        "pixels: {type: KMeans-Pixels}\n"
    )
    options = ["--variants", str(variants), "--clusters", "4", "--seeds", "1", "--images", "7"]
    assert run(data, tmp_path / "out", *options, *QUICK) == 0
    lines = read(tmp_path / "out/per_image.csv")
    assert [(line["method"], line["setting"]) for line in lines] == [
        *(("coarse", "2.0"), ("fine", "2.0"), ("fine", "3.0"), ("pixels", "4.0"))
    ]
    assert {line["image"] for line in lines} == {"7"}
    assert len(list((tmp_path / "out/superpixels").iterdir())) == 2
    assert not (tmp_path / "out/beta.png").exists()  # nothing was trained
    assert (
        "±" not in capsys.readouterr().out.partition("The scores are means")[0]
    )  # one seed has no deviation


def test_jobs_that_fail_are_listed_and_tried_again(data, tmp_path, capsys, monkeypatch):
    label = Method.label

    def fail(self, image, superpixels, setting, seed):
        if (setting, seed) == (3.0, 1):
            raise MemoryError("no room")
        return label(self, image, superpixels, setting, seed)

    options = ["--types", "KMeans-Pixels", "--clusters", "2", "3", "--seeds", "2", "--images", "7"]
    monkeypatch.setattr(Method, "label", fail)
    output = tmp_path / "out"
    message = refusal(capsys, data, output, *options, *QUICK)
    assert message.startswith(f"{output / 'failures.csv'}: 1 of 4 jobs failed, so their scores")
    (line,) = read(output / "failures.csv")
    assert list(line.values()) == ["7", "KMeans-Pixels", "3.0", "1", "no room"]
    assert len(read(output / "per_image.csv")) == 3
    monkeypatch.setattr(Method, "label", label)
    assert run(data, output, *options, *QUICK) == 0
    assert not (output / "failures.csv").exists()
    assert len(read(output / "per_image.csv")) == 4


def write(path, text):
    path.write_text(text)
    return str(path)


def test_what_cannot_be_done_is_one_line(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Method, "label", None)
    out = tmp_path / "out"
    for options, message in [
        (["--types", "KMeans"], "KMeans: type='KMeans' is unknown; use one of KMeans-Pixels, "),
        (["--seeds", "0"], "--seeds 0: must be positive; give 1 or more."),
        (["--images", "9"], f"{data}: '9' matches none of the 2 images"),
        (["--show", "9"], f"{data}: '9' matches none of the 2 images"),
        (["--images", "7", "--show", "10"], "--show: names an image that is not in --images; add"),
        (["--betas", "-1"], "Dense-SimCon-NoRec: settings=(-1.0,) are not all positive"),
        (["--clusters", "2.5"], "KMeans-Pixels: settings=(2.5,) are not whole"),
        (["--split", "train"], f"{data}: holds no images/train/*.jpg; get BSDS300-images.tgz"),
        (["--workers", "-1"], "workers=-1: must not be negative"),
    ]:
        assert refusal(capsys, data, out, *options).startswith(message)
    assert "BSDS300-images.tgz" in refusal(capsys, tmp_path / "nothing", out)
    assert not (out / "results").exists()


def test_a_file_of_variants_that_makes_no_rows_is_refused(data, tmp_path, capsys):
    file, out = tmp_path / "variants.yaml", tmp_path / "out"
    for text, message in [
        (
            "",
            f"{file}: describes no variant; write a line 'NAME:' for each row of the "
            "table and, indented below it, the settings of the variant.",
        ),
        (
            "one: 3",
            f"{file}: the row one has no keys; write keys below the name, such as 'epochs: 8'.",
        ),
        ("one: {epoch: 3}", "one: 'epoch' is an unknown configuration key; use 'epochs'."),
        ("[1]", f"{file}: is not a mapping of names to values; write lines such as 'epochs: 4'."),
    ]:
        write(file, text)
        assert refusal(capsys, data, out, "--variants", str(file)) == message
    write(file, "one: {}")
    options = ["--variants", str(file), "--types", "KMeans-Pixels"]
    assert refusal(capsys, data, out, *options).startswith(
        "--types: cannot be used with --variants"
    )


def test_bad_files_are_found_before_the_work(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Method, "label", None)
    (tmp_path / "taken").write_text("a file")
    assert "taken: cannot be written to" in refusal(capsys, data, tmp_path / "taken", *QUICK)
    image = data / "images/test/7.jpg"
    Image.new("RGB", (20, 30)).save(image)
    message = refusal(capsys, data, tmp_path / "out", *QUICK)
    assert "7.mat: annotator 0 has 48x48 pixels" in message
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_is_not_there_is_named(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(parallel, "_SECONDS_TO_CONNECT", 0.2)
    address = "tcp://127.0.0.1:1"
    message = refusal(capsys, data, tmp_path / "out", "--scheduler", address)
    assert message.startswith(f"scheduler={address}: cannot be reached; start a scheduler")
