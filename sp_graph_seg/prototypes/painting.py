"""From the label probabilities of nodes to the labels of pixels."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.prototypes.descriptors import Array, as_colors
from sp_graph_seg.transforms.prepare import scale_labels


class Corrected(NamedTuple):
    """Pixels of an image that belong to another node than that of the map that they lie in."""

    pixels: NDArray[np.int64]
    """Their indices in the flattened image, ``(P,)``."""
    nodes: NDArray[np.int64]
    """Their nodes, ``(P,)``."""


def margins_of(probabilities: Array) -> NDArray[np.float32]:
    """Computes by how much the largest probability of each node exceeds the second, ``(N,)``."""
    top = np.sort(probabilities, axis=1)
    margins = top[:, -1] - (top[:, -2] if top.shape[1] > 1 else 0)
    return margins.astype(np.float32)


def paint(
    values: NDArray[Any],
    nodes: NDArray[np.int64],
    size: tuple[int, int],
    corrected: Corrected,
    outside: float,
) -> NDArray[Any]:
    """Gives each pixel of an image the value of its node, ``(H, W)``.

    Args:
        values: The value of each node, ``(N,)``.
        nodes: Node of each pixel of a map, ``(h, w)``; negative for pixels without data.
        size: Height H and width W of the image, to which the map is scaled up.
        corrected: Pixels with other nodes, from :func:`sharpen_boundaries`.
        outside: The value of pixels without a node.
    """
    every = np.append(values, values.dtype.type(outside))  # node -1 is the last
    painted = np.array(scale_labels(every[nodes], size))
    painted.ravel()[corrected.pixels] = values[corrected.nodes]
    return painted


def sharpen_boundaries(
    nodes: NDArray[np.int64],
    labels: NDArray[np.integer],
    colors: Array,
    image: NDArray[np.float32],
) -> Corrected:
    """Corrects boundaries between labels when a map of nodes is scaled up to the size of an image.

    A pixel of the image lies in one pixel of the map. Two more pixels of the map are nearest to it,
    one in the same column and one in the same row. If the labels at the three differ, the pixel of
    the image gets the node, of these three, whose colour is most similar. Other pixels get the node
    of the pixel of the map that they lie in, as do all if the map has the size of the image.

    Args:
        nodes: Node of each pixel of the map, ``(h, w)``; negative for pixels without data.
        labels: Label of each node, ``(N,)``.
        colors: Colour of each node, ``(N, C)``, from
            :func:`~sp_graph_seg.prototypes.descriptors.node_colors`.
        image: The image, ``(C, H, W)``, with values in [0, 1].
    """
    size = image.shape[1:]
    if nodes.shape == size:
        return Corrected(np.zeros(0, np.int64), np.zeros(0, np.int64))
    row, near_row = _own_and_next(nodes.shape[0], size[0])
    column, near_column = _own_and_next(nodes.shape[1], size[1])
    is_near = _differ_nearby(np.append(labels, -1)[nodes])
    quarter = 2 * row + (near_row > row), 2 * column + (near_column > column)
    pixels = np.flatnonzero(is_near[quarter[0]].take(quarter[1], axis=1))
    y, x = np.divmod(pixels, size[1])
    width = nodes.shape[1]
    top, left = row[y] * width, column[x]
    places = np.stack([top + left, near_row[y] * width + left, top + near_column[x]])
    candidates = nodes.ravel()[places]  # (3, P)
    seen = as_colors(image.reshape(len(image), -1)[:, pixels])  # (C, P)
    distance = np.zeros(candidates.shape, np.float32)
    for channel, of_node in zip(seen, colors.T.astype(np.float32), strict=True):
        distance += (of_node[candidates] - channel) ** 2
    best = distance.argmin(axis=0)
    return Corrected(pixels, np.take_along_axis(candidates, best[None], axis=0)[0])


def _own_and_next(few: int, many: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Finds the cell that each of many pixels in a row lies in, and the cell that is next to it."""
    place = (np.arange(many) + 0.5) * few / many
    own = place.astype(np.int64)
    beside = np.where(place - own < 0.5, own - 1, own + 1)
    return own, beside.clip(0, few - 1)


def _differ_nearby(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Finds the quarters of pixels that lie beside another label, ``(2h, 2w)``.

    Above or below and left or right of a quarter, only the nearest pixel counts. No quarter is
    found where one of the pixels has no label, which is -1.
    """
    differ = _beside(labels, np.not_equal, False, np.logical_or)
    if labels.min() < 0:
        known = labels >= 0
        differ &= _beside(known, np.logical_and, True, np.logical_and)
    return differ


def _beside(
    values: NDArray[Any], compare: np.ufunc, at_border: bool, combine: np.ufunc
) -> NDArray[np.bool_]:
    """Compares the pixel of each quarter with the two nearest, and combines both results."""
    height, width = values.shape
    vertical = np.full((height + 1, width), at_border)
    vertical[1:-1] = compare(values[1:], values[:-1])
    horizontal = np.full((height, width + 1), at_border)
    horizontal[:, 1:-1] = compare(values[:, 1:], values[:, :-1])
    result = np.empty((2 * height, 2 * width), bool)
    for row, column in np.ndindex(2, 2):
        pair = vertical[row : row + height], horizontal[:, column : column + width]
        result[row::2, column::2] = combine(*pair)
    return result
