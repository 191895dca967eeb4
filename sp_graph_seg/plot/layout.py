"""Pictures and captions at exact places on a sheet, so that nothing overlaps or is cut off.

All lengths are in inches, and places are counted from the upper left corner.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot.colors import as_flat_image, to_rgb
from sp_graph_seg.plot.overlay import overlay_labels
from sp_graph_seg.transforms import as_array
from sp_graph_seg.transforms.prepare import Image, match_images, measure_intensity_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Picture = NDArray[np.uint8]

#: Space between pictures, and around the sheet.
GAP = 0.09

#: Size of all text in points, and the height of a line of it.
FONT_SIZE = 6.5
LINE = 1.3 * FONT_SIZE / 72

#: Longer side that a picture has at most, in pixels.
_MAX_SIDE = 640


class Box(NamedTuple):
    """A rectangle on the sheet."""

    left: float
    top: float
    width: float
    height: float


def show_image(image: Image) -> Picture:
    """An image ``(C, H, W)`` in its colours, ``(h, w, 3)``, no side longer than 640 pixels."""
    array = as_flat_image(image)
    rgb = to_rgb(_shrink_image(array), *measure_intensity_range([array]))
    return np.rint(255 * rgb).astype(np.uint8)


def show_labels(
    images: Sequence[NDArray[np.float32]],
    labels: Image | Sequence[Image | None],
    alpha: float,
    name: str,
) -> list[Picture]:
    """The labels ``(H, W)`` of each image over it, of the sizes of :func:`show_image`.

    Both are scaled down before :func:`~sp_graph_seg.plot.overlay_labels` draws the outlines, which
    stay visible thus.

    Raises:
        InputError: If the labels, which it calls ``name``, do not suit the images.
    """
    pictures = []
    for number, values in enumerate(match_images(labels, images, name)):
        if values is None:
            raise InputError(f"{name}[{number}]: there are none; give labels for every image.")
        small = _shrink_image(as_flat_image(images[number]))
        pictures.append(overlay_labels(small, _shrink_labels(as_array(values)), alpha))
    return pictures


def aspect(picture: NDArray) -> float:
    """Width divided by height."""
    return picture.shape[1] / picture.shape[0]


def wrap(text: str, width: float, weight: str = "normal") -> list[str]:
    """The lines of a text, broken where they would be wider than so many inches.

    They are broken after spaces and after hyphens between words, or anywhere in a word that is
    wider by itself.
    """
    lines = []
    for paragraph in text.splitlines():
        line = ""
        for piece in re.split(r"(?<= )|(?<=[A-Za-z]{2}-)", paragraph):
            if line and _measure_text((line + piece).rstrip(), weight) > width:
                lines.append(line.rstrip())
                line = ""
            line += piece
            while len(line) > 1 and _measure_text(line.rstrip(), weight) > width:
                count = _count_fitting(line, width, weight)
                lines.append(line[:count])
                line = line[count:]
        lines.append(line.rstrip())
    return lines


def new_sheet(width: float, height: float) -> "Figure":
    """An empty figure of a size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def add_picture(figure: "Figure", picture: Picture, box: Box) -> "Axes":
    """Shows a picture in the middle of a box, as large as it can be."""
    width = min(box.width, box.height * aspect(picture))
    height = width / aspect(picture)
    left, top = box.left + (box.width - width) / 2, box.top + (box.height - height) / 2
    sheet_width, sheet_height = figure.get_size_inches()
    bounds = (
        left / sheet_width,
        1 - (top + height) / sheet_height,
        width / sheet_width,
        height / sheet_height,
    )
    axes = figure.add_axes(bounds, xticks=[], yticks=[], frame_on=False)
    axes.imshow(picture, aspect="auto")
    return axes


def add_frame(figure: "Figure", box: Box, color: str) -> None:
    """Draws a frame around a box, in the space between the boxes."""
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    margin = 0.6 * GAP
    corner = (box.left - margin) / width, 1 - (box.top + box.height + margin) / height
    size = (box.width + 2 * margin) / width, (box.height + 2 * margin) / height
    frame = Rectangle(
        corner, *size, fill=False, edgecolor=color, linewidth=3, transform=figure.transFigure
    )
    figure.add_artist(frame)


def add_text(figure: "Figure", line: str, left: float, top: float, **style: Any) -> None:
    """Writes a line; signs of mathematical notation are nothing special."""
    width, height = figure.get_size_inches()
    style = {"fontsize": FONT_SIZE, "va": "top", "parse_math": False, **style}
    figure.text(left / width, 1 - top / height, line, **style)


def _count_fitting(word: str, width: float, weight: str) -> int:
    """How many characters fit, one at least."""
    counts = range(len(word), 1, -1)
    return next((n for n in counts if _measure_text(word[:n], weight) <= width), 1)


@lru_cache(maxsize=10_000)
def _measure_text(text: str, weight: str) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(weight=weight, size=FONT_SIZE)
    return TextToPath().get_text_width_height_descent(text, font, ismath=False)[0] / 72


def _blocks(size: Sequence[int]) -> list[int]:
    """The lengths in pixels that become one."""
    return [min(n, -(-max(size) // _MAX_SIDE)) for n in size]


def _shrink_image(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of blocks; the rest of a block at the end is dropped."""
    from skimage.transform import downscale_local_mean

    height, width = _blocks(array.shape[1:])
    whole = array[:, : array.shape[1] // height * height, : array.shape[2] // width * width]
    return downscale_local_mean(whole, (1, height, width)).astype(np.float32)


def _shrink_labels(labels: NDArray) -> NDArray:
    """The middles of the same blocks."""
    height, width = _blocks(labels.shape)
    middles = labels[height // 2 :: height, width // 2 :: width]
    return middles[: labels.shape[0] // height, : labels.shape[1] // width]
