"""Draws one picture of a labelled volume, with training slices, cuts and a legend."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.plot.layout import FONT_SIZE, Box, add_text, new_sheet, wrap
from sp_graph_seg.plot.legend import add_legend, legend_height
from sp_graph_seg.plot.overlay import overlay_labels
from sp_graph_seg.plot.scale import scale_bar
from sp_graph_seg.report.sample import Panel, Sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Width of the sheet and of its legend, height of a row of pictures at most, and spaces, in inches.
_WIDTH, _LEGEND, _HIGHEST = 10.0, 2.1, 3.6
_GAP, _TITLE = 0.12, 0.2

#: Most training slices that are shown, and labels in the legend.
_TRAINING, _ROWS = 4, 24

#: A cut whose sides have a ratio below this is left out: of a few slices it would be a line.
_THINNEST = 0.1

_ALPHA = 0.3

#: Size of the title in points.
_HEADING = 10

#: Pixels of the longer side of a picture on which outlines are fine.
_FINE = 512


class _Place(NamedTuple):
    panel: Panel
    box: Box


def draw_preview(title: str, sample: Sample) -> "Figure":
    """Draws the slices that were trained on, the middle slice, the cuts and the legend.

    The cuts are two pictures that are perpendicular to the slices. Cuts of very few slices are left
    out.

    All pictures in a row have the same physical scale. Each picture has a scale bar.

    Args:
        title: Name of the input.
        sample: The result of :func:`~sp_graph_seg.report.sample.sample_volume`.
    """
    cuts = [cut for cut in sample.cuts if min(cut.extent) >= _THINNEST * max(cut.extent)]
    rows = [[p for p in sample.panels if p.note][:_TRAINING], [*_middle(sample), *cuts]]
    legend = sorted(sorted(sample.legend, key=lambda row: -row.share)[:_ROWS])
    top = _GAP + _TITLE + _GAP
    places, bottom = [], top
    for row in rows:
        if row:
            own, bottom = _arrange(row, bottom)
            places += own
    figure = new_sheet(_WIDTH, max(bottom, top + legend_height(legend) + _GAP))
    heading = wrap(title, (_WIDTH - 2 * _GAP) * FONT_SIZE / _HEADING, "bold")
    add_text(figure, heading[0], _GAP, _GAP, fontsize=_HEADING, weight="bold")
    colors = {row.label: row.color for row in sample.legend}
    for place in places:
        _draw(figure, place, sample, colors)
    add_legend(figure, legend, len(sample.legend), _WIDTH - _LEGEND, top)
    return figure


def _middle(sample: Sample) -> Iterator[Panel]:
    """Yields the slice in the middle of the volume, unless it was trained on and shown above."""
    panels = [panel for panel in sample.panels if panel.position is not None]
    if panels:
        middle = min(panels, key=lambda panel: abs((panel.position or 0) - 0.5))
        if not middle.note:
            yield middle


def _arrange(panels: Sequence[Panel], top: float) -> tuple[list[_Place], float]:
    """Places pictures beside each other at one scale. Also returns where the next row begins."""
    free = _WIDTH - _LEGEND - _GAP * (len(panels) + 2)
    scale = min(
        free / sum(panel.extent[1] for panel in panels),
        _HIGHEST / max(panel.extent[0] for panel in panels),
    )
    left, places = _GAP, []
    for panel in panels:
        height, width = (scale * length for length in panel.extent)
        places.append(_Place(panel, Box(left, top + _TITLE, width, height)))
        left += width + _GAP
    return places, top + _TITLE + max(place.box.height for place in places) + 2 * _GAP


def _draw(figure: "Figure", place: _Place, sample: Sample, colors: dict[int, str]) -> None:
    panel, box = place
    add_text(figure, panel.heading, box.left, box.top - 0.15)
    sheet_width, sheet_height = figure.get_size_inches()
    axes = figure.add_axes(
        (
            box.left / sheet_width,
            1 - (box.top + box.height) / sheet_height,
            box.width / sheet_width,
            box.height / sheet_height,
        ),
        xticks=[],
        yticks=[],
        frame_on=False,
    )
    height, width = panel.extent
    axes.imshow(
        _overlay(panel, sample, colors),
        aspect="auto",
        interpolation="nearest",
        extent=(0, width, height, 0),
    )
    length, text = scale_bar(width, sample.unit)
    left, bottom = 0.03 * width, height * (1 - 0.1 / box.height)
    for color, thickness in (("black", 3.6), ("white", 2.0)):
        axes.plot([left, left + length], [bottom, bottom], color=color, linewidth=thickness)
    axes.set(xlim=(0, width), ylim=(height, 0))
    _outlined(figure, text, box)


def _outlined(figure: "Figure", text: str, box: Box) -> None:
    from matplotlib.patheffects import withStroke

    stroke = [withStroke(linewidth=1.6, foreground="black")]
    left, bottom = box.left + 0.03 * box.width, box.top + box.height - 0.14
    style = {"color": "white", "va": "bottom", "path_effects": stroke}
    add_text(figure, text, left, bottom, **style)


def _overlay(panel: Panel, sample: Sample, colors: dict[int, str]) -> NDArray[np.uint8]:
    """Draws a picture with its labels. If there is no picture, draws only the labels."""
    if panel.image is None:
        blank = np.ones((1, *panel.labels.shape), np.float32)
        return overlay_labels(blank, panel.labels, 1.0, (0, 1), colors)
    # A small picture is enlarged, so that outlines are thinner than its pixels.
    factor = max(1, _FINE // max(panel.labels.shape))
    image = np.nan_to_num(panel.image).repeat(factor, axis=1).repeat(factor, axis=2)
    labels = panel.labels.repeat(factor, axis=0).repeat(factor, axis=1)
    return overlay_labels(image, labels, _ALPHA, sample.intensity_range, colors)
