"""``sp-graph-seg relabel`` of volumes: look-ups, conversions, and proposals from grey values."""

import json
import shutil
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tifffile
import yaml
import zarr
from PIL import Image

from sp_graph_seg import Segmenter
from sp_graph_seg.label_jobs import job as job_module
from sp_graph_seg.label_jobs import open_label_job, parse_output
from sp_graph_seg.label_jobs.finished import read_finished
from sp_graph_seg.labels.relabel import Relabel, read_relabel
from sp_graph_seg.volumes import open_volume


def values_of(path):
    volume = open_volume(path)
    return volume.read(0, len(volume))[:, 0]


@pytest.fixture
def labels(tmp_path, stack, model, run):
    """The labels of a stack, 255 in one corner."""
    values = values_of(stack).astype(np.float32)
    values[:, :3, :3] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", values, metadata={"axes": "ZYX"})
    command = ["predict", model, tmp_path / "nan.tif", "--fill", "0", "-o", tmp_path / "a.tif"]
    assert run(*command) == 0
    assert (values_of(tmp_path / "a.tif") == 255).sum() == 5 * 9
    return tmp_path / "a.tif"


@pytest.fixture
def no_network(labels, monkeypatch):  # after the labels were made
    """No model may be loaded."""
    monkeypatch.setattr(Segmenter, "from_file", lambda *_, **__: pytest.fail("was loaded"))


def test_a_name_of_two_volumes_is_that_of_the_first(tmp_path, run):
    for number in (0, 1):
        about = {number: {"name": "pore", "color": "#ff8800"}}
        job = open_label_job(tmp_path / f"{number}.tif", (2, 8, 9), 3, {}, labels=about)
        job.write_block(0, np.full((2, 8, 9), number, np.uint8))
        job.finish()
    both = [tmp_path / "0.tif", tmp_path / "1.tif"]
    assert run("relabel", *both, "--make", tmp_path / "map.yaml") == 0
    assert read_relabel(tmp_path / "map.yaml").names == {0: "pore", 1: "label 1"}


def test_names_and_colours_stay_with_the_labels(tmp_path, labels, run):
    about = tmp_path / "map.yaml"
    about.write_text('labels: {0: {name: "pore: 1", color: "#ff8800"}}\nmerge: {0: [1, 2]}\n')
    assert run("relabel", labels, "--map", about, "-o", tmp_path / "merged.tif") == 0
    assert run("relabel", tmp_path / "merged.tif", "-o", tmp_path / "b.zarr") == 0
    assert run("relabel", tmp_path / "b.zarr", "--make", tmp_path / "again.yaml") == 0
    again = read_relabel(tmp_path / "again.yaml")
    assert again.labels[0] == {"name": "pore: 1", "color": "#ff8800"}
    about.write_text('labels: {3: {name: "pore: 1"}}\n')  # the name goes to another label
    assert run("relabel", tmp_path / "b.zarr", "--map", about, "-o", tmp_path / "c.nrrd") == 0
    legend = read_finished(parse_output(tmp_path / "c.nrrd")).provenance["legend"]
    assert [(row["label"], row.get("name")) for row in legend] == [(0, None), (3, "pore: 1")]


@pytest.mark.usefixtures("no_network")
def test_a_merger_is_what_prediction_would_have_given(tmp_path, labels, run):
    (tmp_path / "map.yaml").write_text("merge: {0: [1, 2]}\nsmooth: 1\n")
    command = ["relabel", labels, "--map", tmp_path / "map.yaml"]
    assert run(*command, "-o", tmp_path / "merged.zarr") == 0
    before, after = values_of(labels), values_of(tmp_path / "merged.zarr")
    relabel = Relabel(merge={0: [1, 2]}, smooth=1, unlabelled=255)
    np.testing.assert_array_equal(after, np.stack([relabel.apply(image) for image in before]))
    assert set(np.unique(after)) == {0, 3, 255}
    provenance = read_finished(parse_output(tmp_path / "merged.zarr")).provenance
    record = provenance["record"]
    assert record["before"]["command"].startswith("sp-graph-seg predict ")
    assert record["relabel"]["smooth"] == 1
    assert run(*command, "-o", tmp_path / "folder") == 0  # the format of the input
    merged = tmp_path / "folder/a_labels.tif"
    np.testing.assert_array_equal(values_of(merged), after)
    assert run("relabel", merged, "-o", tmp_path / "more") == 0
    assert (tmp_path / "more/a_labels.tif").exists()


def test_predict_with_the_same_map(tmp_path, stack, model, run):
    (tmp_path / "map.yaml").write_text("merge: {0: [1, 2]}\nremove_small: {3: 9}\n")
    assert run("predict", model, stack, "-o", tmp_path / "a.npy") == 0
    told = ["--relabel", tmp_path / "map.yaml"]
    assert run("predict", model, stack, *told, "-o", tmp_path / "b.npy") == 0
    command = ["relabel", tmp_path / "a.npy", "--map", tmp_path / "map.yaml", "-o"]
    assert run(*command, tmp_path / "c.npy") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), np.load(tmp_path / "c.npy"))
    assert (np.load(tmp_path / "a.npy") != np.load(tmp_path / "b.npy")).any()


@pytest.mark.parametrize("suffix", ["tif", "zarr", "h5", "npy", "png"])
def test_without_a_map_labels_are_converted(tmp_path, labels, suffix, run):
    out = tmp_path / "new"
    assert run("relabel", labels, "-o", out, "--format", suffix) == 0
    (made,) = out.iterdir()
    assert made.name == ("a_labels" if suffix == "png" else f"a_labels.{suffix}")
    np.testing.assert_array_equal(values_of(made), values_of(labels))


def test_it_goes_on_after_an_interruption(tmp_path, labels, run, monkeypatch):
    written = []
    original = job_module.LabelJob.write_block

    def write(job, start, *arguments):
        written.append(start)
        if start == 3 and len(written) < 5:
            raise KeyboardInterrupt
        original(job, start, *arguments)

    monkeypatch.setattr(job_module.LabelJob, "write_block", write)
    monkeypatch.setattr("sp_graph_seg.label_jobs.opening.MAX_DEFAULT_BLOCK", 1)
    command = ["relabel", labels, "-o", tmp_path / "b.zarr"]
    assert run(*command) == 130
    assert run(*command) == 0
    assert written == [0, 1, 2, 3, 3, 4]
    np.testing.assert_array_equal(values_of(tmp_path / "b.zarr"), values_of(labels))
    assert run(*command, "--resume") == 0


KILLED = """
import os, signal, sys
from sp_graph_seg.cli import main
from sp_graph_seg.label_jobs import job, opening
opening.MAX_DEFAULT_BLOCK = 1
write = job.LabelJob.write_block
def write_or_die(self, start, *arguments):
    if start == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, start, *arguments)
job.LabelJob.write_block = write_or_die
main(sys.argv[1:])
"""


def test_killed_and_repeated_it_gives_the_same_labels(tmp_path, labels, run, monkeypatch):
    (tmp_path / "map.yaml").write_text("merge: {0: [1, 2]}")
    command = ["relabel", labels, "--map", tmp_path / "map.yaml", "-o", tmp_path / "b.zarr"]
    program = [sys.executable, "-c", KILLED, *map(str, command)]
    assert subprocess.run(program, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "b.zarr").exists()
    written = []
    write = job_module.LabelJob.write_block

    def noted(job, start, *arguments):
        written.append(start)
        write(job, start, *arguments)

    monkeypatch.setattr(job_module.LabelJob, "write_block", noted)
    assert run(*command) == 0
    assert written == [3, 4]
    expected = values_of(labels)
    expected[np.isin(expected, [1, 2])] = 0
    np.testing.assert_array_equal(values_of(tmp_path / "b.zarr"), expected)


def test_merging_loads_no_network_library(tmp_path):
    """So that it takes no seconds before it begins."""
    np.save(tmp_path / "a.npy", np.arange(2000, dtype=np.uint16).reshape(5, 20, 20) % 5)
    (tmp_path / "map.yaml").write_text("merge: {0: [1, 2]}")
    script = "import sys; from sp_graph_seg.cli import main; code = main(sys.argv[1:]); "
    script += "sys.exit(code or ' '.join({'torch', 'torch_geometric'} & set(sys.modules)) or 0)"
    command = ["relabel", tmp_path / "a.npy", "--map", tmp_path / "map.yaml"]
    program = [sys.executable, "-c", script, *command, "-o", tmp_path / "b.tif"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert values_of(tmp_path / "b.tif").max() == 4


def test_a_film_has_frames(tmp_path, run, capsys):
    film = tmp_path / "film.tif"
    values = np.zeros((3, 4, 5), np.uint8)
    tifffile.imwrite(film, values, imagej=True, metadata={"axes": "TYX", "finterval": 0.5})
    assert run("relabel", film, "-o", tmp_path / "b.zarr") == 0
    said = capsys.readouterr()
    assert said.out == f"labels:  3 frames in {tmp_path}/b.zarr\n"
    assert "3 of 3 frames in" in said.err
    assert (open_volume(film).noun, open_volume(film, axis="y").noun) == ("frames", "slices")


@pytest.mark.usefixtures("no_network")
def test_mergers_are_proposed_from_the_recorded_image(tmp_path, labels, run, capsys):
    made = tmp_path / "map.yaml"
    capsys.readouterr()
    assert run("relabel", labels, "--make", made, "--labels", "1") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == f"picture: {tmp_path}/map.png, each label by itself"
    with Image.open(tmp_path / "map.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5
    before, image = values_of(labels), values_of(tmp_path / "nan.tif")
    told = yaml.safe_load(made.read_text())
    found = [label for label in np.unique(before) if label != 255]
    assert sorted(told["labels"]) == found
    left = set(found) - {label for group in told["merge"].values() for label in group}
    assert len(left) == 1
    for label in found:
        values = image[before == label].astype(float)
        line = next(li for li in made.read_text().splitlines() if li.startswith(f"  {label}:"))
        assert line.endswith(f"grey {values.mean():.4g} ± {values.std():.2g}")
    assert run("relabel", labels, "--map", made, "-o", tmp_path / "one.tif") == 0
    assert set(np.unique(values_of(tmp_path / "one.tif"))) == left | {255}


def test_the_image_may_be_a_part(tmp_path, stack, model, run):
    """Also cut along another axis: the labels lie in the axes of the scan."""
    part = ["--axis", "y", "--slices", "2:20", "--crop", "1:5,4:28", "--binning", "1", "1", "2"]
    assert run("predict", model, stack, *part, "-o", tmp_path / "a.tif") == 0
    assert run("relabel", tmp_path / "a.tif", "--make", tmp_path / "map.yaml") == 0
    image = values_of(stack)[1:5, 2:20, 4:28].astype(float)
    image = (image[..., ::2] + image[..., 1::2]) / 2
    labels = values_of(tmp_path / "a.tif")
    first = int(labels.min())
    values = image[labels == first]
    assert f"grey {values.mean():.4g} ± {values.std():.2g}" in (tmp_path / "map.yaml").read_text()


@pytest.mark.parametrize("name", ["a.h5::/x", "a.nxs", "a.zarr.zip", "a.zarr"])
def test_labels_in_less_usual_places(tmp_path, run, name):
    array = np.random.default_rng(0).integers(0, 9, (20, 30, 40)).astype(np.uint8)
    if name.startswith("a.zarr"):
        below = "0" if name == "a.zarr" else ""  # the only image of a bioformats2raw root
        zarr.open_group(tmp_path / "a.zarr", mode="w", attributes={"bioformats2raw.layout": 3})
        zarr.create_array(tmp_path / "a.zarr" / below, data=array, overwrite=not below)
        if not below:
            shutil.make_archive(str(tmp_path / "a.zarr"), "zip", tmp_path / "a.zarr")
    else:
        with h5py.File(tmp_path / name.partition(":")[0], "w") as file:
            file["x"], file["y"] = array, array[:2]
            file.attrs["signal"] = np.array(["x"], dtype=h5py.string_dtype())
    assert run("relabel", f"{tmp_path}/{name}", "-o", tmp_path / "b.tif") == 0
    np.testing.assert_array_equal(values_of(tmp_path / "b.tif"), array)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint32])
def test_labels_of_wide_types(tmp_path, run, refusal, capsys, dtype):
    """Fiji writes whole numbers as floats, and other programs 32 bits."""
    array = np.random.default_rng(0).integers(0, 9, (20, 30, 40)).astype(dtype)
    array[3, 4, 5] = 700
    about = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    scan = tmp_path / "fiji.tif"
    imagej = {"imagej": True, "resolution": (1, 1), "metadata": about}
    plain = {"metadata": {"axes": "ZYX"}, "photometric": "minisblack"}
    tifffile.imwrite(scan, array, **(imagej if dtype is np.float32 else plain))
    (tmp_path / "map.yaml").write_text("merge: {1: [2, 3]}\nunlabelled: 0\n")
    assert run("relabel", scan, "--map", tmp_path / "map.yaml", "-o", tmp_path / "b.tif") == 0
    expected = np.where(np.isin(array, [2, 3]), 1, np.where(array == 0, 65535, array))
    back = open_volume(tmp_path / "b.tif")
    assert back.dtype == np.uint16
    assert back.spacing == ((2, 1, 1) if dtype is np.float32 else None)
    np.testing.assert_array_equal(values_of(tmp_path / "b.tif"), expected)
    capsys.readouterr()
    array[5, 6, 7] = 70_000
    tifffile.imwrite(scan, array, metadata={"axes": "ZYX"}, photometric="minisblack")
    line = refusal("relabel", scan, "-o", tmp_path / "c.tif")
    assert line.startswith(f"{scan}: holds the label 70000, which cannot be written")


def test_axes_that_a_file_does_not_declare(tmp_path, run, refusal, capsys):
    """Three slices of one array may be three channels."""
    array = np.random.default_rng(0).integers(0, 3, (3, 20, 24)).astype(np.uint8)
    path, score = tmp_path / "a.npy", tmp_path / "s.json"
    np.save(path, array)
    merged = ["relabel", path, "-o", tmp_path / "b.tif"]
    make = ["relabel", path, "--make", tmp_path / "map.yaml"]
    scored = ["evaluate", path, path, "-o", score]
    for command in (merged, make, scored):
        assert "give axes" in refusal(*command)
        assert run(*command, "--axes", "zyx") == 0
        capsys.readouterr()
    np.testing.assert_array_equal(values_of(tmp_path / "b.tif"), array)
    assert sorted(yaml.safe_load((tmp_path / "map.yaml").read_text())["labels"]) == [0, 1, 2]
    assert json.loads(score.read_text())["scores"]["voxels"] == array.size


def test_what_is_refused(tmp_path, labels, stack, run, refusal):
    np.save(tmp_path / "other.npy", np.zeros((5, 24, 30), np.uint8))
    line = refusal(
        "relabel", labels, "--make", tmp_path / "m.yaml", "--image", tmp_path / "other.npy"
    )
    assert line.startswith(
        f"--image {tmp_path}/other.npy: has 5x24x30 voxels, but {labels} has 5x24x32"
    )
    line = refusal("relabel", tmp_path / "nan.tif", "-o", tmp_path / "b.tif")
    assert line.startswith(f"{tmp_path}/nan.tif: holds nan, which is not the number of a label")
    line = refusal("relabel", tmp_path / "none.tif", "-o", tmp_path / "b.tif")
    assert line.startswith(f"{tmp_path}/none.tif: cannot be opened")
    line = refusal("relabel", labels, "-o", labels)
    assert line.startswith(f"{labels}: is or contains the input")
    line = refusal("relabel", labels, "--make", tmp_path / "m.yaml", "--labels", "9")
    assert line.startswith("num_labels: 9 is not between 1 and ")
    assert not (tmp_path / "m.yaml").exists()
