"""The table of labels, with the colour, number, name and merged labels in each row."""

from collections.abc import Sequence

from qtpy.QtCore import QItemSelectionModel, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QColorDialog, QHeaderView, QTableWidget
from qtpy.QtWidgets import QTableWidgetItem as Item

from sp_graph_seg.napari_plugin.relabel_editor import LabelRow

_COLOR, _LABEL, _NAME, _MERGED = range(4)
_TITLES = ("", "label", "name", "merged")


class Legend(QTableWidget):
    """A table of labels in which the user can change names and colours.

    The signal ``named`` is emitted with a label and its new name. The signal ``colored`` is emitted
    with a label and its new colour.
    """

    named = Signal(int, str)
    colored = Signal(int, str)

    def __init__(self) -> None:
        super().__init__(0, len(_TITLES))
        self.setHorizontalHeaderLabels(_TITLES)
        self.verticalHeader().hide()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        self.setColumnWidth(_COLOR, 24)
        self.setMinimumHeight(150)
        self.cellChanged.connect(self._changed)
        self.cellDoubleClicked.connect(self._double_clicked)
        self._selected: list[int] = []

    def show_rows(self, rows: Sequence[LabelRow]) -> None:
        """Replaces all rows of the table. Labels that are in the new rows too stay selected."""
        kept = [label for label in self._selected if label in {row.label for row in rows}]
        self.blockSignals(True)
        self.setRowCount(len(rows))
        for number, row in enumerate(rows):
            self.setItem(number, _COLOR, _swatch(row.color))
            self.setItem(number, _LABEL, _fixed(str(row.label)))
            self.setItem(number, _NAME, Item(row.name))
            self.setItem(number, _MERGED, _fixed(", ".join(map(str, row.merged))))
        self.blockSignals(False)
        self.select_labels(kept)

    @property
    def selected_labels(self) -> list[int]:
        """The selected labels, in the order in which the user selected them."""
        now = [self._label(index.row()) for index in self.selectionModel().selectedRows()]
        self._selected = [label for label in self._selected if label in now]
        self._selected += [label for label in now if label not in self._selected]
        return list(self._selected)

    def select_labels(self, labels: Sequence[int]) -> None:
        """Selects the given labels, and deselects all others."""
        self.clearSelection()
        rows = {self._label(row): row for row in range(self.rowCount())}
        flags = QItemSelectionModel.SelectionFlag
        for label in labels:
            if label in rows:
                index = self.model().index(rows[label], _LABEL)
                self.selectionModel().select(index, flags.Select | flags.Rows)
                self.scrollTo(index)
        self._selected = [label for label in labels if label in rows]

    def color_of(self, row: int) -> QColor:
        """Returns the colour of the label in a table row."""
        return self.item(row, _COLOR).data(Qt.ItemDataRole.DecorationRole)

    def _label(self, row: int) -> int:
        return int(self.item(row, _LABEL).text())

    def _changed(self, row: int, column: int) -> None:
        if column == _NAME:
            self.named.emit(self._label(row), self.item(row, _NAME).text())

    def _double_clicked(self, row: int, column: int) -> None:
        if column == _COLOR:
            chosen = QColorDialog.getColor(self.color_of(row), self)
            if chosen.isValid():
                self.colored.emit(self._label(row), chosen.name())


def _fixed(text: str) -> Item:
    """Makes a cell that cannot be edited."""
    item = Item(text)
    item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
    return item


def _swatch(color: str) -> Item:
    """Makes a cell with a square of a colour. The square is visible in a selected row too."""
    item = _fixed("")
    item.setData(Qt.ItemDataRole.DecorationRole, QColor(color))
    item.setToolTip("Double-click to choose another colour")
    return item
