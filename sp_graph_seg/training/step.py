"""One step of training: the losses of each image (Eq. 9) and their gradients."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sp_graph_seg.config import Config
from sp_graph_seg.nn import SuperpixelNet, total_loss
from sp_graph_seg.training.device import autocast
from sp_graph_seg.training.losses import LOSSES, ForwardPass, betas
from sp_graph_seg.training.patches import PatchPositions
from sp_graph_seg.training.subject import Subject


@dataclass(frozen=True)
class Terms:
    """The losses of one image in one step, and the labels that occur among its nodes."""

    losses: dict[str, Tensor]
    total: Tensor
    labels: Tensor


#: An image and the positions of its patches in a step, shape by shape.
Turn = tuple[Subject, list[PatchPositions]]


def backward_all(
    model: SuperpixelNet,
    turns: Sequence[Turn],
    config: Config,
    scaler: torch.amp.GradScaler,
) -> list[Terms]:
    """Computes the losses and the gradients of one step.

    The gradients of the mean of the total loss (Eq. 9) over the images are added to the gradients
    of the network's parameters.

    Returns:
        The losses and the labels of each image.
    """
    terms = []
    for subject, patches in turns:
        losses, labels = _losses(model, subject, patches, config)
        total = total_loss(losses, betas(config))
        scaler.scale(total / len(turns)).backward()
        detached = {name: loss.detach() for name, loss in losses.items()}
        terms.append(Terms(detached, total.detach(), labels))
    return terms


def _losses(
    model: SuperpixelNet, subject: Subject, patches: list[PatchPositions], config: Config
) -> tuple[dict[str, Tensor], Tensor]:
    """Computes all losses of one image whose weight is not 0, and finds the labels of its nodes."""
    with autocast(config, subject.image.device):
        image, graph, inside = subject.inputs
        z = model.encode(image)
        means = model.node_means(z, graph, inside)
        x = model.cluster(means, graph).float()  # a head may leave half precision
        step = ForwardPass(model, subject, patches, config, z, means, x)
        losses = {name: LOSSES[name].compute(step) for name, beta in betas(config).items() if beta}
    return losses, x.detach().argmax(dim=-1).unique()
