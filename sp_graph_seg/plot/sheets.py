"""Draws contact sheets, which show many segmentations in one figure."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.colors import label_colors
from sp_graph_seg.plot.layout import (
    GAP,
    LINE,
    Box,
    Picture,
    add_frame,
    add_picture,
    add_text,
    aspect,
    new_sheet,
    show_image,
    show_labels,
    wrap,
)
from sp_graph_seg.plot.legend import LegendRow, add_legend_lines, break_legend
from sp_graph_seg.transforms import as_array
from sp_graph_seg.transforms.prepare import Image, as_image_list, match_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Width of a sheet, and height of a screen of that width, in inches.
_WIDTH = 10.0
_SCREEN_HEIGHT = 6.5

_MARK_COLOR = "#0a7d28"
_MARK = "recommended"


class _Cell(NamedTuple):
    """A caption with pictures side by side below it."""

    pictures: list[Picture]
    caption: str
    is_marked: bool = False


def contact_sheet(
    images: Image | Sequence[Image],
    candidates: Sequence[Image | Sequence[Image]],
    captions: Sequence[str],
    recommended: int | None = None,
    alpha: float = 0.5,
    intensity_range: tuple[float, float] | None = None,
    legend: Sequence[LegendRow] | None = None,
) -> "Figure":
    """Shows the segmentations of several candidates, such as models with different settings.

    The first cell shows the images. Each further cell shows the caption of a candidate and, below,
    its labels over all images side by side. The figure is most readable with seven to fifteen
    candidates and one to three images.

    Args:
        images: One image ``(C, H, W)`` or a sequence of images of any sizes.
        candidates: For each candidate, the labels ``(H, W)`` of the image, or a sequence with the
            labels of each image.
        captions: Up to three short lines for each candidate, such as its settings, the number of
            labels and a score. The first line is bold. Long lines are broken.
        recommended: Index of the candidate to mark with a frame. (default: :obj:`None`)
        alpha: Weight of the colours of labels against the image, from 0 to 1. (default: :obj:`0.5`)
        intensity_range: The values that are shown darkest and brightest. (default: for each
            picture, the range of its labelled pixels)
        legend: The rows of the legend, which is drawn below the pictures. A share or grey value
            that is NaN is not written. (default: the number and colour of each label that any
            candidate uses)

    Raises:
        InputError: If ``candidates`` is empty, there is not one caption for each candidate,
            ``recommended`` is not an index of a candidate, or labels do not fit their image.
    """
    arrays = as_image_list(images)
    if not candidates:
        raise InputError("candidates: the list is empty; give labels of at least one candidate.")
    if len(candidates) != len(captions):
        raise InputError(
            f"captions: {len(captions)} are given for {len(candidates)} candidates; give one "
            "caption for each candidate."
        )
    if recommended is not None and not 0 <= recommended < len(candidates):
        raise InputError(
            f"recommended={recommended} is not the index of a candidate; use 0 to "
            f"{len(candidates) - 1}."
        )
    cells = [
        _Cell([show_image(array) for array in arrays], "image" if len(arrays) == 1 else "images")
    ]
    colors = None if legend is None else {row.label: row.color for row in legend}
    for number, (labels, caption) in enumerate(zip(candidates, captions, strict=True)):
        name = f"candidates[{number}]"
        pictures = show_labels(arrays, labels, alpha, name, intensity_range, colors)
        cells.append(_Cell(pictures, caption, number == recommended))
    maps = [found for labels in candidates for found in match_images(labels, arrays, "candidates")]
    return _draw_cells(cells, _numbers(maps) if legend is None else legend)


def contact_sheet_of_frames(
    frames: Sequence[Image],
    labels: Sequence[Image],
    numbers: Sequence[int] | None = None,
    alpha: float = 0.5,
) -> "Figure":
    """Shows selected frames of a video, or slices of a volume, with their labels and numbers.

    Args:
        frames: Images ``(C, H, W)``.
        labels: The labels of each frame, ``(H, W)``.
        numbers: The number that is written above each frame. (default: 0, 1, 2, ...)
        alpha: Weight of the colours of labels against the image, from 0 to 1. (default: :obj:`0.5`)

    Raises:
        InputError: If ``frames`` is empty, or labels or numbers do not fit the frames.
    """
    arrays = as_image_list(frames)
    numbers = range(len(arrays)) if numbers is None else numbers
    if len(numbers) != len(arrays):
        raise InputError(
            f"numbers: {len(numbers)} are given for {len(arrays)} frames; give one number for each "
            "frame."
        )
    pictures = show_labels(arrays, labels, alpha, "labels")
    cells = [_Cell([p], str(number)) for p, number in zip(pictures, numbers, strict=True)]
    return _draw_cells(cells, _numbers(match_images(labels, arrays, "labels")))


def _numbers(maps: Sequence[Image | None]) -> list[LegendRow]:
    """Returns the rows of a legend with the number and colour of each label in label maps."""
    arrays = [as_array(values) for values in maps if values is not None]
    found = {int(label) for values in arrays for label in np.unique(values)}
    labels = sorted(label for label in found if label >= 0)
    colors = label_colors(range(max(labels, default=0) + 1))
    return [LegendRow(label, colors[label], "", math.nan, math.nan) for label in labels]


def _draw_cells(cells: Sequence[_Cell], legend: Sequence[LegendRow]) -> "Figure":
    """Arranges cells in rows such that the pictures are as large as possible on a screen."""
    plan = max((_Plan(cells, columns) for columns in range(1, len(cells) + 1)), key=_size_on_screen)
    lines = break_legend(legend, _WIDTH - 2 * GAP)
    figure = new_sheet(_WIDTH, plan.height + (1.5 * LINE * len(lines) + GAP if lines else 0))
    for number, cell in enumerate(cells):
        row, column = divmod(number, plan.columns)
        box = Box(
            GAP + column * (plan.cell_width + 2 * GAP),
            GAP + row * (plan.cell_height + 2 * GAP),
            plan.cell_width,
            plan.cell_height,
        )
        _draw_cell(figure, cell, box, plan)
    add_legend_lines(figure, lines, GAP, plan.height + GAP / 2)
    return figure


class _Plan:
    """The sizes, in inches, of everything on a sheet with a given number of columns."""

    def __init__(self, cells: Sequence[_Cell], columns: int) -> None:
        self.columns = columns
        self.cell_width = _WIDTH / columns - 2 * GAP
        lines = max(len(_wrap_caption(cell.caption, self.cell_width)) for cell in cells)
        self.caption_height = lines * LINE + GAP / 2
        # All cells hold the same number of pictures. The widest cell determines the height.
        widths = [sum(aspect(picture) for picture in cell.pictures) for cell in cells]
        free = self.cell_width - GAP * (len(cells[0].pictures) - 1)
        self.picture_height = min(free / max(widths), _SCREEN_HEIGHT)
        self.cell_height = self.caption_height + self.picture_height
        self.height = math.ceil(len(cells) / columns) * (self.cell_height + 2 * GAP)


def _size_on_screen(plan: _Plan) -> float:
    return plan.picture_height * min(1.0, _SCREEN_HEIGHT / plan.height)


def _wrap_caption(caption: str, width: float) -> list[tuple[str, str]]:
    """Breaks a caption into lines that fit the width. Returns each line with its font weight.

    The first line of the caption is bold, even where it is broken.
    """
    first, _, others = caption.partition("\n")
    bold = [(line, "bold") for line in wrap(first, width, "bold")]
    return bold + [(line, "normal") for line in wrap(others, width)]


def _draw_cell(figure: "Figure", cell: _Cell, box: Box, plan: _Plan) -> None:
    left, top = box.left, box.top + plan.caption_height
    caption = _wrap_caption(cell.caption, box.width)
    for number, (line, weight) in enumerate(caption):
        color = _MARK_COLOR if cell.is_marked and weight == "bold" else "black"
        above = (len(caption) - number) * LINE + GAP / 2
        add_text(figure, line, left, top - above, weight=weight, color=color)
    for picture in cell.pictures:
        width = plan.picture_height * aspect(picture)
        add_picture(figure, picture, Box(left, top, width, plan.picture_height))
        left += width + GAP
    if cell.is_marked:
        add_frame(figure, box, _MARK_COLOR)
        badge = {"facecolor": _MARK_COLOR, "edgecolor": "none", "pad": 2.0}
        add_text(figure, _MARK, box.left + 0.04, top + 0.04, color="white", bbox=badge)
