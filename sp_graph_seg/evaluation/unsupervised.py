"""A score that needs no ground truth, to choose between segmentations of one image."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch_geometric.data import Data

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import affinity

#: The affinity of two superpixels is exp(tau * distance), as in the N-Cut loss by default.
_TAU = -10.0


def unsupervised_score(labels: ArrayLike, graph: Data) -> float:
    r"""How well labels part an image into even regions with edges between them.

    .. math::
        S = \underbrace{\left(1 - \frac{\sum_I n_I \|x_I - \mu_{y_I}\|^2}
        {\sum_I n_I \|x_I - \mu\|^2}\right)}_{\text{variance of colour explained}}
        \cdot \underbrace{\frac{1}{K} \sum_{p=1}^{K}
        \frac{\sum_{I,J \in p} w_{IJ}}{\sum_{I \in p, J} w_{IJ}}}_{\text{mean association}}

    :math:`n_I` is the area of superpixel I, :math:`x_I` its mean colour, :math:`y_I` the most
    frequent label of its pixels, :math:`w_{IJ} = \exp(-10 |x_I - x_J|)`. The first factor grows
    with the number K of labels, the second (the association of Shi & Malik 2000) shrinks with it.
    It compares segmentations of one image; from image to image its level differs.

    Args:
        labels: ``(H, W)``, from 0; negative where there is none.
        graph: The image's region adjacency graph, of :class:`~sp_graph_seg.ToRAG`.

    Returns:
        Between 0, for one label, and 1.

    Raises:
        InputError: If the labels have another size than the image of the graph.
    """
    array = np.asarray(labels).ravel()
    ids = graph.pixel_index.numpy()
    if array.shape != ids.shape:
        raise InputError(f"labels: {array.size} pixels are not the {ids.size} of the graph.")
    y = _majority(array, ids, graph.num_nodes)
    has_label = y >= 0
    areas = np.bincount(ids, minlength=graph.num_nodes) * has_label
    colors = graph.x.numpy().astype(np.float64)
    return _explained(colors, areas, y) * _association(graph, y, has_label)


def _majority(labels: NDArray, ids: NDArray, num_nodes: int) -> NDArray[np.int64]:
    inside = labels >= 0
    count = int(labels.max(initial=0)) + 1
    votes = np.bincount(
        ids[inside] * count + labels[inside].astype(np.int64), minlength=num_nodes * count
    ).reshape(num_nodes, count)
    return np.where(votes.any(axis=1), votes.argmax(axis=1), -1)


def _explained(x: NDArray, areas: NDArray, y: NDArray) -> float:
    total = (areas[:, None] * (x - np.average(x, axis=0, weights=areas)) ** 2).sum()
    if total == 0:
        return 0.0
    within = 0.0
    for label in np.unique(y[areas > 0]):
        own = (y == label) & (areas > 0)
        mean = np.average(x[own], axis=0, weights=areas[own])
        within += (areas[own, None] * (x[own] - mean) ** 2).sum()
    return float(1 - within / total)


def _association(graph: Data, y: NDArray, has_label: NDArray[np.bool_]) -> float:
    source, target = graph.edge_index.numpy()
    weight = affinity(graph.edge_attr[:, 0], _TAU).numpy().astype(np.float64)
    counted = has_label[source] & has_label[target]
    source, target, weight = source[counted], target[counted], weight[counted]
    count = int(y.max()) + 1
    volume = np.bincount(y[target], weights=weight, minlength=count)
    within = weight * (y[source] == y[target])
    inside = np.bincount(y[target], weights=within, minlength=count)
    present = volume > 0
    return float(np.mean(inside[present] / volume[present])) if present.any() else 0.0
