import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from sp_graph_seg.cli import main
from sp_graph_seg.io import read_image, read_labels, write_labels
from sp_graph_seg.labels.relabel import Relabel, read_relabel
from sp_graph_seg.plot import overlay_labels

MAP = """\
labels:
  0: {name: background, color: "#102030"}
  3: {name: grain, color: "#ff8000"}
merge: {0: [1], grain: [4]}
remove_small: {grain: 4}
unlabelled: 255
"""


def refusal(capsys, *arguments):
    """What is wrong: one line on standard error, exit code 2, nothing on standard output."""
    assert main(["relabel", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("sp-graph-seg: error: ")
    return line.removeprefix("sp-graph-seg: error: ")


@pytest.fixture
def files(tmp_path):
    """Two label images, a PNG as ``segment`` leaves it and a TIFF, and a map."""
    labels = np.zeros((10, 12), dtype=np.uint16)
    labels[2:6, 2:6] = 3
    labels[2:6, 6:8] = 4
    labels[8, 8] = 4
    labels[0, 5:9] = 1
    labels[9] = 255
    write_labels(tmp_path / "a_labels.png", labels)
    tifffile.imwrite(tmp_path / "b.tif", labels[:, ::-1])
    (tmp_path / "map.yaml").write_text(MAP)
    return [str(tmp_path / "a_labels.png"), str(tmp_path / "b.tif")], labels


def test_map(files, tmp_path, capsys):
    paths, labels = files
    out = tmp_path / "new/out"
    assert main(["relabel", *paths, "--map", f"{tmp_path}/map.yaml", "-o", str(out)]) == 0
    expected = np.zeros((10, 12), dtype=int)
    expected[2:6, 2:8] = 3
    expected[9] = 255
    np.testing.assert_array_equal(read_labels(out / "a_labels.png"), expected)
    np.testing.assert_array_equal(read_labels(out / "b_labels.png"), expected[:, ::-1])
    with Image.open(out / "a_colors.png") as picture:
        colors = np.asarray(picture)
    assert colors[3, 3].tolist() == colors[3, 7].tolist() == [255, 128, 0]
    assert colors[0, 0].tolist() == [16, 32, 48]
    assert colors[9, 0].tolist() == [0, 0, 0]
    assert {path.name for path in out.iterdir()} == {
        "records.json",
        *(f"{name}_{kind}.png" for name in "ab" for kind in ("labels", "colors")),
    }
    line, picture = capsys.readouterr().out.splitlines()
    share = (expected != labels).mean()
    assert line == (
        f"labels:  2 labels in {out}/a_labels.png and {out}/b_labels.png; "
        f"{share:.1%} of the pixels changed"
    )
    assert picture == f"colors:  {out}/a_colors.png and {out}/b_colors.png"


def test_make_writes_a_map_that_changes_nothing(files, tmp_path, capsys):
    paths, labels = files
    made = tmp_path / "maps/start.yaml"
    assert main(["relabel", *paths, "--make", str(made)]) == 0
    line, picture = capsys.readouterr().out.splitlines()
    assert line == f"map:     5 labels in {made}; edit it, then give it with --map"
    assert picture.startswith("picture: none, as the image is not known; --image FILE adds it")
    relabel = read_relabel(made)
    assert relabel == Relabel(labels=relabel.labels)
    assert sorted(relabel.colors) == [0, 1, 3, 4, 255]
    share = 100 * (labels == 3).mean()
    assert f"# {share:.3g} % of the pixels" in made.read_text()
    # The colours are those of overlays.
    flat = np.arange(5, dtype=int).repeat(9).reshape(5, 9)
    tint = overlay_labels(np.zeros((1, 5, 9)), flat, alpha=1.0)
    for label in (0, 1, 3, 4):
        assert "#" + bytes(tint[label, 4].tolist()).hex() == relabel.colors[label]

    assert main(["relabel", *paths, "--map", str(made), "-o", str(tmp_path / "out")]) == 0
    assert "; 0.0% of the pixels changed" in capsys.readouterr().out
    np.testing.assert_array_equal(read_labels(tmp_path / "out/a_labels.png"), labels)


def test_results_are_replaced_only_when_told(files, tmp_path, capsys):
    paths, _ = files
    arguments = ["--map", tmp_path / "map.yaml", "-o", tmp_path / "out"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out/b_colors.png").write_text("mine")
    line = refusal(capsys, *paths, *arguments)
    assert line.startswith(f"{tmp_path}/out/b_colors.png: already exists; add --overwrite")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b_colors.png"]
    assert main(["relabel", *paths, *map(str, arguments), "--overwrite"]) == 0
    assert read_image(tmp_path / "out/b_colors.png").shape == (3, 10, 12)
    capsys.readouterr()
    line = refusal(capsys, *paths, "--make", tmp_path / "map.yaml")
    assert "already exists" in line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "--make, --output: exactly one is needed"),
        (["--map", "map.yaml", "--make", "b.yaml"], "--map: cannot be used with --make"),
        (["--map", "map.yaml"], "--make, --output: exactly one is needed"),
        (["--make", "b.yaml", "-o", "out"], "--make, --output: exactly one is needed"),
        (["-o", "out"], "--map: is missing; write a file with --make MAP"),
        (["--make", "b.yaml", "--labels", "2"], "--labels: needs grey values to choose"),
        (["--make", "b.yaml", "--image", "b.tif"], "--image: got 1 images for 2 files"),
        (["--make", "b.yaml", "--image", "b.tif", "map.yaml"], "map.yaml: "),
        (["--map", "map.yaml", "-o", "out", "--labels", "2"], "--image, --labels: work only with"),
        (["--map", "none.yaml", "-o", "out"], "none.yaml: cannot be read (No such file"),
        (["--map", "map.yaml", "-o", "."], "a_labels.png: is an input"),
        (["--map", "bad.yaml", "-o", "out"], "bad.yaml: 'smoth': this key is unknown .* 'smooth'"),
        (["--map", "large.yaml", "-o", "out"], "large.yaml: merge: label 70000 is too large"),
        (["c.npy", "--map", "map.yaml", "-o", "out"], "c.npy: holds the label -1"),
        (
            ["b_labels.png", "--map", "map.yaml", "-o", "out"],
            "out/b_labels.png: would hold results",
        ),
        (["none.png", "--map", "map.yaml", "-o", "out"], "none.png: cannot be opened"),
        (["none.png", "--make", "b.yaml"], "none.png: cannot be opened"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    files, tmp_path, capsys, monkeypatch, arguments, reason
):
    monkeypatch.chdir(tmp_path)
    np.save("c.npy", np.array([[-1, 0]]))
    (tmp_path / "bad.yaml").write_text("smoth: 1\n")
    (tmp_path / "large.yaml").write_text("merge: {70000: [1]}\n")
    before = set(tmp_path.rglob("*"))
    line = refusal(capsys, "a_labels.png", "b.tif", *arguments)
    assert reason.split(" .* ")[0] in line
    assert reason.split(" .* ")[-1] in line
    assert set(tmp_path.rglob("*")) == before


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from sp_graph_seg.cli import main; main(['relabel', '--help'])\n"
        "heavy = {'torch', 'skimage', 'sklearn', 'matplotlib', 'scipy', 'PIL', 'yaml'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--make" in done.stdout
