"""Makes the pictures of the page about napari, by pressing the buttons of the real widget.

Needs a screen, such as a virtual one: ``xvfb-run -s "-screen 0 1600x1000x24" python
docs/napari_screenshots.py`` writes docs/images/napari_*.jpg.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton
from scipy.ndimage import distance_transform_edt

from sp_graph_seg.napari_plugin.qt.widget import SegmentWidget

IMAGES = Path(__file__).parent / "images"
SIZE = 1280, 900
SLICE = 20


def wait(until: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def pause(seconds: float = 0.5) -> None:
    wait(lambda: False, seconds)


def press(button: QPushButton) -> None:
    assert button.isEnabled(), button.text()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def save(viewer: napari.Viewer, name: str) -> None:
    pause()
    picture = viewer.screenshot(canvas_only=False, flash=False)
    file = IMAGES / f"napari_{name}.jpg"
    Image.fromarray(picture[..., :3]).save(file, quality=88, optimize=True)
    print(file, picture.shape, file.stat().st_size // 1000, "kB")


def place_of(viewer: napari.Viewer, layer: napari.layers.Labels, label: int) -> QPoint:
    """Returns the place on the canvas of the middle of a label."""
    inside = distance_transform_edt(np.asarray(layer.data)[0] == label)
    middle = layer.data_to_world((0, *np.unravel_index(inside.argmax(), inside.shape)))[1:]
    canvas = viewer.window._qt_viewer.canvas.native
    camera = viewer.scene.camera
    y, x = (middle - np.asarray(camera.center)[-2:]) * camera.zoom
    return QPoint(round(canvas.width() / 2 + x), round(canvas.height() / 2 + y))


def click(viewer: napari.Viewer, place: QPoint, modifier: Qt.KeyboardModifier) -> None:
    canvas = viewer.window._qt_viewer.canvas.native
    QTest.mouseMove(canvas, place)
    pause(0.2)
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, modifier, place)
    pause(0.2)


def main(folder: Path) -> None:
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(*SIZE)
    viewer.open_sample("sp_graph_seg", "phases")
    _, widget = viewer.window.add_plugin_dock_widget("sp_graph_seg", "Segment")
    assert isinstance(widget, SegmentWidget)
    widget.folder.setText(str(folder / "three phases"))
    widget.epochs.setValue(4)  # of 30, which take minutes
    pause()
    viewer.dims.set_current_step(0, SLICE)
    viewer.reset_view()

    press(widget.train)
    wait(lambda: len(widget.curve.losses) > 0.4 * widget.curve.total > 0)
    save(viewer, "train")
    wait(lambda: widget.work is None)

    layer = viewer.layers[f"labels of slice {SLICE}"]
    grain, rim = place_of(viewer, layer, 3), place_of(viewer, layer, 2)
    click(viewer, grain, Qt.KeyboardModifier.NoModifier)
    click(viewer, rim, Qt.KeyboardModifier.ShiftModifier)
    save(viewer, "pick")
    press(widget.merge)
    for row, name in enumerate(("pore", "matrix", "grain")):
        widget.legend.item(row, 2).setText(name)
    widget.legend.clearSelection()

    press(widget.label)
    wait(lambda: widget.work is None)
    viewer.dims.set_current_step(0, SLICE + 9)
    QTest.mouseMove(viewer.window._qt_viewer.canvas.native, grain)
    save(viewer, "label")
    viewer.close()


if __name__ == "__main__":
    place = Path(tempfile.gettempdir()) / "scans"  # a short name, because it is in the pictures
    place.mkdir()
    try:
        main(place)
    finally:
        shutil.rmtree(place)
