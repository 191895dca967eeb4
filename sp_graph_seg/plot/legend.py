"""The legend of labels, which shows the colour, name, share and mean grey of each label."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.io.colors import label_colors
from sp_graph_seg.labels.greys import GreyCounter
from sp_graph_seg.plot.layout import LINE, Box, add_box, add_text, measure_text, wrap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Where the columns of a legend begin, and the height of its rows, in inches.
_NUMBER, _NAME, _SHARE, _GREY = 0.24, 0.46, 1.42, 1.98
_ROW = 1.5 * LINE


class LegendRow(NamedTuple):
    """The row of a legend for one label."""

    label: int
    color: str
    """The colour, as ``"#rrggbb"``."""
    name: str
    """The name; empty if there is none."""
    share: float
    """The share of all labelled pixels, from 0 to 1."""
    grey: float
    """The mean of the pixels over all channels, in the units of the input; NaN if unknown."""

    @property
    def title(self) -> str:
        """The number of the label, followed by its name if it has one."""
        return f"{self.label} {self.name}".rstrip()


class LegendCounter:
    """Counts the pixels of each label and averages their grey values, image by image.

    Example:
        >>> import numpy as np
        >>> counter = LegendCounter()
        >>> counter.add(np.array([[0, 2, 2, -1]]), np.array([[[5.0, 7.0, 9.0, 0.0]]]))
        >>> [(row.label, round(row.share, 2), row.grey) for row in counter.rows()]
        [(0, 0.33, 5.0), (2, 0.67, 8.0)]
    """

    def __init__(self) -> None:
        self._pixels: NDArray[np.int64] = np.zeros(0, np.int64)
        self._greys = GreyCounter()

    def add(self, labels: NDArray, image: NDArray | None = None) -> None:
        """Adds the labels of an image.

        Args:
            labels: ``(H, W)`` integers, negative for pixels without a label.
            image: The image, ``(C, H, W)``, if it is known. Pixels with NaN do not count in the
                mean grey value.
        """
        found = labels[labels >= 0].astype(np.int64)
        self._pixels = _added(self._pixels, np.bincount(found))
        if image is not None:
            self._greys.add(labels, image)

    def rows(
        self, names: Mapping[int, str] | None = None, colors: Mapping[int, str] | None = None
    ) -> list[LegendRow]:
        """Returns a row for each label that occurs, in ascending order.

        Args:
            names: Names of labels.
            colors: Colours of some labels, such as those of the model. The other labels get
                colours far from these.
        """
        total = max(int(self._pixels.sum()), 1)
        labels = np.flatnonzero(self._pixels).tolist()
        chosen = label_colors(range(max(labels, default=0) + 1), colors)
        greys = self._greys.greys()
        return [
            LegendRow(
                label,
                chosen[label],
                (names or {}).get(label, ""),
                int(self._pixels[label]) / total,
                greys[label].mean if label in greys else float("nan"),
            )
            for label in labels
        ]


def legend_height(rows: Sequence[LegendRow]) -> float:
    """Returns the height that :func:`add_legend` needs, in inches."""
    return (len(rows) + 3) * _ROW


def add_legend(
    figure: "Figure", rows: Sequence[LegendRow], total: int, left: float, top: float
) -> None:
    """Writes a legend on a sheet: colour, number, name, share and mean grey of each label.

    Args:
        figure: The sheet.
        rows: The rows to write, one for each listed label.
        total: Number of all labels, including those that are not listed.
        left: Left end of the legend, in inches. The legend is 2 inches wide.
        top: Upper end of the legend, in inches.
    """
    has_grey = any(not np.isnan(row.grey) for row in rows)
    titles = {_SHARE: "share", **({_GREY: "mean grey"} if has_grey else {})}
    for place, title in titles.items():
        add_text(figure, title, left + place, top, ha="right", color="0.35")
    add_text(figure, "label", left, top, color="0.35")
    for number, row in enumerate(rows, start=1):
        line = top + number * _ROW
        add_box(figure, Box(left, line, 0.17, LINE), row.color)
        add_text(figure, str(row.label), left + _NUMBER, line)
        name = wrap(row.name, _SHARE - _NAME - 0.4) if row.name else []
        if name:
            add_text(figure, name[0] + ("…" if name[1:] else ""), left + _NAME, line)
        add_text(figure, format_share(row.share), left + _SHARE, line, ha="right")
        if has_grey:
            add_text(figure, format_grey(row.grey), left + _GREY, line, ha="right")
    if total > len(rows):
        more = f"and {total - len(rows)} smaller ones"
        add_text(figure, more, left, top + (len(rows) + 1) * _ROW, color="0.35")


def break_legend(rows: Sequence[LegendRow], width: float) -> list[list[tuple[float, LegendRow]]]:
    """Breaks a legend into lines of entries side by side.

    Args:
        rows: The rows of the legend.
        width: Width of a line, in inches.

    Returns:
        The entries of each line. An entry is a pair: its distance from the left end of the line, in
        inches, and the row of the legend.
    """
    lines: list[list[tuple[float, LegendRow]]] = []
    place = width
    for row in rows:
        needed = _NUMBER + measure_text(_entry(row)) + 2 * LINE
        if not lines or place + needed > width:
            lines.append([])
            place = 0.0
        lines[-1].append((place, row))
        place += needed
    return lines


def add_legend_lines(
    figure: "Figure", lines: Sequence[Sequence[tuple[float, LegendRow]]], left: float, top: float
) -> None:
    """Writes the lines of :func:`break_legend` on a sheet.

    The legend begins at a distance of ``left`` and ``top`` from the upper left corner of the sheet,
    in inches.
    """
    for number, line in enumerate(lines):
        height = top + number * _ROW
        for place, row in line:
            add_box(figure, Box(left + place, height, 0.17, LINE), row.color)
            add_text(figure, _entry(row), left + place + _NUMBER, height)


def _entry(row: LegendRow) -> str:
    """Formats a row as one text: number and name, and share and mean grey if they are known."""
    share = "" if np.isnan(row.share) else format_share(row.share)
    grey = "" if np.isnan(row.grey) else f"grey {format_grey(row.grey)}"
    return ", ".join(filter(None, (row.title, share, grey)))


def format_grey(grey: float) -> str:
    """Formats a grey value with four digits. An unknown value becomes a dash."""
    return "–" if np.isnan(grey) else f"{grey:.4g}" if abs(grey) < 1e4 else f"{grey:.0f}"


def format_share(share: float) -> str:
    """Formats a share as ``12.3 %``. A share that would round to zero becomes ``< 0.1 %``."""
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def has_names(rows: Iterable[LegendRow]) -> bool:
    """Returns whether any label has a name."""
    return any(row.name for row in rows)


def _added(old: NDArray, new: NDArray) -> NDArray:
    """Adds two arrays. The shorter array is extended with zeros."""
    total = np.zeros(max(len(old), len(new)), np.result_type(old, new))
    total[: len(old)] += old
    total[: len(new)] += new
    return total
