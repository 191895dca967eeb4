"""A score that needs no ground truth, to choose between segmentations of one image."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch_geometric.data import Data

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import affinity
from sp_graph_seg.transforms.reduce import majority_over_nodes

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
    frequent label of its pixels (of equally frequent ones the lowest),
    :math:`w_{IJ} = \exp(-10 |x_I - x_J|)`. The first factor grows with the number K of labels, the
    second (the association of Shi & Malik 2000) shrinks with it. Superpixels without a label count
    in neither, nor labels without a neighbour in the second. It compares segmentations of one
    image; from image to image its level differs.

    Args:
        labels: ``(H, W)``, from 0; negative where there is none.
        graph: The image's region adjacency graph, of :class:`~sp_graph_seg.ToRAG`.

    Returns:
        Between 0, for one label or one colour, and 1.

    Raises:
        InputError: If the labels have another size than the image of the graph, or there are none.
    """
    array = np.asarray(labels)
    size = tuple(graph.image_size[0].tolist())
    if array.shape != size:
        raise InputError(
            f"labels: size {array.shape} is not that of the image of the graph, {size}; give the "
            "labels of that image."
        )
    array = array[graph.pixel_mask.numpy().reshape(size)] if "pixel_mask" in graph else array
    if not (array >= 0).any():
        raise InputError("labels: no pixel has one; give labels from 0.")
    ids = graph.pixel_index.numpy()
    pixels = torch.from_numpy(array.ravel().astype(np.int64))
    y = majority_over_nodes(pixels, graph.pixel_index, graph.num_nodes).numpy()
    has_label = y >= 0
    y[has_label] = np.unique(y[has_label], return_inverse=True)[1]  # numbers without gaps
    areas = np.bincount(ids, minlength=graph.num_nodes) * has_label
    colors = graph.x.numpy().astype(np.float64)
    return _explained(colors, areas, y) * _association(graph, y, has_label)


def _explained(x: NDArray, areas: NDArray, y: NDArray) -> float:
    total = (areas[:, None] * (x - np.average(x, axis=0, weights=areas)) ** 2).sum()
    if total == 0:
        return 0.0
    within = 0.0
    for label in np.unique(y[areas > 0]):
        own = (y == label) & (areas > 0)
        mean = np.average(x[own], axis=0, weights=areas[own])
        within += (areas[own, None] * (x[own] - mean) ** 2).sum()
    return max(0.0, float(1 - within / total))  # rounding may leave -1e-16


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
