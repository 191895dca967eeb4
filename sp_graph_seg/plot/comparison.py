"""Draws segmentations by several methods side by side, as in Fig. 6 of the paper."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot.layout import (
    GAP,
    LINE,
    Box,
    add_picture,
    add_text,
    aspect,
    new_sheet,
    show_image,
    show_labels,
    wrap,
)
from sp_graph_seg.transforms.prepare import Image, as_image_list

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Width of a sheet, and maximum width of a column, in inches.
_WIDTH = 10.0
_MAX_COLUMN = 2.5


def comparison_grid(
    images: Image | Sequence[Image],
    segmentations: Mapping[str, Image | Sequence[Image]],
    alpha: float = 0.5,
) -> "Figure":
    """Shows segmentations of several images by several methods, as in Fig. 6 of the paper.

    Each row is an image. The first column shows the images themselves. Each further column shows
    the labels of one method over the images, below the name of the method. A label has the same
    colour everywhere, but each method numbers its labels differently. Thus compare shapes, not
    colours.

    Args:
        images: One image ``(C, H, W)`` or a sequence of images of any sizes.
        segmentations: For each column, its title and the labels ``(H, W)`` of all images, such as
            ``{"human": [...], "K-means": [...]}``.
        alpha: Weight of the colours of labels against the image, from 0 to 1. (default: :obj:`0.5`)

    Raises:
        InputError: If ``segmentations`` is empty, or labels do not fit their image.
    """
    arrays = as_image_list(images)
    if not segmentations:
        raise InputError("segmentations: the mapping is empty; give at least one segmentation.")
    columns = {"input": [show_image(array) for array in arrays]}
    for title, labels in segmentations.items():
        columns[title] = show_labels(arrays, labels, alpha, f"segmentations[{title!r}]")

    width = min(_MAX_COLUMN, _WIDTH / len(columns) - GAP)
    titles = [wrap(title, width) for title in columns]
    # The height is at most the width, so that an upright image is not larger than the others.
    heights = [width / max(1.0, aspect(picture)) for picture in columns["input"]]
    top = GAP + max(map(len, titles)) * LINE + GAP / 2
    figure = new_sheet(len(columns) * (width + GAP) + GAP, top + sum(heights) + GAP * len(heights))
    for number, (lines, pictures) in enumerate(zip(titles, columns.values(), strict=True)):
        left = GAP + number * (width + GAP)
        for line, text in enumerate(reversed(lines), start=1):
            add_text(figure, text, left + width / 2, top - GAP / 2 - line * LINE, ha="center")
        below = top
        for picture, height in zip(pictures, heights, strict=True):
            add_picture(figure, picture, Box(left, below, width, height))
            below += height + GAP
    return figure
