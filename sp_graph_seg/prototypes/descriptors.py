"""Descriptors of nodes: their colours and places, smoothed over the graph."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import csc_array, csr_array
from torch_geometric.data import Data

from sp_graph_seg.transforms.color_spaces import rgb_to_lab

Array = NDArray[np.float64]

#: Colours are in units of CIELAB, where a lightness from black to white is 100.
_UNITS = 100.0

#: Difference of colour across which descriptors are hardly smoothed.
_LINK_SCALE = 15.0
_STEPS = 6
_SHARE = 0.7


def as_colors(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Converts values in [0, 1] to colours, ``(C, ...)``.

    Three channels are converted to CIELAB. Other numbers of channels are multiplied by 100.
    """
    if len(image) == 3:
        return rgb_to_lab(image)
    return image * np.float32(_UNITS)


def node_colors(image: NDArray[np.float32], nodes: NDArray[np.int64]) -> Array:
    """Computes the mean colour of each node, ``(N, C)``, see :func:`as_colors`.

    Args:
        image: The image, ``(C, H, W)``, with values in [0, 1].
        nodes: Node of each pixel, ``(H, W)``; negative for pixels without data.
    """
    return mean_colors(as_colors(image), nodes)


def mean_colors(colors: NDArray[np.float32], nodes: NDArray[np.int64]) -> Array:
    """Computes the mean of the colours ``(C, H, W)`` of the pixels of each node, ``(N, C)``."""
    index = np.maximum(nodes.ravel() + 1, 0)  # pixels without data come first
    sums = [np.bincount(index, channel.ravel())[1:] for channel in colors]
    return np.stack(sums, axis=1) / np.maximum(np.bincount(index)[1:], 1)[:, None]


def mean_features(features: NDArray[np.float32], nodes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Computes the mean of the features ``(P, F)`` of the pixels of each node, ``(N, F)``.

    A product with a sparse matrix takes half the time of a scatter. ``nodes`` is the node of each
    pixel, ``(P,)``; negative for pixels without data.
    """
    inside = nodes >= 0
    begin = np.append(0, np.cumsum(inside))
    count = int(nodes.max()) + 1
    size = np.bincount(nodes[inside], minlength=count)
    ones = np.ones(begin[-1], features.dtype)
    sums = csc_array((ones, nodes[inside], begin), shape=(count, len(nodes))) @ features
    return np.divide(sums, size[:, None], dtype=np.float32)


def noise_whitening(colors: list[Array], graphs: list[Data]) -> Array:
    """Computes a matrix ``(C, C)`` that whitens the differences between the colours of neighbours.

    Colours times this matrix are whitened: neighbours then differ equally along every axis. The
    columns of the matrix solve the generalised eigenproblem of two matrices: the covariance of the
    colours of all nodes, and half the covariance of the differences between neighbours. The total
    variance of the colours of all nodes does not change, so their units stay the same.

    Args:
        colors: Colours of the nodes of each training image, ``(N, C)``.
        graphs: The region adjacency graph of each training image.
    """
    every = np.concatenate(colors)
    steps = np.concatenate(
        [color[source] - color[target] for color, (source, target) in _ends(colors, graphs)]
    )
    count = every.shape[1]
    noise = np.atleast_2d(steps.T @ steps / max(len(steps), 1) / 2)
    spread = np.atleast_2d(np.cov(every.T)) if len(every) > 1 else np.eye(count)
    ridge = 1e-3 * np.trace(noise) / count + 1e-9
    _, directions = eigh(spread, noise + ridge * np.eye(count))
    total = np.trace(directions.T @ spread @ directions)
    return directions * np.sqrt(np.trace(spread) / max(total, 1e-12))


def _ends(colors: list[Array], graphs: list[Data]) -> list[tuple[Array, NDArray[np.int64]]]:
    return [(c, graph.edge_index.numpy()) for c, graph in zip(colors, graphs, strict=True)]


def describe_nodes(graph: Data, colors: Array, whitening: Array, position: float) -> Array:
    """Computes descriptors ``(N, C + 2)``: whitened colours and places, smoothed over the graph.

    Args:
        graph: A graph of :class:`~sp_graph_seg.ToRAG` with the field ``edge_boundary_length``.
        colors: Colours of the nodes, ``(N, C)``, from :func:`node_colors`.
        whitening: Matrix that whitens colours, ``(C, C)``, from :func:`noise_whitening`.
        position: Weight of the place. A distance of one hundredth of the longer side of the image
            counts as much as a difference of ``position`` units of colour.
    """
    place = graph.pos.numpy() * (100 / int(graph.image_size.max()))
    descriptors = np.concatenate([colors @ whitening, position * place], axis=1)
    return diffuse(descriptors, links(graph, descriptors))


def links(graph: Data, descriptors: Array) -> csr_array:
    r"""Computes the weights of neighbours as a sparse matrix ``(N, N)``.

    A weight is large if the common boundary is long and the descriptors are similar:

    .. math:: A_{IJ} \propto \ell_{IJ} \exp(-|x_I - x_J|^2 / 2 s^2)

    Here :math:`\ell_{IJ}` is the length of the common boundary in pixels, :math:`x_I` a descriptor,
    and s = 15 units of colour. Each row adds up to 1.
    """
    source, target = graph.edge_index.numpy()
    distance = ((descriptors[source] - descriptors[target]) ** 2).sum(axis=1)
    weight = graph.edge_boundary_length.numpy().ravel() * np.exp(-distance / (2 * _LINK_SCALE**2))
    weight = weight + 1e-9  # keeps neighbours of a node that differs from all of them
    total = np.bincount(target, weight, minlength=graph.num_nodes)
    begin = np.append(0, np.cumsum(np.bincount(target, minlength=graph.num_nodes)))
    shape = (graph.num_nodes, graph.num_nodes)
    return csr_array((weight / total[target], source, begin), shape=shape)  # edges are sorted


def diffuse(values: Array, adjacency: csr_array, steps: int = _STEPS) -> Array:
    """Mixes the values of each node repeatedly with the values of its neighbours.

    In every step, the value of a node becomes 0.3 times its original value plus 0.7 times the
    weighted mean of its neighbours. This is the propagation of APPNP (Klicpera et al. 2019). With
    the weights of :func:`links`, hardly anything is mixed across strong edges of the image.
    """
    alone = np.diff(adjacency.indptr) == 0
    smooth = values
    for _ in range(steps):
        smooth = (1 - _SHARE) * values + _SHARE * (adjacency @ smooth)
        smooth[alone] = values[alone]
    return smooth
