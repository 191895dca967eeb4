"""``sp-graph-seg inspect``: its tables against scipy.ndimage, its meshes, and its refusals."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from scipy import ndimage

from sp_graph_seg.cli import main
from sp_graph_seg.io import label_colors
from sp_graph_seg.label_jobs import open_label_job
from sp_graph_seg.labels import surfaces
from sp_graph_seg.labels.surfaces import extract_surface
from sp_graph_seg.volumes import Axis, Geometry

SHAPE = (5, 9, 11)
UNLABELLED = 255
TABLES = {"regions.csv", "components.csv", "sizes.csv", "records.json"}
PAGES = {"preview.png", "report.html"}


def run(*arguments):
    return main(["inspect", *map(str, arguments)])


def refusal(capsys, *arguments):
    """What is wrong: the last line on standard error, exit code 2, nothing on standard output."""
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    *work, line = captured.err.splitlines()
    assert all("slices" in shown for shown in work)
    assert line.startswith("sp-graph-seg: error: ")
    return line.removeprefix("sp-graph-seg: error: ")


def files_in(folder):
    return {path.name for path in Path(folder).iterdir()}


def make_labels():
    """Blobs of the labels 0, 1 and 4, and some voxels without a label, uint8."""
    rng = np.random.default_rng(4)
    noise = ndimage.gaussian_filter(rng.normal(size=(3, *SHAPE)), (0, 1, 1, 1))
    labels = np.array([0, 1, 4], dtype=np.uint8)[noise.argmax(axis=0)]
    labels[2, :3, :4] = UNLABELLED
    return labels


def save_npy(path, labels):
    np.save(path, labels)
    return path


def save_zarr(path, labels):
    store = zarr.create_array(path, shape=labels.shape, dtype=labels.dtype, chunks=(2, 4, 8))
    store[:] = labels
    return path


def save_tiff(path, labels):
    tifffile.imwrite(path, labels, photometric="minisblack")
    return path


def save_folder(path, labels):
    path.mkdir()
    for number, image in enumerate(labels):
        Image.fromarray(image).save(path / f"labels_{number}.png")
    return path


FORMATS = {"a.npy": save_npy, "a.zarr": save_zarr, "a.tif": save_tiff, "a": save_folder}


def read_table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def find_components(labels):
    """A mask for each component of each label, the largest of a label first."""
    for label in np.unique(labels[labels != UNLABELLED]):
        components, count = ndimage.label(labels == label)
        masks = [components == number for number in range(1, count + 1)]
        yield int(label), sorted(masks, key=np.sum, reverse=True)


def check_regions(path, labels, voxel=1.0, volume="volume_voxels"):
    known = labels != UNLABELLED
    rows = read_table(path)
    expected = dict(find_components(labels))
    assert [int(row["label"]) for row in rows] == sorted(expected)
    for row in rows:
        masks = expected[int(row["label"])]
        size = int(sum(map(np.sum, masks)))
        assert int(row["size_voxels"]) == size
        assert float(row["fraction"]) == pytest.approx(size / known.sum())
        assert float(row[volume]) == pytest.approx(size * voxel)
        assert int(row["components"]) == len(masks)
        assert int(row["largest_voxels"]) == masks[0].sum()
        assert float(row["mean_size_voxels"]) == pytest.approx(size / len(masks))
        whole = np.any(masks, axis=0)
        beside = ndimage.binary_dilation(known & ~whole) & whole
        assert int(row["surface_voxels"]) == beside.sum()


def check_components(path, labels, spacing=(1, 1, 1), unit="voxel", volume="volume_voxels"):
    def key(row):
        return [round(value, 6) for value in row]

    found = [
        [
            *(float(row[name]) for name in ("label", "size_voxels", volume, f"diameter_{unit}")),
            *(float(row[f"centroid_{axis}_{unit}"]) for axis in "zyx"),
            *(float(row[f"{axis}_{end}_voxel"]) for axis in "zyx" for end in ("start", "stop")),
        ]
        for row in read_table(path)
    ]
    expected = []
    for label, masks in find_components(labels):
        for mask in masks:
            size, filled = mask.sum(), mask.sum() * np.prod(spacing)
            (box,) = ndimage.find_objects(mask.astype(int))
            center = np.array(ndimage.center_of_mass(mask)) * spacing
            ends = [end for axis in box for end in (axis.start, axis.stop)]
            row = [label, size, filled, (6 * filled / np.pi) ** (1 / 3), *center, *ends]
            expected.append([float(value) for value in row])
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    np.testing.assert_allclose(sorted(map(key, found)), sorted(map(key, expected)), atol=1e-5)


@pytest.mark.parametrize("name", FORMATS)
def test_tables_of_any_format(tmp_path, name, capsys):
    labels = make_labels()
    given, out = FORMATS[name](tmp_path / name, labels), tmp_path / "new/out"
    assert run(given, "-o", out) == 0
    assert files_in(out) == TABLES | PAGES
    check_regions(out / "regions.csv", labels)
    check_components(out / "components.csv", labels)
    captured = capsys.readouterr()
    line, grey, page = captured.out.splitlines()
    assert line == f"tables:  {out}/regions.csv, components.csv and sizes.csv"
    assert grey.startswith("grey:    none, as the image is not known; --image FILE adds")
    assert page == f"report:  {out}/report.html, with preview.png"
    assert captured.err.splitlines()[-1].startswith("5 of 5 slices in ")


def test_axes_tell_slices_from_channels(tmp_path, capsys):
    labels = make_labels()[:3]
    given = save_npy(tmp_path / "a.npy", labels)
    assert "give axes" in refusal(capsys, given, "-o", tmp_path)
    assert run(given, "-o", tmp_path, "--axes", "zyx") == 0
    check_regions(tmp_path / "regions.csv", labels)
    check_components(tmp_path / "components.csv", labels)
    swapped = save_npy(tmp_path / "b.npy", labels.transpose(1, 2, 0))
    assert run(swapped, "-o", tmp_path, "--axes", "yxz", "--overwrite") == 0
    check_components(tmp_path / "components.csv", labels)


@pytest.mark.parametrize("dtype", [bool, np.uint16, np.int16, np.int64])
def test_only_the_largest_value_of_the_type_is_no_label(tmp_path, dtype):
    labels = make_labels().astype(dtype)
    if dtype is not bool:
        labels[0, 0, 0] = np.iinfo(dtype).max
    assert run(save_npy(tmp_path / "a.npy", labels), "-o", tmp_path) == 0
    found = {int(row["label"]): int(row["size_voxels"]) for row in read_regions(tmp_path)}
    values, counts = np.unique(labels, return_counts=True)
    expected = dict(zip(map(int, values), counts.tolist(), strict=True))
    if dtype is not bool:
        del expected[np.iinfo(dtype).max]
    assert found == expected


def read_regions(folder):
    return read_table(folder / "regions.csv")


@pytest.mark.parametrize("unit", ["um", "µm", "micrometer"])
def test_spacing_and_unit(tmp_path, unit):
    labels, spacing = make_labels(), (2.0, 0.5, 3.0)
    given = save_npy(tmp_path / "a.npy", labels)
    assert run(given, "-o", tmp_path, "--spacing", *spacing, "--unit", unit) == 0
    check_regions(tmp_path / "regions.csv", labels, 3.0, "volume_um3")
    check_components(tmp_path / "components.csv", labels, spacing, "um", "volume_um3")


def test_the_spacing_in_the_file_counts_unless_another_is_given(tmp_path):
    labels = make_labels()
    tifffile.imwrite(
        tmp_path / "a.tif",
        labels,
        imagej=True,
        resolution=(1 / 3, 2),
        metadata={"axes": "ZYX", "spacing": 2.0, "unit": "um"},
    )
    assert run(tmp_path / "a.tif", "-o", tmp_path) == 0
    table = tmp_path / "components.csv"
    check_components(table, labels, (2.0, 0.5, 3.0), "um", "volume_um3")
    flags = ["--spacing", "1", "1", "4", "--unit", "mm", "--overwrite"]
    assert run(tmp_path / "a.tif", "-o", tmp_path, *flags) == 0
    check_components(table, labels, (1, 1, 4), "mm", "volume_mm3")


def test_a_ball_has_its_volume_area_and_diameter(tmp_path):
    spacing, radius = (2.0, 1.0, 1.0), 12.0
    z, y, x = (np.indices((19, 33, 33)) - np.array([9, 16, 16]).reshape(3, 1, 1, 1)) * (
        np.array(spacing).reshape(3, 1, 1, 1)
    )
    labels = (z**2 + y**2 + x**2 <= radius**2).astype(np.uint8)
    labels[0, 0, 0] = 1  # a single voxel, of diameter 1.56
    given = save_npy(tmp_path / "a.npy", labels)
    assert run(given, "-o", tmp_path, "--spacing", *spacing, "--unit", "um") == 0
    ball = read_regions(tmp_path)[1]
    assert float(ball["volume_um3"]) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.02)
    assert float(ball["area_um2"]) == pytest.approx(4 * np.pi * radius**2, rel=0.03)
    assert float(ball["volume_um3"]) == int(ball["size_voxels"]) * 2
    sizes = [row for row in read_table(tmp_path / "sizes.csv") if row["label"] == "1"]
    bounds = [(float(r["diameter_from_um"]), float(r["diameter_to_um"])) for r in sizes]
    assert [int(row["components"]) for row in sizes] == [1, 1]
    assert [low <= d < high for d, (low, high) in zip((1.56, 24), bounds, strict=True)] == [
        True
    ] * 2
    assert float(sizes[1]["volume_um3"]) == float(ball["volume_um3"]) - 2


def test_names(tmp_path):
    given = save_npy(tmp_path / "a.npy", make_labels())
    (tmp_path / "names.yaml").write_text("labels: {0: {name: air}, 4: {name: grain, color: red}}\n")
    assert run(given, "-o", tmp_path, "--names", tmp_path / "names.yaml") == 0
    for table in TABLES - {"records.json"}:
        names = {(row["label"], row["name"]) for row in read_table(tmp_path / table)}
        assert names == {("0", "air"), ("1", ""), ("4", "grain")}


def read_ply(path):
    """Vertices, faces and the colour of the first vertex, by the header of the file."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = header.decode("ascii").splitlines()
    num_vertices, num_faces = (int(s.split()[-1]) for s in lines if s.startswith("element"))
    colors = ["red", "green", "blue"] if "property uchar red" in lines else []
    vertex = np.dtype([(axis, "<f4") for axis in "xyz"] + [(name, "u1") for name in colors])
    points = np.frombuffer(body, vertex, num_vertices)
    face = np.dtype([("count", "u1"), ("vertices", "<i4", 3)])
    faces = np.frombuffer(body, face, num_faces, num_vertices * vertex.itemsize)
    vertices = np.stack([points[axis] for axis in "xyz"], axis=1)
    return vertices, faces["vertices"], [int(points[name][0]) for name in colors]


def test_meshes(tmp_path, capsys):
    labels, spacing = make_labels(), (2.0, 0.5, 3.0)
    given, out = save_npy(tmp_path / "a.npy", labels), tmp_path / "out"
    (tmp_path / "names.yaml").write_text('labels: {4: {name: grain, color: "#ff8000"}}\n')
    flags = ["--meshes", "4", "1", "4", "--names", tmp_path / "names.yaml"]
    assert run(given, "-o", out, "--spacing", *spacing, "--unit", "um", *flags) == 0
    assert files_in(out) == TABLES | PAGES | {"label_1.ply", "label_4.ply", "surfaces.png"}
    said = capsys.readouterr().out.splitlines()[2]
    assert said == f"meshes:  label_4.ply, label_1.ply and {out}/surfaces.png"
    own = label_colors(range(5), {4: "#ff8000"})
    page = (out / "report.html").read_text()
    for label in (1, 4):
        color = list(bytes.fromhex(own[label][1:]))
        assert f"--color: {own[label]}" in page
        vertices, faces, own_color = read_ply(out / f"label_{label}.ply")
        expected = extract_surface(labels, label, spacing)
        np.testing.assert_array_equal(vertices, expected.vertices)
        np.testing.assert_array_equal(faces, expected.faces)
        assert own_color == color
    assert "grain" in page
    assert "<h2>Surfaces</h2>" in page
    assert "2 × 0.5 × 3 µm (z, y, x)" in page
    with Image.open(out / "surfaces.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    is_orange = (pixels[..., 0] > 2 * pixels[..., 2] + 50) & (pixels[..., 0] > pixels[..., 1])
    assert is_orange.mean() > 0.01


def test_surfaces_of_a_large_volume_are_those_of_every_second_voxel(tmp_path, monkeypatch):
    module = sys.modules["sp_graph_seg.cli.inspect"]
    monkeypatch.setattr(module, "_SURFACE_VOXELS", np.prod(SHAPE) / 8)
    labels, spacing = make_labels(), (2.0, 0.5, 3.0)
    given = save_zarr(tmp_path / "a.zarr", labels)
    flags = ["--spacing", *spacing, "--unit", "um", "--meshes", "1"]
    assert run(given, "-o", tmp_path / "out", *flags) == 0
    vertices, faces, _ = read_ply(tmp_path / "out/label_1.ply")
    expected = extract_surface(labels[::2, ::2, ::2], 1, (4.0, 1.0, 6.0))
    np.testing.assert_array_equal(vertices, expected.vertices)
    np.testing.assert_array_equal(faces, expected.faces)
    check_regions(tmp_path / "out/regions.csv", labels, 3.0, "volume_um3")


@pytest.mark.parametrize("label", [2, 9, UNLABELLED])
def test_a_label_that_is_missing_is_refused_and_nothing_written(tmp_path, capsys, label):
    given, out = save_npy(tmp_path / "a.npy", make_labels()), tmp_path / "out"
    line = refusal(capsys, given, "-o", out, "--meshes", "1", label)
    assert line == f"--meshes {label}: is not a label of {given}; use one of its labels: 0, 1, 4."
    assert files_in(out) == set()


def test_a_volume_without_any_label(tmp_path, capsys):
    given = save_npy(tmp_path / "a.npy", np.full(SHAPE, UNLABELLED, dtype=np.uint8))
    line = refusal(capsys, given, "-o", tmp_path / "out", "--meshes", "0")
    assert line == f"--meshes 0: is not a label of {given}; use one of its labels: none."
    assert run(given, "-o", tmp_path / "out") == 0
    for table in TABLES - {"records.json"}:
        assert read_table(tmp_path / "out" / table) == []


@pytest.mark.parametrize("name", ["regions.csv", "components.csv", "label_1.ply", "surfaces.png"])
def test_files_that_exist_are_refused_before_the_work(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr(surfaces, "extract_surface", lambda *_: pytest.fail("made a surface"))
    given, out = save_npy(tmp_path / "a.npy", make_labels()), tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    line = refusal(capsys, given, "-o", out, "--meshes", "1")
    assert line.startswith(f"{out / name}: already exists; add --overwrite")
    assert (out / name).read_text() == "mine"
    assert files_in(out) == {name}


def test_files_are_replaced_when_told_and_others_stay(tmp_path):
    given, out = save_npy(tmp_path / "a.npy", make_labels()), tmp_path / "out"
    out.mkdir()
    for name in (*TABLES, "surfaces.png", *PAGES):
        (out / name).write_text("mine")
    assert run(given, "-o", out, "--overwrite") == 0
    check_regions(out / "regions.csv", make_labels())
    assert (out / "surfaces.png").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["none.npy"], "none.npy"),
        (["color.tif"], "color.tif: holds 3 channels, not labels; give the output of"),
        (["float.npy"], "float.npy: holds 1.5, which is not the number of a label"),
        (
            ["a.npy", "--spacing", "2", "1", "1"],
            "--spacing, --unit: one of them is missing; give both",
        ),
        (["a.npy", "--unit", "um"], "--spacing, --unit: one of them is missing; give both"),
        (
            ["a.npy", "--spacing", "2", "0", "1", "--unit", "um"],
            "spacing: (2.0, 0.0, 1.0) is invalid",
        ),
        (["a.npy", "--names", "none.yaml"], "none.yaml: cannot be read (No such file"),
        (["a.npy", "--names", "bad.yaml"], "bad.yaml: 'smoth': this key is unknown"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    tmp_path, capsys, monkeypatch, arguments, reason
):
    monkeypatch.chdir(tmp_path)
    save_npy("a.npy", make_labels())
    save_npy("float.npy", make_labels() + np.float32(0.5))
    colors = np.random.default_rng(0).integers(0, 255, (4, 9, 11, 3), dtype=np.uint8)
    tifffile.imwrite("color.tif", colors, photometric="rgb")
    Path("bad.yaml").write_text("smoth: 1\n")
    before = set(tmp_path.rglob("*"))
    assert reason in refusal(capsys, *arguments, "-o", "out")
    assert set(tmp_path.rglob("*")) == before


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from sp_graph_seg.cli import main; main(['inspect', '--help'])\n"
        "heavy = {'torch', 'skimage', 'sklearn', 'matplotlib', 'scipy', 'PIL', 'yaml'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--meshes" in done.stdout


def write_labels_of_a_scan(path):
    """Labels as the program writes them: named, coloured, with a voxel size and an origin."""
    labels = make_labels()
    values = zip("zyx", (2, 0.5, 3), ["micrometer"] * 3, (5, 6, 7), strict=True)
    axes = tuple(Axis(*axis) for axis in values)
    about = {4: {"name": "grain", "color": "#ff8000"}}
    job = open_label_job(path, SHAPE, 5, {}, geometry=Geometry(axes), labels=about)
    job.write_block(0, labels)
    job.finish()
    return labels


@pytest.mark.parametrize("name", ["a.zarr", "a.tif", "a.nrrd", "folder"])
def test_labels_bring_their_names_colours_and_place(tmp_path, name):
    labels = write_labels_of_a_scan(tmp_path / name)
    assert run(tmp_path / name, "-o", tmp_path / "out", "--meshes", "4", "1") == 0
    rows = list(csv.DictReader((tmp_path / "out/regions.csv").read_text().splitlines()))
    assert {row["label"]: row["name"] for row in rows}["4"] == "grain"
    assert "volume_um3" in rows[0]
    vertices, _, color = read_ply(tmp_path / "out/label_4.ply")
    expected = extract_surface(labels, 4, (2.0, 0.5, 3.0)).vertices + np.float32([7, 6, 5])
    np.testing.assert_allclose(vertices, expected, rtol=1e-6)
    assert color == [255, 128, 0]
    _, _, other = read_ply(tmp_path / "out/label_1.ply")
    wanted = label_colors([0, 1, 4], {4: "#ff8000"})[1]
    assert other == [*bytes.fromhex(wanted[1:])]


def test_grey_values_are_those_of_the_image(tmp_path, capsys):
    labels = make_labels()
    image = np.random.default_rng(0).normal(1000, 5, labels.shape).astype(np.float32)
    given, scan = save_npy(tmp_path / "a.npy", labels), save_npy(tmp_path / "scan.npy", image)
    assert run(given, "-o", tmp_path / "out", "--image", scan) == 0
    for row in read_regions(tmp_path / "out"):
        values = image[labels == int(row["label"])].astype(float)
        found = [float(row[f"grey_{name}"]) for name in ("mean", "std", "low", "high")]
        assert found == pytest.approx([values.mean(), values.std(), values.min(), values.max()])
    assert float(row["area_voxel_faces"]) > 0


def test_meshes_of_few_triangles(tmp_path):
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[4:20, 4:20, 4:20] = 1
    given = save_npy(tmp_path / "a.npy", labels)
    sizes = []
    for triangles in ([], ["--triangles", "200"]):
        command = [given, "-o", tmp_path / "out", "--meshes", "1", "--overwrite"]
        assert run(*command, *triangles) == 0
        head = (tmp_path / "out/label_1.ply").read_bytes().partition(b"end_header")[0].decode()
        sizes.append(int(head.partition("element face ")[2].split()[0]))
    assert sizes[0] > 1000
    assert 50 < sizes[1] <= 200
