"""``sp-graph-seg tune``: what it writes, and what it refuses before any work."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.cli import main
from sp_graph_seg.config import read_config
from sp_graph_seg.experiments import tuning

QUICK = ["--width", "4", "--depth", "2", "--num-features", "4", "--n-segments", "30"]
QUICK += ["--epochs", "1", "--minibatches", "1", "--patches", "2", "16", "16"]
CONFIG = Config(
    width=4,
    depth=2,
    num_features=4,
    n_segments=30,
    epochs=1,
    minibatches=1,
    patches=((2, 16, 16),),
)
CANDIDATES = [f"candidate_{number}.yaml" for number in range(1, 10)]
FILES = {"candidates.png", "config.yaml", "candidates.json", "report.html", *CANDIDATES}
RECORDS = "records.json"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def refusal(capsys, *arguments):
    """What is wrong: one line on standard error, exit code 2, nothing on standard output."""
    assert run("tune", *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("sp-graph-seg: error: ")
    return line.removeprefix("sp-graph-seg: error: ")


def files_in(folder):
    return {path.name for path in Path(folder).iterdir()}


def save_photo(path, height=24, width=32, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.integers(20, 60, (height, width, 3))
    values[height // 4 :, width // 3 : -4, :2] += 150
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two photographs of different sizes; no test may change the results."""
    folder = tmp_path_factory.mktemp("tuned")
    photos = [save_photo(folder / "a.png"), save_photo(folder / "b.png", 28, 20, seed=1)]
    assert run("tune", *photos, "-o", folder / "new/out", *QUICK) == 0
    return folder


@pytest.fixture
def untuned(monkeypatch):
    """Nothing may be trained."""
    monkeypatch.setattr(Segmenter, "fit", lambda *_, **__: pytest.fail("was trained"))


def test_files(results):
    out = results / "new/out"
    assert files_in(out) == FILES | {RECORDS}
    with Image.open(out / "candidates.png") as sheet:
        assert min(sheet.size) > 300
        assert np.asarray(sheet.convert("L")).std() > 5


def test_each_candidate_has_its_configuration(results):
    out = results / "new/out"
    rows = json.loads((out / "candidates.json").read_text())
    assert [row["candidate"] for row in rows] == list(range(1, 10))
    for row, name in zip(rows, CANDIDATES, strict=True):
        betas = {key: row[key] for key in ("beta_cut", "beta_sim", "beta_con")}
        assert Config.from_dict(read_config(out / name)) == CONFIG.replace(**betas)
    keys = "candidate stage beta_cut beta_sim beta_con num_labels score scores_of_seeds losses"
    assert {tuple(row) for row in rows} == {tuple(keys.split())}


def test_the_table_is_what_tuning_finds(results):
    from sp_graph_seg.io import read_image

    rows = json.loads((results / "new/out/candidates.json").read_text())
    images = [read_image(results / name) for name in ("a.png", "b.png")]
    for row, candidate in zip(rows, tuning.tune(images, CONFIG), strict=True):
        assert (row["beta_cut"], row["beta_sim"]) == candidate.betas
        assert row["stage"] == candidate.stage
        assert row["num_labels"] == candidate.num_labels
        assert row["score"] == candidate.score
        assert row["losses"] == candidate.losses


def test_the_choice_has_the_best_score(results):
    out = results / "new/out"
    scores = [row["score"] for row in json.loads((out / "candidates.json").read_text())]
    best = CANDIDATES[scores.index(max(scores))]
    assert (out / "config.yaml").read_text() == (out / best).read_text()


def test_train_takes_the_choice(results, tmp_path):
    choice = results / "new/out/config.yaml"
    model = tmp_path / "model.safetensors"
    # A preset below it does not show: the file names every key.
    command = ["train", results / "a.png", "--config", choice, "--preset", "paper"]
    assert run(*command, "-o", model) == 0
    trained = yaml.safe_load((tmp_path / "model.yaml").read_text())
    assert trained == yaml.safe_load(choice.read_text())
    assert Segmenter.load(model).config_ == Config.from_dict(read_config(choice))


def fake_candidates(images, config, on_candidate, _seeds):
    """What :func:`tune` would find, without training; the fifth is the best."""
    labels = [np.arange(image[0].size).reshape(image.shape[1:]) % 2 for image in images]
    settings = [*tuning.coarse_settings(), ("fine", 2, 0), ("fine", 3, 0), ("fine", 1, 1)]
    for number, (stage, cut, sim) in enumerate(settings):
        betas = {"beta_cut": cut, "beta_sim": sim, "beta_con": sim}
        score = 0.9 if number == 4 else 0.1
        yield tuning.Candidate(stage, config.replace(**betas), labels, 2, {"rec": 0.5}, score)
        on_candidate(None)


@pytest.fixture
def faked(monkeypatch):
    monkeypatch.setattr(tuning, "tune", lambda *arguments: list(fake_candidates(*arguments)))


@pytest.mark.usefixtures("faked", "untuned")
def test_what_is_told(tmp_path, capsys):
    photo, out = save_photo(tmp_path / "a.png"), tmp_path / "out"
    (tmp_path / "base.yaml").write_text("epochs: 3\nseed: 5\n")
    flags = ["--config", tmp_path / "base.yaml", "--seed", "7"]
    assert run("tune", photo, "-o", out, *flags) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        f"sheet:   {out}/candidates.png, 9 candidates to look at",
        f"choice:  candidate 5 in {out}/config.yaml; the others in candidate_1.yaml and on",
        f"report:  {out}/report.html",
    ]
    assert captured.err.splitlines()[-1].startswith("9 of 9 candidates in ")
    config = Config.from_dict(read_config(out / "config.yaml"))
    assert config == Config(epochs=3, seed=7, beta_cut=0, beta_sim=1, beta_con=1)


@pytest.mark.usefixtures("faked")
@pytest.mark.parametrize(
    ("name", "flags", "size"),
    [
        ("a.png", [], 0),
        ("a.png", ["--superpixel-size", "20"], 20),
        ("a.npy", [], 320),  # as segment computes the superpixels of a volume
        ("a.npy", ["--superpixel-size", "20"], 20),
    ],
)
def test_nothing_but_the_weights_of_the_losses_changes(tmp_path, name, flags, size):
    if name == "a.png":
        save_photo(tmp_path / name)
    else:
        np.save(tmp_path / name, np.random.default_rng(0).integers(0, 99, (5, 24, 32), np.uint8))
    assert run("tune", tmp_path / name, "-o", tmp_path / "out", *QUICK, *flags) == 0
    chosen = Config.from_dict(read_config(tmp_path / "out/config.yaml"))
    betas = {key: getattr(chosen, key) for key in ("beta_cut", "beta_sim", "beta_con")}
    assert chosen == CONFIG.replace(superpixel_size=size, **betas)


@pytest.mark.usefixtures("faked")
def test_the_choice_is_marked_on_the_sheet(tmp_path, monkeypatch):
    from sp_graph_seg import plot

    calls = []
    draw = plot.contact_sheet
    monkeypatch.setattr(plot, "contact_sheet", lambda *a: calls.append(a) or draw(*a))
    photo = save_photo(tmp_path / "a.png")
    assert run("tune", photo, "-o", tmp_path / "out") == 0
    ((images, labels, captions, best),) = calls
    assert [image.shape for image in images] == [(3, 24, 32)]
    assert [[own.shape for own in of_one] for of_one in labels] == [[(24, 32)]] * 9
    assert best == 4
    assert captions[0].startswith("1: beta cut 0.1, sim = con 0\n2 labels, score 0.100\n")
    assert captions[8].startswith("9: beta cut 1, sim = con 1\n")


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.usefixtures("untuned")
def test_files_that_exist_are_refused_before_the_work(tmp_path, capsys, name):
    photo, out = save_photo(tmp_path / "a.png"), tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    line = refusal(capsys, photo, "-o", out, *QUICK)
    assert line.startswith(f"{out / name}: already exists; add --overwrite")
    assert (out / name).read_text() == "mine"
    assert files_in(out) == {name}


@pytest.mark.usefixtures("faked")
def test_files_are_replaced_when_told(tmp_path):
    photo, out = save_photo(tmp_path / "a.png"), tmp_path / "out"
    out.mkdir()
    for name in FILES | {"other.txt"}:
        (out / name).write_text("mine")
    assert run("tune", photo, "-o", out, "--overwrite") == 0
    assert {path.name for path in out.iterdir() if path.read_bytes() == b"mine"} == {"other.txt"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["none.png", "-o", "out"], "none.png: "),
        (["a.png", "grey.png", "-o", "out"], "grey.png: has 1 channels instead of 3"),
        (["a.png", "tiny.png", "-o", "out"], "tiny.png: 2x2 pixels are too few"),
        (["a.png", "-o", "a.png"], "a.png: cannot be written to"),
        (
            ["a.png", "-o", "out", "--config", "bad.yaml"],
            "bad.yaml: 'beta' is an unknown configuration",
        ),
        (["a.png", "-o", "out", "--tau-cut", "1"], "tau_cut=1.0 is not negative"),
        (["candidates.png", "-o", ".", "--overwrite"], "candidates.png: is an input"),
        (["a.png"], "--output"),
        (["-o", "out"], "IMAGE"),
    ],
)
@pytest.mark.usefixtures("untuned")
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    tmp_path, capsys, monkeypatch, arguments, reason
):
    monkeypatch.chdir(tmp_path)
    save_photo("a.png")
    save_photo("candidates.png")
    Image.fromarray(np.arange(768, dtype=np.uint8).reshape(24, 32)).save("grey.png")
    save_photo("tiny.png", 2, 2)
    Path("bad.yaml").write_text("beta: 1\n")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert reason in refusal(capsys, *arguments, *QUICK)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from sp_graph_seg.cli import main; main(['tune', '--help'])\n"
        "heavy = {'torch', 'skimage', 'sklearn', 'matplotlib', 'scipy', 'PIL', 'yaml'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "candidate_N.yaml" in done.stdout
