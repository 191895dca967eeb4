"""What a frame of a video remembers of the frame before."""

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from torch_geometric.data import Data

from sp_graph_seg.prototypes.descriptors import Array

#: A node is compared with the nearest six of the frame before, by place and colour: so many
#: hundredths of the longer side, and so many units of colour (CIELAB), count as one step.
_NEAREST = 6
_PLACE = 1.9
_COLOR = 6.0

#: How many steps away the nearest node may be before hardly anything is remembered.
_TOLERANCE = 2.0


class Memory(NamedTuple):
    """Where the nodes of a frame lay, how they looked, and their probabilities."""

    tree: cKDTree
    probabilities: Array


def recall(
    probabilities: Array, graph: Data, colors: Array, before: Memory | None, share: float
) -> tuple[Array, Memory]:
    """Mixes in the probabilities of the nodes of the frame before that lay there and looked alike.

    Args:
        probabilities: ``(N, K)``.
        graph: Graph of the frame.
        colors: Of its nodes, ``(N, C)``.
        before: Of the frame before; ``None`` for the first one.
        share: What is remembered where a node has not changed at all.

    Returns:
        The probabilities, and the memory for the next frame.
    """
    place = graph.pos.numpy() * (100 / int(graph.image_size.max()))
    keys = np.concatenate([colors / _COLOR, place / _PLACE], axis=1)
    if before is not None:
        count = min(_NEAREST, len(before.probabilities))
        found = before.tree.query(keys, k=np.arange(1, count + 1))
        distance, nearest = map(np.asarray, found)  # (N, 6)
        weight = np.exp(-(distance**2 - distance[:, :1] ** 2) / 2)
        weight /= weight.sum(axis=1, keepdims=True)
        old = (before.probabilities[nearest] * weight[..., None]).sum(axis=1)
        trust = share * np.exp(-(distance[:, :1] ** 2) / (2 * _TOLERANCE**2))
        probabilities = (1 - trust) * probabilities + trust * old
    return probabilities, Memory(cKDTree(keys), probabilities)
