"""The widget in a real viewer, on a screen or under a virtual one such as ``xvfb-run``."""

import os
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

napari = pytest.importorskip("napari")
if not (os.environ.get("DISPLAY") or sys.platform != "linux"):
    pytest.skip("there is no screen", allow_module_level=True)

from qtpy.QtGui import QColor  # noqa: E402
from qtpy.QtWidgets import QApplication, QColorDialog, QFileDialog  # noqa: E402

from sp_graph_seg.errors import InputError  # noqa: E402
from sp_graph_seg.labels.relabel import read_relabel  # noqa: E402
from sp_graph_seg.napari_plugin import session as session_module  # noqa: E402
from sp_graph_seg.napari_plugin.qt.widget import SegmentWidget  # noqa: E402
from sp_graph_seg.napari_plugin.reader import read_layers  # noqa: E402
from sp_graph_seg.volumes import open_volume  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of napari and its packages
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Inconsistent units"),
]


@pytest.fixture
def viewer():
    viewer = napari.Viewer(show=False)
    yield viewer
    viewer.close()


@pytest.fixture
def add(viewer):
    """Opens a file in the viewer by the plugin's reader."""

    def add(path):
        for data, about, kind in read_layers(str(path)):
            getattr(viewer, f"add_{kind}")(data, **about)
        return viewer.layers[-1]

    return add


@pytest.fixture
def widget(viewer, add, scan_file, tmp_path):
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget)
    add(scan_file)
    widget.num_labels.setValue(4)
    widget.epochs.setValue(1)
    widget.folder.setText(str(tmp_path / "out"))
    viewer.dims.set_point(0, 3 * 2.0)
    return widget


def wait(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        QApplication.processEvents()
        time.sleep(0.005)


def press(widget, button):
    """Presses a button and waits until the work ends."""
    assert button.isEnabled(), button.text()
    button.click()
    wait(lambda: widget.work is None)
    QApplication.processEvents()


def click(viewer, position, *modifiers):
    """Presses and releases the mouse at a position in the world."""
    event = SimpleNamespace(
        type="mouse_press", pos=(5, 5), position=position, modifiers=list(modifiers)
    )
    steps = viewer.mouse_drag_callbacks[-1](viewer, event)  # those before are napari's own
    next(steps)
    event.type = "mouse_release"
    assert list(steps) == []


def place_of(layer, label, number=0):
    """The position in the world of a pixel with a label in the slice of a number."""
    row, column = np.argwhere(np.asarray(layer.data[number]) == label)[0]
    return layer.data_to_world((number, row, column))


def is_red(widget):
    return "ff6b6b" in widget.status.styleSheet()


def test_without_an_image_nothing_can_be_trained(viewer):
    widget = SegmentWidget(viewer)
    assert not any(
        button.isEnabled()
        for button in (widget.train, widget.label, widget.save, widget.merge, widget.cancel)
    )
    assert widget.load.isEnabled()
    viewer.add_image(np.random.default_rng(0).random((4, 9, 9)), name="noise")
    assert widget.image.currentText() == "noise"
    assert widget.about_image.text() == "4 × 9 × 9"
    assert widget.train.isEnabled()
    viewer.layers.clear()
    assert not widget.train.isEnabled()
    assert widget.about_image.text() == ""


def test_a_training_shows_its_loss_and_its_labels(widget, viewer, scan_file):
    assert widget.about_image.text() == "6 × 48 × 40, voxel 2 × 1.5 × 1.5 µm"
    press(widget, widget.train)
    assert not is_red(widget)
    assert widget.status.text().startswith("Trained on slice 3.")
    assert widget.curve.losses == widget.session.segmenter.history_["loss"]
    layer = viewer.layers["labels of slice 3"]
    expected = widget.session.segmenter.predict(open_volume(scan_file)[3].astype(np.float32))
    np.testing.assert_array_equal(layer.data[0], expected)
    np.testing.assert_allclose(layer.data_to_world((0, 0, 0)), (6, 0, 0))
    colors = widget.session.segmenter.colors_
    for label in range(4):
        painted = (255 * layer.colormap.map(label)[:3]).round().astype(int).tolist()
        assert "#" + bytes(painted).hex() == colors[label]
        assert widget.legend.color_of(label).name() == colors[label]
    widget.grab()  # the curve is drawn


def test_labels_come_before_the_end_of_the_training(widget, viewer, monkeypatch):
    monkeypatch.setattr(session_module, "_BETWEEN_PREVIEWS", 0.0)
    monkeypatch.setattr(session_module, "_PARTS", 1)
    widget.epochs.setValue(50)
    widget.train.click()
    wait(lambda: "labels of slice 3" in viewer.layers)
    assert widget.work is not None
    assert not widget.train.isEnabled()
    widget.cancel.click()
    wait(lambda: widget.work is None)
    assert widget.status.text() == "Stopped. The earlier model, if there is one, is kept."
    assert 0 < len(widget.curve.losses) < widget.curve.total
    assert widget.session.segmenter is None
    assert widget.train.isEnabled()


def test_labels_are_merged_and_named_by_clicking(widget, viewer, monkeypatch):
    press(widget, widget.train)
    layer = viewer.layers["labels of slice 3"]
    before = np.asarray(layer.data).copy()
    click(viewer, place_of(layer, 3))
    assert widget.legend.selected_labels == [3]
    assert not widget.merge.isEnabled()
    click(viewer, place_of(layer, 2), "Shift")
    assert widget.legend.selected_labels == [3, 2]
    press(widget, widget.merge)
    np.testing.assert_array_equal(layer.data, np.where(before == 2, 3, before))
    assert widget.legend.rowCount() == 3
    assert widget.legend.selected_labels == [3]
    widget.legend.item(2, 2).setText("grain")
    assert widget.session.editor.to_relabel().names == {3: "grain"}
    assert "grain" in layer.get_status(place_of(layer, 3), world=True)["value"]
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor("#102030"))
    widget.legend.cellDoubleClicked.emit(2, 0)
    assert widget.session.editor.colors()[2] == "#102030"
    widget.legend.item(0, 2).setText("grain")
    assert is_red(widget)
    assert "same name" in widget.status.text()
    assert widget.legend.item(0, 2).text() == ""
    for _ in range(3):
        press(widget, widget.undo)
    assert not widget.undo.isEnabled()
    np.testing.assert_array_equal(layer.data, before)


def test_a_drag_and_a_click_beside_select_nothing(widget, viewer):
    press(widget, widget.train)
    layer = viewer.layers["labels of slice 3"]
    click(viewer, (6.0, -30.0, -30.0))
    assert widget.legend.selected_labels == []
    event = SimpleNamespace(
        type="mouse_press", pos=(5, 5), position=place_of(layer, 1), modifiers=[]
    )
    steps = widget._clicked(viewer, event)
    next(steps)
    event.type, event.pos = "mouse_move", (50, 5)
    next(steps)
    event.type = "mouse_release"
    assert list(steps) == []
    assert widget.legend.selected_labels == []


def test_a_job_is_cancelled_goes_on_and_is_merged(widget, viewer, add, tmp_path, monkeypatch):
    monkeypatch.setattr(session_module, "_BLOCK", 1)
    press(widget, widget.train)
    assert not widget.write_merged.isEnabled()
    widget.label.click()
    wait(lambda: widget.bar.maximum() == 6 and widget.bar.value() >= 1)
    widget.cancel.click()
    wait(lambda: widget.work is None)
    assert "labelled slices are kept" in widget.status.text()
    assert (tmp_path / "out/scan_labels.zarr.partial").is_dir()
    press(widget, widget.label)
    assert widget.status.text().startswith("Written:")
    layer = viewer.layers["scan_labels"]
    assert not viewer.layers["labels of slice 3"].visible
    np.testing.assert_allclose(layer.scale, (2, 1.5, 1.5))
    labels = np.asarray(layer.data)
    assert labels.shape == (6, 48, 40)
    alike = labels[3] == viewer.layers["labels of slice 3"].data[0]
    assert 0.9 < np.mean(alike) < 1  # the slices beside it count too (join_slices)
    click(viewer, place_of(layer, 0, 3))
    click(viewer, place_of(layer, 1, 3), "Shift")
    press(widget, widget.merge)
    widget.legend.item(0, 2).setText("rest")
    press(widget, widget.write_merged)
    merged = viewer.layers["scan_labels merged"]
    np.testing.assert_array_equal(np.asarray(merged.data), np.where(labels == 1, 0, labels))
    assert read_relabel(tmp_path / "out/merged/map.yaml").names == {0: "rest"}
    reopened = add(tmp_path / "out/merged/scan_labels.zarr")
    assert list(reopened.features["name"]) == ["rest", "", ""]
    np.testing.assert_array_equal(np.asarray(reopened.data), np.asarray(merged.data))


def test_a_model_is_saved_and_loaded(widget, viewer, tmp_path, monkeypatch):
    press(widget, widget.train)
    widget.legend.item(0, 2).setText("pore")
    press(widget, widget.save)
    file = tmp_path / "out/model.safetensors"
    assert file.exists()
    other = SegmentWidget(viewer)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))
    viewer.dims.set_point(0, 5 * 2.0)
    press(other, other.load)
    assert "labels of slice 5" in viewer.layers
    assert other.legend.item(0, 2).text() == "pore"
    viewer.dims.set_point(0, 0)
    press(other, other.preview)
    assert "labels of slice 0" in viewer.layers
    press(widget, widget.train)
    press(widget, widget.save)
    assert is_red(widget)  # for it was trained on another slice
    viewer.dims.set_point(0, 3 * 2.0)
    press(widget, widget.train)
    press(widget, widget.save)
    assert not is_red(widget)


def test_what_is_wrong_is_said_in_the_words_of_the_widget(widget, tmp_path):
    widget.slices.setText("1, nine")
    press(widget, widget.train)
    assert is_red(widget)
    assert widget.status.text().startswith("train on 1, nine: is not a list of slice numbers")
    widget.slices.setText("1, 60")
    press(widget, widget.train)
    assert widget.status.text() == "slice 60: does not exist; give numbers from 0 to 5."
    widget.slices.setText("1, 4")
    press(widget, widget.train)
    assert not is_red(widget)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/scan_labels.zarr").mkdir()
    (tmp_path / "out/scan_labels.zarr/note.txt").write_text("mine")
    press(widget, widget.label)
    assert is_red(widget)
    assert "--" not in widget.status.text()
    widget.folder.setText(" ")
    press(widget, widget.save)
    wanted = "folder: no folder is given; type or choose a folder for the results."
    assert widget.status.text() == wanted


def test_an_image_that_is_gone_is_named(widget):
    with pytest.raises(InputError, match=r"^image: the layer 'gone' no longer exists; choose"):
        widget.scene.slice_in_view("gone")
    with pytest.raises(InputError, match=r"^image: no image is open; open one"):
        widget.scene.slice_in_view("")


def test_a_single_image_is_trained_on(widget, viewer, tmp_path):
    rng = np.random.default_rng(0)
    photo = np.kron(rng.integers(0, 255, (4, 4, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    viewer.add_image(photo, name="photo", rgb=True)
    widget.image.setCurrentText("photo")
    widget.folder.setText(str(tmp_path / "photo"))
    press(widget, widget.train)
    assert not is_red(widget)
    layer = viewer.layers["labels of slice 0"]
    assert layer.data.shape == (64, 64)
    click(viewer, (20.0, 20.0))
    assert widget.legend.selected_labels == [int(layer.data[20, 20])]
    press(widget, widget.label)
    assert not is_red(widget), widget.status.text()
    np.testing.assert_array_equal(np.asarray(viewer.layers["photo_labels"].data)[0], layer.data)


def test_labels_of_a_slice_lie_over_their_own_image(widget, viewer):
    press(widget, widget.train)
    noise = np.random.default_rng(0).random((6, 20, 30))
    image = viewer.add_image(noise, name="noise", scale=(2, 3, 3), translate=(0, 40, 0))
    viewer.dims.set_point(0, 3 * 2.0)
    widget.image.setCurrentText("noise")
    press(widget, widget.preview)
    layer = viewer.layers["labels of slice 3"]
    assert layer.data.shape == (1, 20, 30)
    np.testing.assert_allclose(layer.scale, image.scale)
    np.testing.assert_allclose(layer.translate, (6, 40, 0))
