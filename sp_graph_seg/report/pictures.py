"""Encodes the pictures of a page so that all of them together are small."""

import io
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sp_graph_seg.plot.legend import LegendRow
from sp_graph_seg.report.sample import Panel

#: Longer sides that are tried until all pictures of a page fit.
_SIDES = (640, 480, 320, 200, 120)

_QUALITY = 80

#: Width of a picture that is taken from a file.
_WIDTH = 1600

#: Colours of a palette that stand for labels. Further labels are grey, and the last is transparent.
_LABELS = 254
_OTHERS, _NONE = 254, 255


class Encoded(NamedTuple):
    """The image and the label map of a panel as data URIs."""

    image: str
    """Empty if only labels are known."""
    labels: str


def encode_panels(
    panels: Sequence[Panel],
    legend: Sequence[LegendRow],
    intensity_range: tuple[float, float],
    most_bytes: int,
) -> list[Encoded]:
    """Encodes the images of panels as JPEG, and their labels as coloured PNG.

    Five sizes are tried, from the largest to the smallest. The first size at which all pictures
    together have at most ``most_bytes`` is used.

    Args:
        panels: The panels to encode.
        legend: The labels with their colours. Labels that are not listed are grey.
        intensity_range: The values that are shown as black and as white.
        most_bytes: Maximum number of bytes of all pictures together. It may be exceeded at the
            smallest size, at which the longer side has 120 pixels.
    """
    encoded: list[Encoded] = []
    for side in _SIDES:
        encoded = [_encode(panel, legend, intensity_range, side) for panel in panels]
        if sum(len(one.image) + len(one.labels) for one in encoded) <= most_bytes:
            break
    return encoded


def picture_uri(content: bytes) -> str:
    """Makes a data URI from an image file. Scales the image to at most 1600 pixels in width."""
    with Image.open(io.BytesIO(content)) as stored:
        image = stored.convert("RGB")
    height = max(1, round(image.height * min(1.0, _WIDTH / image.width)))
    image = image.resize((min(image.width, _WIDTH), height), Image.Resampling.LANCZOS)
    return _uri(_saved(image, "JPEG", quality=_QUALITY, optimize=True), "jpeg")


def _encode(
    panel: Panel, legend: Sequence[LegendRow], intensity_range: tuple[float, float], side: int
) -> Encoded:
    picture = panel.picture(intensity_range)
    labels = _uri(_label_png(panel.labels, legend, side), "png")
    return Encoded("" if picture is None else _uri(_jpeg(picture, side), "jpeg"), labels)


def _jpeg(picture: NDArray[np.uint8], side: int) -> bytes:
    is_grey = (picture == picture[..., :1]).all()
    image = Image.fromarray(picture[..., 0] if is_grey else picture)
    image = image.resize(_fitting(image.size, side), Image.Resampling.BOX)
    return _saved(image, "JPEG", quality=_QUALITY, optimize=True)


def _label_png(labels: NDArray[np.int64], legend: Sequence[LegendRow], side: int) -> bytes:
    rows = legend[:_LABELS]
    table = np.full(max(int(labels.max(initial=0)), 0) + 1, _OTHERS, np.uint8)
    for index, row in enumerate(rows):
        if row.label < len(table):
            table[row.label] = index
    indices = np.where(labels < 0, _NONE, table[np.maximum(labels, 0)]).astype(np.uint8)
    image = Image.fromarray(indices)
    image = image.resize(_fitting(image.size, side), Image.Resampling.NEAREST)
    palette = np.full((256, 3), 128, np.uint8)
    for index, row in enumerate(rows):
        palette[index] = list(bytes.fromhex(row.color[1:]))
    image.putpalette(palette.tobytes())
    return _saved(image, "PNG", transparency=_NONE, optimize=True)


def _fitting(size: Iterable[int], side: int) -> tuple[int, int]:
    width, height = size
    factor = min(1.0, side / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{b64encode(content).decode('ascii')}"
