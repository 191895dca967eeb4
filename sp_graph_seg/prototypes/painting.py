"""From the label probabilities of nodes to the labels of pixels."""

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.prototypes.descriptors import Array, as_colors


def paint(
    probabilities: Array, nodes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Computes labels and margins of pixels from the label probabilities of their nodes.

    Pixels without a node have label -1 and margin 0.
    """
    top = np.sort(probabilities, axis=1)
    margins = top[:, -1] - (top[:, -2] if top.shape[1] > 1 else 0)
    labels = np.append(probabilities.argmax(axis=1), -1)  # node -1 is the last
    return labels[nodes], np.append(margins, 0).astype(np.float32)[nodes]


def sharpen_boundaries(
    nodes: NDArray[np.int64],
    labels: NDArray[np.int64],
    colors: Array,
    image: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Scales a map of nodes up to the size of an image, and corrects boundaries between labels.

    A pixel of the image lies in one pixel of the map. Two more pixels of the map are nearest to it,
    one in the same column and one in the same row. If the labels at the three differ, the pixel of
    the image gets the node, of these three, whose colour is most similar. Other pixels get the node
    of the pixel of the map that they lie in.

    Args:
        nodes: Node of each pixel of the map, ``(h, w)``; negative for pixels without data.
        labels: Label of each node, ``(N,)``.
        colors: Colour of each node, ``(N, C)``, from
            :func:`~sp_graph_seg.prototypes.descriptors.node_colors`.
        image: The image, ``(C, H, W)``, with values in [0, 1].

    Returns:
        The node of each pixel of the image, ``(H, W)``.
    """
    height, width = image.shape[1:]
    if nodes.shape == (height, width):
        return nodes
    row, next_row = _own_and_next(nodes.shape[0], height)
    column, next_column = _own_and_next(nodes.shape[1], width)
    full = nodes[row].take(column, axis=1)
    near = _near_another(np.append(labels, -1)[nodes])  # node -1 is the last
    pixels = np.flatnonzero(near[row].take(column, axis=1))
    y, x = np.divmod(pixels, width)
    candidates = np.stack(
        [
            nodes[row[y], column[x]],
            nodes[next_row[y], column[x]],
            nodes[row[y], next_column[x]],
        ]
    )  # (3, P)
    found = np.append(labels, -1)[candidates]
    differs = (found[1:] != found[0]).any(axis=0) & (found >= 0).all(axis=0)
    pixels, candidates = pixels[differs], candidates[:, differs]
    seen = as_colors(image.reshape(len(image), -1)[:, pixels])  # (C, P)
    known = colors.T.astype(np.float32)
    distance = np.zeros(candidates.shape, np.float32)
    for channel, of_node in zip(seen, known, strict=True):
        distance += (of_node[candidates] - channel) ** 2
    best = distance.argmin(axis=0)
    full.ravel()[pixels] = np.take_along_axis(candidates, best[None], axis=0)[0]
    return full


def _own_and_next(few: int, many: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Finds the cell that each of many pixels in a row lies in, and the cell that is next to it."""
    place = (np.arange(many) + 0.5) * few / many
    own = place.astype(np.int64)
    beside = np.where(place - own < 0.5, own - 1, own + 1)
    return own, beside.clip(0, few - 1)


def _near_another(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Finds the pixels that have a neighbour with another label, ``(h, w)``."""
    near = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    near[1:] |= down
    near[:-1] |= down
    near[:, 1:] |= right
    near[:, :-1] |= right
    return near
