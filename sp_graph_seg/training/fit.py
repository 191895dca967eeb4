"""The training loop, which minimises the total loss (Eq. 9) over one or several images."""

import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import update_bn

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import SuperpixelNet, WNet
from sp_graph_seg.training.checkpoint import Checkpoint
from sp_graph_seg.training.device import find_device, make_scaler
from sp_graph_seg.training.history import History, Step
from sp_graph_seg.training.losses import LOSSES, betas
from sp_graph_seg.training.seeding import GlobalRandom, seeded
from sp_graph_seg.training.step import Terms, Turn, backward_all
from sp_graph_seg.training.subject import Subject, TrainingImage, uses_patches
from sp_graph_seg.training.verdict import warn_of_collapse, warn_of_divergence

OnStep = Callable[[Step], None]


def fit(
    net: SuperpixelNet,
    images: Sequence[TrainingImage],
    config: Config,
    on_step: OnStep | None = None,
) -> History:
    """Trains a network in place with Adam, on one or several images of any sizes.

    Every step uses all images, or ``config.images_per_step`` images in random order. The loss of a
    step is the mean of the total loss (Eq. 9) over its images. Each image has its own graph and
    patches.
    In an epoch, each image is used in ``config.minibatches`` steps, and all its patches are used.
    The gradients are computed for one image after another, so the memory does not grow with the
    number of images in a step.

    After the last step, all batch normalisation in the encoder and the head is set to the
    statistics of the whole images, because the running averages lag behind. Training ends early
    when the images of a step have at most ``config.min_labels`` labels. A :class:`TrainingWarning
    <sp_graph_seg.errors.TrainingWarning>` is issued if the loss grew, or if only one label is left.

    Args:
        net: The network. After training, it is on its original device and in evaluation mode.
        images: The training images.
        config: Betas, patches, epochs, learning rate, seed, device and precision.
        on_step: Called after every step with its row of the history.

    Returns:
        The history of the losses.

    Raises:
        InputError: If the device or precision is not available, all weights of losses are 0, a
            patch is too small for the network, there are fewer patches than mini-batches, or the
            losses or the weights of the network become NaN or Inf.
    """
    if not images:
        raise InputError("images: the sequence is empty; give one image or more.")
    _check_config(net.wnet, net.head is not None, config)
    home = next(net.parameters()).device
    device = find_device(config)
    net.to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
    scaler = make_scaler(config, device)
    generator = Generator().manual_seed(config.seed)
    subjects = [Subject.make(image, config, generator, device) for image in images]

    checkpoint = Checkpoint(net, optimizer=optimizer, scaler=scaler, random=GlobalRandom())
    net.train()
    with seeded(config.seed):  # for layers that draw, such as dropout
        history = checkpoint.restore(on_step)
        start = time.perf_counter() - history.seconds
        steps = _batches(subjects, config, generator)
        for number, (epoch, turns) in enumerate(steps, start=1):
            if number <= len(history):
                continue  # done before an interruption
            if history.num_labels <= config.min_labels:
                break
            optimizer.zero_grad()
            terms = backward_all(net, turns, config, scaler)
            scaler.step(optimizer)
            scaler.update()
            step = _summarize(terms, len(history) + 1, epoch, time.perf_counter() - start)
            step = history.append(step)
            history.labels = _labels(terms)
            if on_step is not None:
                on_step(step)
            if not math.isfinite(step["loss"]):
                raise _diverged(config, f"the loss is {step['loss']} in step {step['step']}")
            checkpoint.keep(history)
        checkpoint.keep(history, is_last=True)
        update_bn(subjects, _EncoderAndHead(net))
    net.eval()
    if not all(value.isfinite().all() for value in net.state_dict().values()):
        raise _diverged(config, "some weights are NaN or Inf after the last step")
    warn_of_divergence(history, config)
    if all(image.labels is None for image in images):
        most_nodes = max(int(image.graph.num_nodes) for image in images)
        warn_of_collapse(_count_labels(net, subjects), most_nodes, config)
    net.to(home)
    return history


@torch.no_grad()
def _count_labels(net: SuperpixelNet, subjects: Sequence[Subject]) -> int:
    """Counts the labels of all nodes of the images."""
    found = [net(*subject.inputs)[1].argmax(dim=-1).unique() for subject in subjects]
    return len(torch.cat(found).unique())


def count_steps(config: Config, num_images: int) -> int:
    """Returns the number of steps of a training on ``num_images`` images."""
    if config.label_by == "phases":  # whose steps do not depend on the number of images
        return config.epochs * config.minibatches
    return config.epochs * config.minibatches * math.ceil(num_images / _at_once(config, num_images))


def _at_once(config: Config, num_images: int) -> int:
    return min(config.images_per_step or num_images, num_images)


def _batches(
    subjects: Sequence[Subject], config: Config, generator: Generator
) -> Iterator[tuple[int, list[Turn]]]:
    """Yields the epoch of every step, from 1, and the images of the step with their patches."""
    at_once = _at_once(config, len(subjects))
    for epoch in range(1, config.epochs + 1):
        for patches in zip(*(subject.sampler.epoch() for subject in subjects), strict=True):
            turns = list(zip(subjects, patches, strict=True))
            if at_once < len(turns):
                order = torch.randperm(len(turns), generator=generator).tolist()
                turns = [turns[number] for number in order]
            for start in range(0, len(turns), at_once):
                yield epoch, turns[start : start + at_once]


class _EncoderAndHead(nn.Module):
    """The encoder and the head, as a module for ``update_bn``."""

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
        "num_labels": len(_labels(terms)),
        "seconds": seconds,
    }


def _labels(terms: Sequence[Terms]) -> tuple[int, ...]:
    """Returns the labels of the nodes of all images, in ascending order."""
    return tuple(torch.cat([term.labels for term in terms]).unique().tolist())


def _check_config(wnet: WNet, has_head: bool, config: Config) -> None:
    if not any(betas(config).values()):
        names = ", ".join(f"beta_{name}" for name in LOSSES)
        raise InputError(
            f"{names}: all weights are 0 or ignored (beta_rec is ignored with "
            "reconstruction='none'); set at least one weight that is not ignored above 0."
        )
    if config.similarity_on == "pixels" and config.beta_sim and has_head:
        raise InputError(
            "similarity_on='pixels' cannot be used with a head, because a head refines only nodes; "
            "use similarity_on='nodes'."
        )
    if not uses_patches(config):
        return
    most = max(count for count, _, _ in config.patches)
    if most < config.minibatches:
        raise InputError(
            f"patches: {most} patches of one shape are too few for "
            f"minibatches={config.minibatches}; use more patches or fewer mini-batches."
        )
    smallest = min(min(height, width) for _, height, width in config.patches)
    if smallest < wnet.min_size:
        raise InputError(
            f"patches: {smallest} pixels are too few for depth={config.depth}, which needs at "
            f"least {wnet.min_size} pixels in height and width; use larger patches or a smaller "
            "depth."
        )


def _diverged(config: Config, what: str) -> InputError:
    return InputError(
        f"learning_rate={config.learning_rate}: {what}; use a smaller learning rate or smaller "
        "betas."
    )
