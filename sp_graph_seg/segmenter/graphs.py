"""The graphs of the configuration: for training, for prediction, of superpixels or of pixels."""

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
    connected_regions,
    scatter_mean,
)
from sp_graph_seg.transforms.prepare import (
    Array,
    Image,
    scale_down,
    scale_labels,
    scale_mask,
    scale_to,
)

#: Channels of z that are scaled up at once, to bound the memory.
_CHANNELS_AT_ONCE = 4


def to_graph(superpixels: Image | None, config: Config) -> ToRAG | ToPixelGraph:
    """The transform that makes the graph of an image."""
    if config.nodes == "superpixels":
        return ToRAG(tau=config.tau_con, superpixels=superpixels, **config.superpixel_options())
    _refuse_superpixels(superpixels)
    # Only the N-Cut loss looks further than to the next pixel.
    return ToPixelGraph(config.radius if config.beta_cut else 1.0, config.tau_con)


@dataclass(frozen=True)
class PreparedImage:
    """An image ready for the network."""

    size: tuple[int, int]
    """H and W of the image."""
    seen: Tensor
    """What the network sees, ``(C', h, w)``."""
    nodes: NDArray[np.int64] | None
    """The node of each pixel, ``(P,)``; ``None`` where the nodes are pixels."""
    node_size: tuple[int, int]
    """Height and width of the image as the nodes see it."""
    graph: Data | None
    """The graph of the nodes, where it was asked for."""


def prepare_image(
    image: Array, superpixels: Image | None, config: Config, with_graph: bool
) -> PreparedImage:
    """Scales an image with values in [0, 1] for the network, and finds its nodes."""
    size = image.shape[1], image.shape[2]
    seen = scale_down(image, config.max_size)
    fine = image
    if superpixels is None and config.nodes == "superpixels":
        same = config.superpixel_size == config.max_size
        fine = (seen if same else scale_down(image, config.superpixel_size)).numpy()
    graph = to_graph(superpixels, config)(fine) if with_graph else None
    if config.nodes == "pixels":
        _refuse_superpixels(superpixels)
        nodes = None
    elif graph is not None:
        nodes = graph.pixel_index.numpy()
    else:
        nodes = _find_regions(fine, superpixels, config).ravel()
    seen = add_hessian_features(seen, config.hessian_scales)
    return PreparedImage(size, seen, nodes, (fine.shape[1], fine.shape[2]), graph)


def node_means(z: Tensor, nodes: NDArray[np.int64] | None, size: tuple[int, int]) -> Tensor:
    """The mean of z ``(F, h, w)`` in each node ``(N, F)``, or z of each pixel.

    z is scaled to the size at which the nodes are known, a few channels at a time.
    """
    at_once = len(z) if z.shape[1:] == size else _CHANNELS_AT_ONCE
    parts = (scale_to(part, size).flatten(1) for part in z.split(at_once))
    if nodes is None:
        return torch.cat(list(parts)).T
    index, num_nodes = torch.from_numpy(nodes).to(z.device), int(nodes.max()) + 1
    return torch.cat([scatter_mean(part, index, num_nodes) for part in parts], dim=1)


def _find_regions(image: Array, superpixels: Image | None, config: Config) -> NDArray[np.int64]:
    """The superpixel of each pixel, ``(H, W)``."""
    if superpixels is None:
        return compute_superpixels(image, **config.superpixel_options())
    labels = as_array(superpixels)
    if labels.shape != image.shape[1:]:
        raise InputError(
            f"superpixels: size {labels.shape} is not that of the image, {image.shape[1:]}; resize "
            "the label map with nearest-neighbour interpolation."
        )
    return connected_regions(labels)


def training_image(
    image: Array, mask: Image | None, superpixels: Image | None, config: Config
) -> TrainingImage:
    """Image, label map and mask at the resolution of the network, and the graph there."""
    small = scale_down(image, config.max_size)
    size = small.shape[1:]
    labels = None if superpixels is None else scale_labels(superpixels, size)
    inside = None if mask is None else scale_mask(mask, size)
    return TrainingImage(
        add_hessian_features(small, config.hessian_scales), to_graph(labels, config)(small), inside
    )


def _refuse_superpixels(superpixels: Image | None) -> None:
    if superpixels is not None:
        raise InputError(
            "superpixels: cannot be used with nodes='pixels'; leave them out, or use "
            "nodes='superpixels'."
        )
