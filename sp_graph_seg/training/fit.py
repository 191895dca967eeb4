"""The one training loop: Eq. 9, minimised over one or several images."""

import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import update_bn

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import SuperpixelNet, WNet
from sp_graph_seg.training.device import find_device, make_scaler
from sp_graph_seg.training.history import History, Step
from sp_graph_seg.training.losses import LOSSES, betas
from sp_graph_seg.training.patches import PatchWindows
from sp_graph_seg.training.seeding import seeded
from sp_graph_seg.training.step import Terms, backward_all
from sp_graph_seg.training.subject import Subject, TrainingImage, uses_patches

OnStep = Callable[[Step], None]


def fit(
    net: SuperpixelNet,
    images: Sequence[TrainingImage],
    config: Config,
    on_step: OnStep | None = None,
) -> History:
    """Trains a network in place with Adam, on one or several images of any sizes.

    Every step sees all images: the loss is the mean of Eq. 9 over them, each with its own graph and
    its own patches. Gradients are added up image by image, so that memory does not grow with their
    number. After the last step all batch normalisation in the encoder and the head is set to the
    mean of the statistics of the whole images, which the running averages had only trailed.
    Training ends early when no more than ``config.min_labels`` labels are left.

    Args:
        net: The network; it ends on the device that it came from, in evaluation mode.
        images: The images.
        config: Betas, patches, epochs, learning rate, seed, device and precision.
        on_step: Called after every step.

    Returns:
        The history of the losses.

    Raises:
        InputError: If the device or precision cannot be had here, no loss has a weight, a patch is
            too small for the network or there are fewer than mini-batches, or the losses or the
            weights are no longer finite.
    """
    if not images:
        raise InputError("images: there is none; give one or more.")
    _check_config(net.wnet, net.head is not None, config)
    home = next(net.parameters()).device
    device = find_device(config)
    net.to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
    scaler = make_scaler(config, device)
    generator = Generator().manual_seed(config.seed)
    subjects = [Subject.make(image, config, generator, device) for image in images]

    history = History()
    start = time.perf_counter()
    net.train()
    with seeded(config.seed):  # for layers that draw, such as dropout
        for epoch, windows in _batches(subjects, config.epochs):
            optimizer.zero_grad()
            terms = backward_all(net, subjects, windows, config, scaler)
            scaler.step(optimizer)
            scaler.update()
            step = _summarize(terms, len(history) + 1, epoch, time.perf_counter() - start)
            step = history.append(step)
            if on_step is not None:
                on_step(step)
            if not math.isfinite(step["loss"]):
                raise _diverged(config, f"the loss is {step['loss']} in step {step['step']}")
            if step["num_labels"] <= config.min_labels:
                break
        update_bn(subjects, _EncoderAndHead(net))
    net.eval()
    if not all(value.isfinite().all() for value in net.state_dict().values()):
        raise _diverged(config, "the last step led to weights that are not finite")
    net.to(home)
    return history


def _batches(
    subjects: Sequence[Subject], epochs: int
) -> Iterator[tuple[int, tuple[list[PatchWindows], ...]]]:
    """For every step its epoch, from 1, and the windows of each image."""
    for epoch in range(1, epochs + 1):
        for windows in zip(*(subject.sampler.epoch() for subject in subjects), strict=True):
            yield epoch, windows


class _EncoderAndHead(nn.Module):
    """The part of the network that predicts, as ``update_bn`` calls it."""

    def __init__(self, net: SuperpixelNet) -> None:
        super().__init__()
        self.encoder, self.head = net.wnet.encoder, net.head  # whose statistics are set
        self._forward = net.forward

    def forward(self, subject: Subject) -> None:
        self._forward(*subject.inputs)


def _summarize(terms: Sequence[Terms], step: int, epoch: int, seconds: float) -> Step:
    def mean(values: Iterator[Tensor]) -> float:
        return torch.stack(list(values)).mean().item()

    losses = {
        name: mean(term.losses[name] for term in terms) if name in terms[0].losses else math.nan
        for name in LOSSES
    }
    return {
        "step": step,
        "epoch": epoch,
        "loss": mean(term.total for term in terms),
        **losses,
        "num_labels": len(torch.cat([term.labels for term in terms]).unique()),
        "seconds": seconds,
    }


def _check_config(wnet: WNet, has_head: bool, config: Config) -> None:
    if not any(betas(config).values()):
        names = ", ".join(f"beta_{name}" for name in LOSSES)
        raise InputError(
            f"{names}: no loss has a weight; make one of them positive (beta_rec does not count "
            "with reconstruction='none')."
        )
    if config.similarity_on == "pixels" and config.beta_sim and has_head:
        raise InputError(
            "similarity_on='pixels' compares pixels that no head has seen; use 'nodes' with a head."
        )
    if not uses_patches(config):
        return
    most = max(count for count, _, _ in config.patches)
    if most < config.minibatches:
        raise InputError(
            f"patches: {most} of a shape are too few for minibatches={config.minibatches}; give "
            "more patches or fewer mini-batches."
        )
    smallest = min(min(height, width) for _, height, width in config.patches)
    if smallest < wnet.min_size:
        raise InputError(
            f"patches: {smallest} pixels are too few for depth={config.depth}, which needs "
            f"{wnet.min_size}; give larger patches or a smaller depth."
        )


def _diverged(config: Config, what: str) -> InputError:
    return InputError(
        f"learning_rate={config.learning_rate}: {what}; try a smaller learning rate or smaller "
        "betas."
    )
