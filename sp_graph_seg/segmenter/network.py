"""Makes the network of a Segmenter, and evaluates it without changing it."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import SuperpixelNet, WNet, check_image_head, graph_of_head, make_head
from sp_graph_seg.training import seeded
from sp_graph_seg.transforms.features import PER_SCALE
from sp_graph_seg.transforms.superpixels import MASKED


def make_net(in_channels: int, config: Config, head: nn.Module | None) -> SuperpixelNet:
    """Makes a network with random weights, drawn with the seed of the configuration.

    The global random state does not change.
    """
    seen_channels = in_channels * (1 + PER_SCALE * len(config.hessian_scales))
    with seeded(config.seed):
        wnet = WNet(seen_channels, config.num_features, config.width, config.depth)
        named = make_head(config.head, config.num_features, config.head_layers)
    return SuperpixelNet(wnet, named if head is None else copy.deepcopy(head), in_channels)


def check_any_image_head(head: nn.Module, num_features: int) -> None:
    """Checks that a head can be called on the graph of a colour image or of a grey image.

    The number of channels of the image need not be known yet. Lazy layers get their sizes.

    Raises:
        InputError: If the head can be called neither on the graph of a colour image nor on the
            graph of a grey image.
    """
    try:
        check_image_head(head, num_features, color_dim=3)
    except InputError:
        check_image_head(head, num_features, color_dim=1)


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Sets evaluation mode, and restores the mode of every module afterwards."""
    training = [module for module in net.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def encode(net: SuperpixelNet, seen: Tensor) -> Tensor:
    """Computes the features z ``(F, h, w)`` of an image on the device of the network."""
    with evaluating(net), torch.no_grad():
        return net.encode(seen.to(next(net.parameters()).device))


def cluster(net: SuperpixelNet, x: Tensor, graph: Data | None, tau_cut: float) -> Tensor:
    """Computes the features of nodes from the means of z over the nodes: ``(N, F)`` -> ``(N, F')``.

    The index of the largest feature of a node is its label.
    """
    if graph is None or net.head is None:
        return x
    seen = graph_of_head(graph, tau_cut).to(str(x.device))
    with evaluating(net), torch.no_grad():
        return net.cluster(x, seen)


def paint_margins(x: Tensor, nodes: NDArray[np.int64] | None) -> NDArray[np.float32]:
    """Computes the margin of each pixel from the features ``x (N, F)`` of its node.

    The margin is the difference of the two largest values in the softmax of the features.
    """
    if x.size(-1) == 1:
        margins = np.ones(len(x), np.float32)
    else:
        first, second = x.float().softmax(dim=-1).topk(2).values.cpu().numpy().T
        margins = first - second
    return margins if nodes is None else np.append(margins, np.float32(0))[nodes]


def paint(x: Tensor, nodes: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Labels each pixel by the largest feature of its node. ``x (N, F)`` holds the features."""
    labels = x.argmax(dim=-1).cpu().numpy()
    return (
        labels if nodes is None else np.append(labels, MASKED)[nodes]
    )  # index -1 is the last entry
