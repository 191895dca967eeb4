"""From a scan of any kind to named phases, a figure and a table, as docs/scan_to_figure.md says."""

import csv
import json
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
import tifffile
import yaml
import zarr
from PIL import Image

from sp_graph_seg.io import write_overlay_video

SPACING = (2.0, 1.5, 1.5)
SHAPE = (8, 40, 48)
QUICK = ["--preset", "tomogram", "--epochs", "1", "--width", "4", "--patches", "4", "16", "16"]


def phantom():
    """A bright ball in a grey block with dark cracks, with noise, uint8."""
    z, y, x = np.indices(SHAPE)
    values = np.full(SHAPE, 110.0)
    values[(z - 4) ** 2 * 2 + (y - 20) ** 2 + (x - 14) ** 2 < 100] = 200
    values[:, :, 34:42] = 30
    return (values + np.random.default_rng(0).normal(0, 3, SHAPE)).clip(0, 255).astype(np.uint8)


def save_tiff(folder):
    about = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(
        folder / "scan.tif", phantom(), imagej=True, resolution=(1 / 1.5, 1 / 1.5), metadata=about
    )
    return folder / "scan.tif", []


def save_nexus(folder):
    with h5py.File(folder / "scan.nxs", "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="data")
        data = entry.create_group("data")
        data.attrs.update(NX_class="NXdata", signal="values", axes=["z", "y", "x"])
        data["values"] = phantom()
        for name, count, step in zip("zyx", SHAPE, SPACING, strict=True):
            data[name] = np.arange(count) * step / 1000
            data[name].attrs["units"] = "mm"
    return folder / "scan.nxs", []


def save_ome_zarr(folder):
    group = zarr.open_group(folder / "scan.ome.zarr", mode="w")
    group.create_array("0", data=phantom(), chunks=(4, 40, 48), dimension_names=list("zyx"))
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": list(SPACING)}]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    image = {"axes": axes, "datasets": levels, "name": "scan"}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    return folder / "scan.ome.zarr", []


def save_folder(folder):
    (folder / "scan").mkdir()
    for number, image in enumerate(phantom()):
        Image.fromarray(image).save(folder / f"scan/slice_{number}.png")
    return folder / "scan", ["--spacing", "2", "1.5", "1.5", "--unit", "um"]


def save_video(folder):
    frames = (np.stack([image] * 3, axis=-1) for image in phantom())
    write_overlay_video(folder / "scan.mp4", frames, 10.0)
    return folder / "scan.mp4", ["--spacing", "2", "1.5", "1.5", "--unit", "um"]


@pytest.mark.parametrize("save", [save_tiff, save_nexus, save_ome_zarr, save_folder, save_video])
def test_from_a_scan_to_a_figure(save, tmp_path, monkeypatch, run, files_in, capsys):
    monkeypatch.chdir(tmp_path)
    scan, size = save(tmp_path)
    is_film = save is save_video
    assert run("segment", scan.name, "--labels", "5", *size, *QUICK, "-o", "labels") == 0
    found = {"scan_labels.tif", "scan_preview.png", "scan_report.html", "model.safetensors"}
    assert files_in("labels") >= found | ({"scan_overlay.mp4"} if is_film else set())
    assert run("relabel", "labels/scan_labels.tif", "--make", "phases.yaml", "--labels", "3") == 0
    phases = yaml.safe_load((tmp_path / "phases.yaml").read_text())
    merged = {label for others in phases.get("merge", {}).values() for label in others}
    kept = sorted(set(phases["labels"]) - merged)
    assert len(kept) == 3
    names = dict(zip(kept, ("crack", "matrix", "ball"), strict=True))
    for label, name in names.items():
        phases["labels"][label]["name"] = name
    (tmp_path / "phases.yaml").write_text(yaml.safe_dump(phases))
    command = ["relabel", "labels/scan_labels.tif", "--map", "phases.yaml", "--output", "merged"]
    assert run(*command) == 0
    table = ["--spacing", "2", "1.5", "1.5", "--unit", "um"] if is_film else []
    command = ["inspect", "merged/scan_labels.tif", "--output", "measured", *table]
    assert run(*command, "--meshes", str(kept[2]), "--triangles", "100") == 0
    for ending in ("ome.zarr", "nrrd", "vti"):
        output = f"merged/scan_labels.{ending}"
        assert run("relabel", "merged/scan_labels.tif", "--output", output) == 0

    values = tifffile.imread("merged/scan_labels.tif")
    assert set(np.unique(values)) == set(kept)
    truth = np.digitize(phantom(), [70, 155])
    agree = max(np.mean(values == np.array(order)[truth]) for order in orders(kept))
    assert agree > 0.9
    check_fiji(is_film)
    check_napari(values, names, is_film)
    check_vti(is_film)
    check_table(values, names)
    capsys.readouterr()
    assert run("info", "merged/scan_labels.tif") == 0
    told = capsys.readouterr().out
    assert ", ".join(f"{label} {name}" for label, name in names.items()) in told
    assert "phases.yaml" in told
    for picture in ("labels/scan_preview.png", "measured/preview.png", "measured/surfaces.png"):
        with Image.open(picture) as image:
            assert min(image.size) > 300
    for page in ("labels/scan_report.html", "measured/report.html"):
        text = (tmp_path / page).read_text(encoding="utf-8")
        assert "<canvas" in text or "<img" in text
    assert "matrix" in text
    header = (tmp_path / f"measured/label_{kept[2]}.ply").read_bytes()[:400].decode("latin-1")
    triangles = int(header.split("element face ")[1].split()[0])
    assert 0 < triangles <= 100


def orders(kept):
    """The labels of dark, grey and bright voxels may be numbered in any order."""
    a, b, c = kept
    return [(a, b, c), (a, c, b), (b, a, c), (b, c, a), (c, a, b), (c, b, a)]


def check_fiji(is_film):
    with tifffile.TiffFile("merged/scan_labels.tif") as tif:
        about, page = tif.imagej_metadata, tif.pages.first
        pixels, length = page.tags["XResolution"].value
        assert length / pixels == pytest.approx(1.5)
        assert about["unit"] == "um"
        if is_film:
            assert about["finterval"] == 2
        else:
            assert about["spacing"] == 2
        assert page.colormap.any()


def check_napari(values, names, is_film):
    group = zarr.open_group("merged/scan_labels.ome.zarr", mode="r")
    ome = group.attrs["ome"]
    (image,) = ome["multiscales"]
    assert ome["version"] == "0.5"
    first = "t" if is_film else "z"
    assert [axis["name"] for axis in image["axes"]] == [first, "y", "x"]
    assert [axis["unit"] for axis in image["axes"]][1:] == ["micrometer", "micrometer"]
    level = image["datasets"][0]
    assert level["coordinateTransformations"][0]["scale"] == list(SPACING)
    np.testing.assert_array_equal(group[level["path"]][:], values)
    properties = ome["image-label"]["properties"]
    told = {row["label-value"]: row["name"] for row in properties}
    assert told == {**names, 255: "unlabelled"}


def check_vti(is_film):
    head = (open_text("merged/scan_labels.vti")).split("<AppendedData")[0] + "</VTKFile>"
    (image,) = ElementTree.fromstring(head).iter("ImageData")
    assert [float(n) for n in image.get("Spacing").split()] == [1.5, 1.5, 2.0]
    assert "space directions" in open_text("merged/scan_labels.nrrd").split("\n\n")[0] or is_film


def open_text(path):
    with open(path, "rb") as file:
        return file.read(20_000).decode("latin-1")


def check_table(values, names):
    with open("measured/regions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {int(row["label"]): row["name"] for row in rows} == names
    for row in rows:
        voxels = np.sum(values == int(row["label"]))
        assert float(row["volume_um3"]) == pytest.approx(voxels * 4.5)
        assert float(row["area_um2"]) > 0
        assert float(row["grey_low"]) <= float(row["grey_mean"]) <= float(row["grey_high"])
    records = json.loads(open_text("measured/records.json"))
    assert records[0]["command"].startswith("sp-graph-seg inspect ")
