"""The buttons and fields of the widget. The functions that they call are in other modules."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from sp_graph_seg.napari_plugin.qt.curve import LossCurve
from sp_graph_seg.napari_plugin.qt.legend import Legend
from sp_graph_seg.presets import PRESETS

#: The formats of labels; the first is the one that napari opens fastest.
FORMATS = ("zarr", "tif", "ome.tif", "h5", "nxs", "nrrd", "vti", "npy")

#: The least width of the controls, in pixels, at which no text is cut off.
_WIDTH = 360


class Panel(QWidget):
    """The controls in four groups from top to bottom: training, labels, results and progress."""

    def __init__(self) -> None:
        super().__init__()
        self.image = QComboBox()
        self.about_image = QLabel()
        self.slices = _line("the slice in view", "Slices to train on, such as 0, 20")
        self.preset = QComboBox()
        self.preset.addItems(["auto", *PRESETS])
        self.preset.setToolTip("auto: the preset that suits the data")
        self.num_labels = _number("found in the data", "Number of labels")
        self.epochs = _number("of the preset", "Passes over the training slices")
        self.train = _button("Train", "Train on the slices, without any labels")
        self.load = _button("Load model…", "Read a model with its names and mergers")
        self.curve = LossCurve()
        self.legend = Legend()
        self.merge = _button("Merge", "Merge the selected labels into the first one selected")
        self.undo = _button("Undo", "Take back the last merger, name or colour")
        self.preview = _button("Label this slice", "Label the slice in view with the model")
        self.folder = _line("folder of the results", "Everything is written into this folder")
        self.browse = _button("…", "Choose the folder")
        self.browse.setMaximumWidth(30)
        self.format = QComboBox()
        self.format.addItems(FORMATS)
        self.replace = QCheckBox("replace existing results")
        self.label = _button("Label the volume", "Label all slices; continues an interrupted job")
        self.save = _button("Save model and map", "Write model.safetensors and map.yaml")
        self.write_merged = _button("Write merged labels", "Apply the mergers to the shown labels")
        self.bar = QProgressBar()
        self.bar.setValue(0)
        self.cancel = _button("Cancel", "Stop; a job goes on later from where it stopped")
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setMinimumHeight(48)  # three lines, so that the panel keeps its size
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._arrange()

    def _arrange(self) -> None:
        settings = QFormLayout()
        settings.addRow("image", self.image)
        settings.addRow("", self.about_image)
        settings.addRow("train on", self.slices)
        settings.addRow("preset", self.preset)
        settings.addRow("labels", self.num_labels)
        settings.addRow("epochs", self.epochs)
        self.about_image.setWordWrap(True)
        training = _group(
            "Train", settings, _row(self.train, self.load), self.curve, _row(self.preview)
        )
        hint = QLabel("Click a label in the picture to select it, and others with Shift.")
        hint.setWordWrap(True)
        labels = _group("Merge and name", hint, self.legend, _row(self.merge, self.undo))
        where = QFormLayout()
        where.addRow("folder", _row(self.folder, self.browse))
        where.addRow("format", self.format)
        where.addRow("", self.replace)
        results = _group("Results", where, _row(self.label, self.save), _row(self.write_merged))
        inside = QWidget()
        groups = QVBoxLayout(inside)
        groups.setContentsMargins(0, 0, 0, 0)
        for group in (training, labels, results):
            groups.addWidget(group)
        groups.addStretch()
        area = QScrollArea()
        area.setWidget(inside)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setMinimumWidth(_WIDTH)
        whole = QVBoxLayout(self)
        whole.addWidget(area)
        whole.addLayout(_row(self.bar, self.cancel))
        whole.addWidget(self.status)


def _line(placeholder: str, tip: str) -> QLineEdit:
    line = QLineEdit()
    line.setPlaceholderText(placeholder)
    line.setToolTip(tip)
    return line


def _number(zero: str, tip: str) -> QSpinBox:
    """Makes a field for a number from 0 that shows a text for 0."""
    field = QSpinBox()
    field.setRange(0, 999)
    field.setSpecialValueText(zero)
    field.setToolTip(tip)
    return field


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget)
    return row


def _group(title: str, *parts: QWidget | QLayout) -> QGroupBox:
    group = QGroupBox(title)
    inside = QVBoxLayout(group)
    for part in parts:
        if isinstance(part, QWidget):
            inside.addWidget(part)
        else:
            inside.addLayout(part)
    return group
