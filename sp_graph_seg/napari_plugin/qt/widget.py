"""The widget of the plugin. It connects the controls, the session and the viewer's layers."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QFileDialog

from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs import LabelOutput
from sp_graph_seg.napari_plugin.layers import LabelsShown
from sp_graph_seg.napari_plugin.qt.scene import Scene
from sp_graph_seg.napari_plugin.qt.work import Report
from sp_graph_seg.napari_plugin.qt.working import WorkingPanel
from sp_graph_seg.napari_plugin.session import Session, Settings, TrainingStep, write_merged

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: A click that moves further than this, in pixels of the screen, is a drag.
_STILL = 3


class SegmentWidget(WorkingPanel):
    """The widget that trains on slices of an image layer, labels its volume and edits the labels.

    Args:
        napari_viewer: The viewer to which the widget belongs.

    Attributes:
        session: The current model and its relabelling.
        scene: The object that reads and changes the layers of the viewer.
        shown: The labels that the legend lists. None if it lists none.
    """

    def __init__(self, napari_viewer: "Viewer") -> None:
        super().__init__()
        self.session, self.scene = Session(), Scene(napari_viewer)
        self.shown: LabelsShown | None = None
        self._connect(napari_viewer)
        self._list_images()
        self._look_at(self.scene.active_labels())

    def _connect(self, viewer: "Viewer") -> None:
        for button, do in (
            (self.train, self._train),
            (self.load, self._choose_model),
            (self.merge, self._merge),
            (self.undo, lambda: self._change("undo")),
            (self.preview, self._preview),
            (self.browse, self._choose_folder),
            (self.label, self._label),
            (self.save, self._save),
            (self.write_merged, self._write_merged),
            (self.cancel, self.stop_work),
        ):
            button.clicked.connect(self.guarded(partial(_without_argument, do)))
        self.image.currentTextChanged.connect(self._describe_image)
        self.legend.named.connect(lambda label, name: self._change("name", label, name))
        self.legend.colored.connect(lambda label, color: self._change("color", label, color))
        self.legend.itemSelectionChanged.connect(self.enable)
        layers = viewer.layers
        for event in (layers.events.inserted, layers.events.removed, layers.events.renamed):
            event.connect(lambda _: self._list_images())
        layers.selection.events.active.connect(
            lambda _: self._look_at(self.scene.active_labels() or self.shown)
        )
        viewer.mouse_drag_callbacks.append(self._clicked)

    # What is shown

    def _list_images(self) -> None:
        names, chosen = self.scene.images(), self.image.currentText()
        self.image.blockSignals(True)
        self.image.clear()
        self.image.addItems(names)
        self.image.setCurrentText(chosen if chosen in names else names[-1] if names else "")
        self.image.blockSignals(False)
        if self.image.currentText() != chosen:
            self._describe_image()
        self.enable()

    def _describe_image(self) -> None:
        """Shows size and voxel size of the chosen image, and proposes a folder."""
        try:
            scan = self.scene.scan(self.image.currentText())
        except InputError as error:
            self.about_image.setText(str(error) if self.image.count() else "")
            return
        self.about_image.setText(scan.describe())
        self.folder.setText(str(scan.folder))

    def _look_at(self, shown: LabelsShown | None) -> None:
        """Shows the legend of labels."""
        self.shown = shown
        self.legend.show_rows([] if shown is None else shown.editor.rows(shown.used))
        self.enable()

    def _show_slices(self, image: str, found: dict[int, LabelsShown]) -> None:
        self.scene.show_slices(image, found)
        if found:
            self._look_at(next(iter(found.values())))

    def enable(self) -> None:
        """Enables the buttons that can be used now, and disables all others."""
        is_free, has_model = self.work is None, self.session.segmenter is not None
        has_both, shown = has_model and self.image.count() > 0, self.shown
        for button, is_usable in (
            (self.train, self.image.count() > 0),
            (self.load, True),
            (self.preview, has_both),
            (self.label, has_both),
            (self.save, has_model),
            (self.merge, shown is not None and len(self.legend.selected_labels) > 1),
            (self.undo, shown is not None and shown.editor.can_undo),
            (self.write_merged, shown is not None and shown.volume is not None),
        ):
            button.setEnabled(is_free and is_usable)
        self.cancel.setEnabled(not is_free)

    # Names, colours and mergers

    def _clicked(self, viewer: "Viewer", event: Any) -> Iterator[None]:
        """Selects the label that is clicked in the picture; with Shift, adds it."""
        start = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        picked = self.scene.pick(event.position)
        if picked is None or np.abs(np.asarray(event.pos) - start).max() > _STILL:
            return
        if picked.shown is not self.shown:
            self._look_at(picked.shown)
        others = self.legend.selected_labels if "Shift" in event.modifiers else []
        self.legend.select_labels(list(dict.fromkeys([*others, picked.label])))
        self.enable()

    def _merge(self) -> None:
        if self.shown is not None:
            kept = self.shown.editor.merge(self.legend.selected_labels)
            self._refresh(self.shown)
            self.legend.select_labels([kept])
            self.say(f"Merged into {kept}. Undo takes it back.")

    def _change(self, what: str, *values: Any) -> None:
        """Changes the map of the labels in the legend: ``name``, ``color`` or ``undo``."""
        if self.shown is not None:
            try:
                getattr(self.shown.editor, what)(*values)
            except InputError as error:
                self.say(error)
            self._refresh(self.shown)

    def _refresh(self, shown: LabelsShown) -> None:
        self.scene.refresh(shown.editor)
        self._look_at(shown)

    # Work

    def _train(self) -> None:
        image = self.image.currentText()
        scan, numbers = self.scene.scan(image), self._chosen_slices(image)
        preset = self.preset.currentText()
        settings = Settings(preset, self.num_labels.value(), self.epochs.value())
        slices = ", ".join(map(str, numbers))
        self.curve.start()
        self.scene.remove_slices()

        def progress(step: TrainingStep) -> None:
            self.curve.add(step.row["loss"], step.total)
            self.advance(int(step.row["step"]), step.total)
            self._show_slices(image, step.shown)

        def done(found: dict[int, LabelsShown]) -> None:
            self._show_slices(image, found)
            self.say(f"Trained on slice {slices}. Merge and name labels, or label the volume.")

        self.start_work(
            f"Training on slice {slices} …",
            lambda report: self.session.train(scan, numbers, settings, report),
            progress,
            done,
            "Stopped. The earlier model, if there is one, is kept.",
        )

    def _chosen_slices(self, image: str) -> list[int]:
        text = self.slices.text()
        try:
            numbers = [int(number) for number in text.replace(",", " ").split()]
        except ValueError as error:
            raise InputError(
                f"train on {text}: is not a list of slice numbers; give numbers such as 0, 20."
            ) from error
        return list(dict.fromkeys(numbers)) or [self.scene.slice_in_view(image)]

    def _preview(self) -> None:
        image = self.image.currentText()
        scan, number = self.scene.scan(image), self.scene.slice_in_view(image)

        def done(found: dict[int, LabelsShown]) -> None:
            self._show_slices(image, found)
            self.say(f"Labelled slice {number}.")

        self.start_work(
            f"Labelling slice {number} …",
            lambda _: {number: self.session.preview(scan, number)},
            None,
            done,
        )

    def _label(self) -> None:
        scan, where = self.scene.scan(self.image.currentText()), self._where()
        overwrite = self.replace.isChecked()

        def done(output: LabelOutput) -> None:
            self.scene.open_result(output, self.session.editor)
            self.say(f"Written: {output}. Model, map, preview and report lie beside it.")

        self.start_work(
            "Labelling the volume …",
            lambda report: self.session.label(scan, *where, _pairs(report), overwrite),
            lambda counts: self.advance(*counts),
            done,
            "Stopped. The labelled slices are kept. “Label the volume” continues from there.",
        )

    def _write_merged(self) -> None:
        shown, where, overwrite = self.shown, self._where(), self.replace.isChecked()
        assert shown is not None, "the button is enabled"

        def done(output: LabelOutput) -> None:
            self.scene.open_result(output, note=" merged")
            self.say(f"Written: {output}, with the map beside it.")

        self.start_work(
            "Writing merged labels …",
            lambda report: write_merged(shown, *where, _pairs(report), overwrite),
            lambda counts: self.advance(*counts),
            done,
            "Stopped. The written slices are kept. “Write merged labels” continues from there.",
        )

    def _save(self) -> None:
        file = self.session.save(self._where()[0], self.replace.isChecked())
        self.say(f"Written: {file}, with the map beside it.")

    def _choose_model(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Model", "", "Models (*.safetensors)")
        if name:
            self.load_model(Path(name))

    def load_model(self, path: Path) -> None:
        """Reads a model from a file. If an image is open, labels the slice that is shown."""
        self.session.load(path)
        self.say(f"Loaded {path}.")
        self.enable()
        if self.image.count():
            self._preview()

    def _choose_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of the results", self.folder.text())
        if name:
            self.folder.setText(name)

    def _where(self) -> tuple[Path, str]:
        """Returns the folder of the results and the format of labels."""
        text = self.folder.text().strip()
        if not text:
            raise InputError("folder: no folder is given; type or choose a folder for the results.")
        return Path(text).expanduser().absolute(), self.format.currentText()


def _without_argument(do: Callable[[], None], _: Any) -> None:
    do()


def _pairs(report: Report) -> Callable[[int, int], None]:
    """Reports two numbers as one value."""
    return lambda done, total: report((done, total))
