"""Makes the graphs for training and prediction, with superpixels or pixels as nodes."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.training import TrainingImage
from sp_graph_seg.transforms import (
    ToPixelGraph,
    ToRAG,
    add_hessian_features,
    as_array,
    compute_superpixels,
    connected_components,
    scatter_mean,
)
from sp_graph_seg.transforms.prepare import (
    Array,
    Image,
    Mask,
    ScaledImage,
    scale_down,
    scale_labels,
    scale_mask,
    scale_to,
)
from sp_graph_seg.transforms.superpixels import MASKED

#: Number of channels of z that are scaled up at once, to limit memory.
_CHANNELS_AT_ONCE = 4


def to_graph(
    superpixels: Image | None, config: Config, inside: Mask | None = None
) -> ToRAG | ToPixelGraph:
    """Makes the transform that computes the graph of an image from its data pixels."""
    if config.nodes == "superpixels":
        return ToRAG(
            tau=config.tau_con,
            superpixels=superpixels,
            mask=inside,
            edge_weight="softmax",
            **config.superpixel_options(),
        )
    _refuse_superpixels(superpixels)
    # Only the N-Cut loss uses pixels beyond the next one.
    radius = config.radius if config.beta_cut else 1.0
    return ToPixelGraph(radius, config.tau_con, inside, edge_weight="softmax")


@dataclass(frozen=True)
class PreparedImage:
    """An image ready for the network."""

    size: tuple[int, int]
    """Height H and width W of the image."""
    seen: Tensor
    """The image as input of the network, ``(C', h, w)``."""
    nodes: NDArray[np.int64] | None
    """Node of each pixel, ``(P,)``, or -1 if it has none; ``None`` if each pixel is a node."""
    node_size: tuple[int, int]
    """Height and width of the image at the resolution of the nodes."""
    graph: Data | None
    """The graph of the nodes; ``None`` if it was not requested or there are no nodes."""
    inside: Mask | None = None
    """The mask of the image, ``(H, W)``; ``None`` if all pixels have data."""


def prepare_image(
    scaled: ScaledImage, superpixels: Image | None, config: Config, with_graph: bool
) -> PreparedImage:
    """Scales an image down for the network, and finds its nodes."""
    image, inside = scaled
    size = image.shape[1], image.shape[2]
    seen = scale_down(image, config.max_size)
    fine = image
    if superpixels is None and config.nodes == "superpixels":
        same = config.superpixel_size == config.max_size
        fine = (seen if same else scale_down(image, config.superpixel_size)).numpy()
    size_of_nodes = fine.shape[1], fine.shape[2]
    used = None if inside is None else scale_mask(inside, size_of_nodes).numpy()
    graph = None
    if with_graph and (used is None or used.any()):
        graph = to_graph(superpixels, config, used)(fine)
    if config.nodes == "pixels":
        _refuse_superpixels(superpixels)
        nodes = None if used is None else _spread(np.arange(used.sum()), used)
    elif graph is not None:
        nodes = _spread(graph.pixel_index.numpy(), used)
    elif used is None or used.any():
        nodes = _find_superpixels(fine, superpixels, config, used).ravel()
    else:
        nodes = np.full(used.size, MASKED)
    seen = add_hessian_features(seen, config.hessian_scales)
    return PreparedImage(size, seen, nodes, size_of_nodes, graph, inside)


def _spread(nodes: NDArray[np.int64], inside: Mask | None) -> NDArray[np.int64]:
    """Extends the nodes of the pixels inside a mask to all pixels. Pixels outside get -1."""
    if inside is None:
        return nodes
    spread = np.full(inside.size, MASKED)
    spread[inside.ravel()] = nodes
    return spread


def node_means(z: Tensor, nodes: NDArray[np.int64] | None, size: tuple[int, int]) -> Tensor:
    """Computes the mean of z ``(F, h, w)`` over each node, ``(N, F)``.

    z is scaled to the resolution of the nodes, a few channels at a time. Pixels with a negative
    node are ignored. If ``nodes`` is ``None``, every pixel is a node.
    """
    at_once = len(z) if z.shape[1:] == size else _CHANNELS_AT_ONCE
    parts = (scale_to(part, size).flatten(1) for part in z.split(at_once))
    if nodes is None:
        return torch.cat(list(parts)).T
    num_nodes = int(nodes.max()) + 1
    if nodes.min() < 0:
        pixels = torch.from_numpy(np.flatnonzero(nodes >= 0)).to(z.device)
        nodes = nodes[nodes >= 0]
        parts = (part[:, pixels] for part in parts)
    index = torch.from_numpy(nodes).to(z.device)
    return torch.cat([scatter_mean(part, index, num_nodes) for part in parts], dim=1)


def _find_superpixels(
    image: Array, superpixels: Image | None, config: Config, inside: Mask | None
) -> NDArray[np.int64]:
    """Makes superpixels, or splits given superpixels into connected parts.

    The result is the superpixel of each pixel, ``(H, W)``, or -1 outside the mask.
    """
    if superpixels is None:
        return compute_superpixels(image, **config.superpixel_options(), mask=inside)
    return connected_components(as_array(superpixels), inside)


def training_image(given: tuple[ScaledImage, Image | None], config: Config) -> TrainingImage:
    """Makes a training image and its graph at the resolution of the network.

    Args:
        given: The image, and a label map ``(H, W)`` whose components are used as superpixels. The
            label map is ``None`` if superpixels are to be made.
        config: The hyperparameters, such as the size of the image for the network.
    """
    scaled, superpixels = given
    small = scale_down(scaled.values, config.max_size)
    size = small.shape[1:]
    labels = None if superpixels is None else scale_labels(superpixels, size)
    inside = None if scaled.inside is None else scale_mask(scaled.inside, size).numpy()
    if inside is not None and labels is not None:
        inside &= labels >= 0
    graph = to_graph(labels, config, inside)(small)
    return TrainingImage(add_hessian_features(small, config.hessian_scales), graph)


def refuse_superpixels(superpixels: object, config: Config) -> None:
    """Raises an error if superpixels are given, for a model that labels by prototypes."""
    if superpixels is not None:
        raise InputError(
            f"superpixels: cannot be used with label_by={config.label_by!r}; leave them out, or "
            "use label_by='argmax'."
        )


def _refuse_superpixels(superpixels: Image | None) -> None:
    if superpixels is not None:
        raise InputError(
            "superpixels: cannot be used with nodes='pixels'; leave them out, or use "
            "nodes='superpixels'."
        )
