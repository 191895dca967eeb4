"""Places pictures and captions at exact positions on a sheet. Nothing overlaps or is cut off.

All lengths are in inches, and positions are measured from the upper left corner.
"""

import re
from collections.abc import Mapping, Sequence
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

#: Space between pictures and at the edge of the sheet.
GAP = 0.09

#: Size of all text in points, and the height of a line of it.
FONT_SIZE = 6.5
LINE = 1.3 * FONT_SIZE / 72

#: Maximum of the longer side of a picture, in pixels.
_MAX_SIDE = 640


class Box(NamedTuple):
    """A rectangle on a sheet, in inches."""

    left: float
    top: float
    width: float
    height: float


def show_image(image: Image) -> Picture:
    """Converts an image to a picture ``(h, w, 3)``, uint8, with sides of at most 640 pixels."""
    array = as_flat_image(image)
    rgb = to_rgb(shrink_image(array), *measure_intensity_range([array]))
    return np.rint(255 * rgb).astype(np.uint8)


def show_labels(
    images: Sequence[NDArray[np.float32]],
    labels: Image | Sequence[Image | None],
    alpha: float,
    name: str,
    intensity_range: tuple[float, float] | None = None,
    colors: Mapping[int, str] | None = None,
) -> list[Picture]:
    """Draws the labels ``(H, W)`` of each image over this image.

    As in :func:`show_image`, the sides have at most 640 pixels. Images and labels are scaled down
    before :func:`~sp_graph_seg.plot.overlay_labels` draws the outlines, so that the outlines stay
    visible.

    Raises:
        InputError: If the labels do not fit the images. In the message, the labels are called
            ``name``.
    """
    pictures = []
    for number, values in enumerate(match_images(labels, images, name)):
        if values is None:
            raise InputError(f"{name}[{number}]: the value is None; give labels for every image.")
        small = shrink_image(as_flat_image(images[number]))
        few = shrink_labels(as_array(values))
        pictures.append(overlay_labels(small, few, alpha, intensity_range, colors))
    return pictures


def aspect(picture: NDArray) -> float:
    """Computes the width of a picture divided by its height."""
    return picture.shape[1] / picture.shape[0]


def wrap(text: str, width: float, weight: str = "normal") -> list[str]:
    """Breaks a text into lines that are at most ``width`` inches wide.

    Lines are broken after spaces and after hyphens between words. A word that is too wide for a
    line is broken too.
    """
    lines = []
    for paragraph in text.splitlines():
        line = ""
        for piece in re.split(r"(?<= )|(?<=[A-Za-z]{2}-)", paragraph):
            if line and measure_text((line + piece).rstrip(), weight) > width:
                lines.append(line.rstrip())
                line = ""
            line += piece
            while len(line) > 1 and measure_text(line.rstrip(), weight) > width:
                count = _count_fitting(line, width, weight)
                lines.append(line[:count])
                line = line[count:]
        lines.append(line.rstrip())
    return lines


def new_sheet(width: float, height: float) -> "Figure":
    """Makes an empty figure. The size is in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def add_picture(figure: "Figure", picture: Picture, box: Box) -> "Axes":
    """Shows a picture in the middle of a box, as large as possible."""
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
    """Draws a frame around a box. The frame lies in the gap between this box and the others."""
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    margin = 0.6 * GAP
    corner = (box.left - margin) / width, 1 - (box.top + box.height + margin) / height
    size = (box.width + 2 * margin) / width, (box.height + 2 * margin) / height
    frame = Rectangle(
        corner, *size, fill=False, edgecolor=color, linewidth=3, transform=figure.transFigure
    )
    figure.add_artist(frame)


def add_box(figure: "Figure", box: Box, color: str) -> None:
    """Fills a box with a colour."""
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    corner = box.left / width, 1 - (box.top + box.height) / height
    size = box.width / width, box.height / height
    patch = Rectangle(
        corner,
        *size,
        facecolor=color,
        edgecolor="0.4",
        linewidth=0.5,
        transform=figure.transFigure,
    )
    figure.add_artist(patch)


def add_text(figure: "Figure", line: str, left: float, top: float, **style: Any) -> None:
    """Writes one line of text. A dollar sign is written, and does not start a formula."""
    width, height = figure.get_size_inches()
    style = {"fontsize": FONT_SIZE, "va": "top", "parse_math": False, **style}
    figure.text(left / width, 1 - top / height, line, **style)


def _count_fitting(word: str, width: float, weight: str) -> int:
    """Returns how many characters of a word fit into the width, but at least 1."""
    counts = range(len(word), 1, -1)
    return next((n for n in counts if measure_text(word[:n], weight) <= width), 1)


@lru_cache(maxsize=10_000)
def measure_text(text: str, weight: str = "normal") -> float:
    """Returns the width of a line of text, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(weight=weight, size=FONT_SIZE)
    return TextToPath().get_text_width_height_descent(text, font, ismath=False)[0] / 72


def _shrink_factors(size: Sequence[int]) -> list[int]:
    """Returns how many pixels along each axis become one pixel."""
    return [min(n, -(-max(size) // _MAX_SIDE)) for n in size]


def shrink_image(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shrinks an image to sides of at most 640 pixels by averaging windows of pixels.

    Incomplete windows at the border are dropped.
    """
    from skimage.transform import downscale_local_mean

    height, width = _shrink_factors(array.shape[1:])
    whole = array[:, : array.shape[1] // height * height, : array.shape[2] // width * width]
    return downscale_local_mean(whole, (1, height, width)).astype(np.float32)


def shrink_labels(labels: NDArray) -> NDArray:
    """Shrinks labels to the size of :func:`shrink_image`. Takes the middle pixel of each window."""
    height, width = _shrink_factors(labels.shape)
    middles = labels[height // 2 :: height, width // 2 :: width]
    return middles[: labels.shape[0] // height, : labels.shape[1] // width]
