"""The memory that a frame of a video passes on to the next frame."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import cKDTree
from torch_geometric.data import Data

from sp_graph_seg.prototypes.descriptors import Array

#: A node is compared with the nearest six of the previous frame, by place and colour. One step is
#: the side of a superpixel, or this number of units of colour (CIELAB).
_NEAREST = 6
_COLOR = 6.0

#: Distance of the nearest node, in steps, beyond which hardly anything is remembered.
_TOLERANCE = 2.0


class Memory(NamedTuple):
    """Places, colours and label probabilities of the nodes of a frame."""

    tree: cKDTree
    probabilities: Array


def recall(
    probabilities: Array,
    graph: Data,
    colors: Array,
    before: Memory | None,
    share: float,
    side: float,
) -> tuple[Array, Memory]:
    """Mixes the label probabilities of nodes with those of similar nodes in the previous frame.

    Two nodes are similar if their places and their colours are similar.

    Args:
        probabilities: Label probabilities of the nodes of the frame, ``(N, K)``.
        graph: Graph of the frame.
        colors: Colours of the nodes of the frame, ``(N, C)``.
        before: Memory of the previous frame; ``None`` for the first frame.
        share: Weight of the memory at a node that has not changed since the previous frame.
        side: Mean side of a superpixel, in pixels of the image that the graph was made from.

    Returns:
        The mixed probabilities, and the memory for the next frame.
    """
    keys = np.concatenate([colors / _COLOR, graph.pos.numpy() / side], axis=1)
    if before is not None:
        count = min(_NEAREST, len(before.probabilities))
        found = before.tree.query(keys, k=np.arange(1, count + 1))
        distance, nearest = map(np.asarray, found)  # (N, 6)
        weight = np.exp(-(distance**2 - distance[:, :1] ** 2) / 2)
        weight /= weight.sum(axis=1, keepdims=True)
        begin = np.arange(0, weight.size + 1, count)
        shape = (len(keys), len(before.probabilities))
        mix = csr_array((weight.ravel(), nearest.ravel(), begin), shape=shape)
        old = mix @ before.probabilities
        trust = share * np.exp(-(distance[:, :1] ** 2) / (2 * _TOLERANCE**2))
        probabilities = (1 - trust) * probabilities + trust * old
    return probabilities, Memory(cKDTree(keys, balanced_tree=False), probabilities)
