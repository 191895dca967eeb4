"""The network of a Segmenter: made from its configuration, and asked without being changed."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from sp_graph_seg.config import Config
from sp_graph_seg.nn import SuperpixelNet, WNet, make_head
from sp_graph_seg.training import seeded
from sp_graph_seg.transforms.features import PER_SCALE


def make_net(in_channels: int, config: Config, head: nn.Module | None) -> SuperpixelNet:
    """A network whose weights depend on the seed alone; the global random state stays."""
    seen_channels = in_channels * (1 + PER_SCALE * len(config.hessian_scales))
    with seeded(config.seed):
        wnet = WNet(seen_channels, config.num_features, config.width, config.depth)
        named = make_head(config.head, config.num_features, config.head_layers)
    return SuperpixelNet(wnet, named if head is None else copy.deepcopy(head))


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards the mode that every module had before."""
    training = [module for module in net.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
