"""What is measured at the nodes of a graph, weighed and smoothed along its edges."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import csr_array
from skimage.color import rgb2lab
from torch_geometric.data import Data

Array = NDArray[np.float64]

#: Colours are in units of CIELAB, where a lightness from black to white is 100.
_UNITS = 100.0

#: Colours this far apart hardly exchange anything when descriptors are smoothed.
_LINK_SCALE = 15.0
_STEPS = 6
_SHARE = 0.7


def node_colors(image: NDArray[np.float32], nodes: NDArray[np.int64]) -> Array:
    """Mean colour of each node, ``(N, C)``: CIELAB of three channels, else 100 times the values.

    Args:
        image: ``(C, H, W)``, values in [0, 1].
        nodes: Node of each pixel, ``(H, W)``; negative where there is no data.
    """
    colors = (
        np.moveaxis(rgb2lab(image, channel_axis=0), 0, -1)
        if len(image) == 3
        else (np.moveaxis(image, 0, -1) * _UNITS)
    )
    inside = nodes >= 0
    count = np.bincount(nodes[inside])
    sums = [np.bincount(nodes[inside], channel[inside]) for channel in np.moveaxis(colors, -1, 0)]
    return np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]


def noise_whitening(colors: list[Array], graphs: list[Data]) -> Array:
    """Directions in which the colours of neighbours differ alike, ``(C, C)``, as columns.

    They solve the generalised eigenproblem of the covariance of all nodes and of half that of the
    differences of neighbours: a channel counts as much as it rises over what differs from one node
    to the next. The result keeps the total variance of the colours, and so their units.

    Args:
        colors: Of the nodes of each training image, ``(N, C)``.
        graphs: Their region adjacency graphs.
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
    """Whitened colours and weighted place, smoothed along the edges, ``(N, C + 2)``.

    Args:
        graph: From :class:`~sp_graph_seg.ToRAG` with ``edge_boundary_length``.
        colors: ``(N, C)``, from :func:`node_colors`.
        whitening: From :func:`noise_whitening`.
        position: Units of colour that a hundredth of the image's longer side is worth.
    """
    place = graph.pos.numpy() * (100 / int(graph.image_size.max()))
    descriptors = np.concatenate([colors @ whitening, position * place], axis=1)
    return diffuse(descriptors, links(graph, descriptors))


def links(graph: Data, descriptors: Array) -> csr_array:
    r"""Weights of neighbours ``(N, N)``, rows of sum 1: long boundaries and like nodes count most.

    .. math:: A_{IJ} \propto \ell_{IJ} \exp(-|x_I - x_J|^2 / 2 s^2)

    with the length of the common boundary in pixels and s of 15 units of colour.
    """
    source, target = graph.edge_index.numpy()
    distance = ((descriptors[source] - descriptors[target]) ** 2).sum(axis=1)
    weight = graph.edge_boundary_length.numpy().ravel() * np.exp(-distance / (2 * _LINK_SCALE**2))
    weight = weight + 1e-9  # a node unlike all its neighbours still has some
    total = np.bincount(target, weight, minlength=graph.num_nodes)
    shape = (graph.num_nodes, graph.num_nodes)
    return csr_array((weight / total[target], (target, source)), shape=shape)


def diffuse(values: Array, adjacency: csr_array, steps: int = _STEPS) -> Array:
    """Mixes the values of each node, again and again, with those of its neighbours.

    Every step gives 0.3 of the own value and 0.7 of the mean of the neighbours: the propagation of
    APPNP (Klicpera et al. 2019) with links that do not cross strong edges.
    """
    alone = np.diff(adjacency.indptr) == 0
    smooth = values
    for _ in range(steps):
        smooth = (1 - _SHARE) * values + _SHARE * (adjacency @ smooth)
        smooth[alone] = values[alone]
    return smooth
