"""One training step: the losses of each image (Eq. 9) and their gradients."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sp_graph_seg.config import Config
from sp_graph_seg.nn import SuperpixelNet, total_loss
from sp_graph_seg.training.device import autocast
from sp_graph_seg.training.losses import LOSSES, ForwardPass, betas
from sp_graph_seg.training.patches import PatchWindows
from sp_graph_seg.training.subject import Subject


@dataclass(frozen=True)
class Terms:
    """The losses of one image in one step, and the labels that its nodes have."""

    losses: dict[str, Tensor]
    total: Tensor
    labels: Tensor


def backward_all(
    model: SuperpixelNet,
    subjects: Sequence[Subject],
    windows: Sequence[list[PatchWindows]],
    config: Config,
    scaler: torch.amp.GradScaler,
) -> list[Terms]:
    """Adds up the gradients of the mean of Eq. 9 over the images."""
    terms = []
    for subject, own_windows in zip(subjects, windows, strict=True):
        losses, labels = _losses(model, subject, own_windows, config)
        total = total_loss(losses, betas(config))
        scaler.scale(total / len(subjects)).backward()
        detached = {name: loss.detach() for name, loss in losses.items()}
        terms.append(Terms(detached, total.detach(), labels))
    return terms


def _losses(
    model: SuperpixelNet, subject: Subject, windows: list[PatchWindows], config: Config
) -> tuple[dict[str, Tensor], Tensor]:
    """The losses of one image whose weight in Eq. 9 is not 0, and its nodes' labels."""
    with autocast(config, subject.image.device):
        z, x = model(*subject.inputs)
        x = x.float()  # a head may leave half precision
        step = ForwardPass(model, subject, windows, config, z, x)
        losses = {name: LOSSES[name].compute(step) for name, beta in betas(config).items() if beta}
    return losses, x.detach().argmax(dim=-1).unique()
