"""Adds a legend below a picture, such as an overlay."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sp_graph_seg.plot.legend import LegendRow, format_share

#: Height of the text: this share of the longer side, but within limits, in pixels.
_SHARE, _SMALLEST, _LARGEST = 1 / 36, 10, 28

#: Most labels that are listed.
_ROWS = 24

_GREY = "#565c64"


def with_legend(picture: NDArray[np.uint8], rows: Sequence[LegendRow]) -> NDArray[np.uint8]:
    """Adds a legend below a picture. The picture itself is not scaled or changed.

    Args:
        picture: The picture, ``(H, W, 3)``.
        rows: The rows of the legend. If there are more than 24, only the 24 labels with the largest
            shares are listed. A share that is NaN is not written.

    Returns:
        The picture with its legend, ``(H + h, W, 3)``. The height h of the legend is even.
    """
    listed = sorted(sorted(rows, key=lambda row: -np.nan_to_num(row.share))[:_ROWS])
    height, width = picture.shape[:2]
    size = int(np.clip(_SHARE * max(height, width), _SMALLEST, _LARGEST))
    font = ImageFont.load_default(size)
    texts = [(row.color, _text(row)) for row in listed]
    if len(rows) > len(listed):
        texts.append(("", f"and {len(rows) - len(listed)} smaller ones"))
    column = 3 * size + max((int(font.getlength(text)) for _, text in texts), default=0)
    columns = max(1, min(len(texts), width // max(column, 1)))
    line = round(1.6 * size)
    strip_height = (-(-len(texts) // columns) * line + size) // 2 * 2
    strip = Image.new("RGB", (width, strip_height), "white")
    draw = ImageDraw.Draw(strip)
    for number, (color, text) in enumerate(texts):
        row, place = divmod(number, columns)
        left, top = place * (width // columns) + size // 2, row * line + size // 2
        if color:
            box = (left, top, left + round(1.4 * size), top + size)
            draw.rectangle(box, fill=color, outline=_GREY)
        middle = top + size / 2
        draw.text((left + 2 * size, middle), text, fill="black", font=font, anchor="lm")
    return np.concatenate([picture, np.asarray(strip)])


def _text(row: LegendRow) -> str:
    return row.title if np.isnan(row.share) else f"{row.title}   {format_share(row.share)}"
