import numpy as np
import pytest
import tifffile

from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs import open_label_job
from sp_graph_seg.napari_plugin.layers import KEY, LabelsShown
from sp_graph_seg.napari_plugin.reader import get_reader, open_labels_layer, read_layers
from sp_graph_seg.volumes import Geometry, open_volume
from sp_graph_seg.volumes.geometry import Axis


def open_one(path):
    (layer,) = get_reader(str(path))(str(path))
    return layer


def write_labels(path, labels, about):
    axes = (Axis("z", 2.0, "micrometer", 6.0), *(Axis(a, 1.5, "micrometer") for a in "yx"))
    job = open_label_job(path, labels.shape, 9, {}, geometry=Geometry(axes), labels=about)
    job.write_block(0, labels)
    job.finish()
    return path


@pytest.fixture
def labels(label_map):
    made = label_map((5, 12, 10), 4).astype(np.uint8)
    made[made == 1] = 7
    made[0, 0] = 255
    return made


def test_a_volume_is_opened_with_its_place(scan_file):
    data, about, kind = open_one(scan_file)
    assert (kind, about["name"], data.shape) == ("image", "scan", (6, 48, 40))
    assert about["scale"] == pytest.approx((2.0, 1.5, 1.5))
    assert about["units"] == ("micrometer",) * 3
    assert about["axis_labels"] == ("z", "y", "x")
    np.testing.assert_array_equal(np.asarray(data), tifffile.imread(scan_file))
    low, high = about["contrast_limits"]
    assert 0 < low < 60 < 180 < high < 255


def test_an_unknown_voxel_size_counts_pixels(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(5 * 6 * 7.0).reshape(5, 6, 7))
    _, about, _ = open_one(tmp_path / "a.npy")
    assert (about["scale"], about["units"]) == ((1.0, 1.0, 1.0), ("pixel",) * 3)


def test_three_channels_of_8_bits_are_colours_and_others_are_layers(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (4, 3, 6, 7))
    options = {"photometric": "minisblack", "metadata": {"axes": "ZCYX"}}
    tifffile.imwrite(tmp_path / "rgb.tif", values.astype(np.uint8), **options)
    data, about, _ = open_one(tmp_path / "rgb.tif")
    assert about["rgb"] is True
    np.testing.assert_array_equal(np.asarray(data), values.transpose(0, 2, 3, 1))
    tifffile.imwrite(tmp_path / "two.tif", values.astype(np.uint16), **options)
    layers = read_layers(str(tmp_path / "two.tif"))
    assert [about["name"] for _, about, _ in layers] == ["two 0", "two 1", "two 2"]
    for channel, (data, _, _) in enumerate(layers):
        np.testing.assert_array_equal(np.asarray(data), values[:, channel])


def test_a_slice_that_cannot_be_used_is_no_reason_to_refuse_the_others(tmp_path):
    values = np.random.default_rng(0).random((5, 6, 7))
    values[1, 2, 3] = np.nan
    np.save(tmp_path / "a.npy", values)
    _, about, _ = open_one(tmp_path / "a.npy")
    low, high = about["contrast_limits"]
    assert 0 <= low < high <= 1
    np.save(tmp_path / "b.npy", np.full((5, 6, 7), np.nan))
    assert open_one(tmp_path / "b.npy")[1]["contrast_limits"] == (0.0, 1.0)
    np.save(tmp_path / "c.npy", np.full((5, 6, 7), 4.0))
    assert open_one(tmp_path / "c.npy")[1]["contrast_limits"] == (4.0, 5.0)


def test_an_image_that_is_no_volume_is_opened_whole(tmp_path):
    grey = np.arange(48.0, dtype=np.float32).reshape(6, 8)
    tifffile.imwrite(tmp_path / "grey.tif", grey)
    data, _, _ = open_one(tmp_path / "grey.tif")
    np.testing.assert_array_equal(data, grey)
    colours = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", colours, photometric="rgb")
    data, about, _ = open_one(tmp_path / "rgb.tif")
    assert about["rgb"] is True
    np.testing.assert_array_equal(data, colours)
    tifffile.imwrite(tmp_path / "unit.tif", (colours / 255).astype("f4"), photometric="rgb")
    data, about, _ = open_one(tmp_path / "unit.tif")
    assert about["rgb"] is True
    np.testing.assert_allclose(data, colours / 255, rtol=1e-6)


@pytest.mark.parametrize(
    "name", ["a.zarr", "a.tif", "a.ome.tif", "a.h5", "a.nrrd", "a.vti", "a.npy"]
)
def test_our_labels_have_names_colours_and_place(tmp_path, labels, name):
    about = {0: {"name": "pore", "color": "#123456"}, 7: {"color": "#ffbb00"}}
    data, layer, kind = open_one(write_labels(tmp_path / name, labels, about))
    assert kind == "labels"
    np.testing.assert_array_equal(np.asarray(data), labels)
    assert layer["scale"] == pytest.approx((2.0, 1.5, 1.5))
    assert layer["translate"] == pytest.approx((6.0, 0.0, 0.0))
    if name != "a.vti":  # which has no place for the unit
        assert layer["units"] == ("micrometer",) * 3
    assert layer["features"] == {"index": [0, 2, 3, 7], "name": ["pore", "", "", ""]}
    colors = layer["colormap"]
    assert (colors[0], colors[7]) == ("#123456", "#ffbb00")
    assert (colors[None], colors[255]) == ("transparent", "transparent")
    assert len(set(colors.values())) == 5
    shown = layer["metadata"][KEY]
    assert isinstance(shown, LabelsShown)
    assert shown.volume.fingerprint() == open_volume(str(tmp_path / name)).fingerprint()


def test_merged_labels_are_looked_up_when_they_are_shown(tmp_path, labels):
    path = write_labels(tmp_path / "a.zarr", labels, {})
    _, about, _ = open_labels_layer(path)
    shown = about["metadata"][KEY]
    shown.editor.merge([7, 0])
    after = shown.after()
    shown.editor.merge([2, 3])  # not in what was made before
    expected = np.where(labels == 0, 7, labels)
    np.testing.assert_array_equal(np.asarray(after), expected)
    assert shown.features()["index"] == [2, 7]
    assert shown.color_dict()[0] == shown.color_dict()[7] != shown.color_dict()[2]


def test_a_map_of_grey_values_is_an_image(tmp_path, labels):
    data, _, kind = open_one(write_labels(tmp_path / "a.zarr", labels, None))
    assert kind == "image"
    np.testing.assert_array_equal(np.asarray(data), labels)


@pytest.mark.parametrize("name", ["two.h5", "two.zarr"])
def test_each_of_several_volumes_becomes_a_layer(tmp_path, name):
    values = np.arange(5 * 6 * 8, dtype=np.uint8).reshape(5, 6, 8)
    if name == "two.h5":
        with pytest.importorskip("h5py").File(tmp_path / name, "w") as file:
            file["a/data"], file["b"], file["line"] = values, values + 1, values[0, 0]
    else:
        store = pytest.importorskip("zarr").open_group(tmp_path / name, mode="w")
        names = {"dimension_names": ("z", "y", "x")}
        store.create_array("a/data", data=values, **names)
        store.create_array("b", data=values + 1, **names)
    layers = {about["name"]: data for data, about, _ in read_layers(str(tmp_path / name))}
    assert layers.keys() == {"two /a/data", "two /b"}
    np.testing.assert_array_equal(np.asarray(layers["two /a/data"]), values)
    np.testing.assert_array_equal(np.asarray(layers["two /b"]), values + 1)


def test_what_cannot_be_opened_is_said(tmp_path, scan_file):
    assert get_reader(["a.tif", "b.tif"]) is None
    (tmp_path / "text.tif").write_text("no image")
    with pytest.raises(InputError, match=r"text\.tif"):
        open_one(tmp_path / "text.tif")
    with pytest.raises(InputError, match="does not exist"):
        open_one(tmp_path / "missing.tif")
    with pytest.raises(InputError, match="holds no finished labels of this program"):
        open_labels_layer(scan_file)
