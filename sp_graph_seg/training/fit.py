"""The one training loop: Eq. 9, minimised over one or several images."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Generator, Tensor
from torch.optim.swa_utils import update_bn
from torch_geometric import EdgeIndex
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.nn import (
    SuperpixelNet,
    WNet,
    continuity_loss,
    kmeans_labels,
    ncut_loss,
    pixel_labels,
    reconstruction_loss,
    similarity_loss,
    sort_edges,
    total_loss,
)
from sp_graph_seg.training.history import History, Step
from sp_graph_seg.training.patches import PatchSampler, PatchWindows, cut_patches
from sp_graph_seg.transforms import affinity, softmax_adjacency

OnStep = Callable[[Step], None]


@dataclass(frozen=True)
class TrainingImage:
    """An image, its graph and the part of it that its patches should show."""

    image: Tensor
    """``(C, H, W)``, values in [0, 1]."""
    graph: Data
    """Of the same image, from :class:`~sp_graph_seg.transforms.ToRAG`."""
    mask: Tensor | None = None
    """``(H, W)`` bool; ``None`` for the whole image."""


def fit(
    net: SuperpixelNet,
    images: Sequence[TrainingImage],
    config: Config,
    on_step: OnStep | None = None,
) -> History:
    """Trains a network in place with Adam, on one or several images of any sizes.

    Every step sees all images: the loss is the mean of Eq. 9 over them, each with its own graph and
    its own patches. Gradients are added up image by image, so that memory does not grow with their
    number. After the last step the encoder's batch normalisation is set to the statistics of the
    whole images, which the running averages over images and patches had only trailed.

    Args:
        net: The network; it ends on the device that it came from, in training mode.
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
    _check_config(net.wnet, config)
    home = next(net.parameters()).device
    fabric = _make_fabric(config)
    optimizer = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
    net.train()
    model, optimizer = fabric.setup(net, optimizer)
    model.mark_forward_method("reconstruct")
    generator = Generator().manual_seed(config.seed)
    subjects = [_Subject.make(image, config, generator, fabric) for image in images]

    history = History()
    start = time.perf_counter()
    for epoch in range(1, config.epochs + 1):
        for windows in zip(*(subject.sampler.epoch() for subject in subjects), strict=True):
            optimizer.zero_grad()
            terms = _backward_all(fabric, model, subjects, windows, config)
            optimizer.step()
            step = _summarize(terms, len(history) + 1, epoch, time.perf_counter() - start)
            history.append(step)
            if on_step is not None:
                on_step(step)
            if not math.isfinite(step["loss"]):
                raise _diverged(config, f"the loss is {step['loss']} in step {step['step']}")
    update_bn([subject.image.unsqueeze(0) for subject in subjects], net.wnet.encoder)
    if not all(value.isfinite().all() for value in net.state_dict().values()):
        raise _diverged(config, "the last step led to weights that are not finite")
    net.to(home)
    return history


@dataclass(frozen=True)
class _Subject:
    """A training image on the device of the network, with all that does not change."""

    image: Tensor
    pixel_index: Tensor
    num_nodes: int
    edges: EdgeIndex
    adjacency: Tensor
    affinity: Tensor
    sampler: PatchSampler

    @classmethod
    def make(
        cls, training: TrainingImage, config: Config, generator: Generator, fabric: Fabric
    ) -> "_Subject":
        graph, height, width = training.graph, *training.image.shape[1:]
        distance = graph.edge_attr[:, 0]
        edges, _ = sort_edges(fabric.to_device(graph.edge_index), graph.num_nodes)
        adjacency = softmax_adjacency(distance, graph.edge_index, graph.num_nodes, config.tau_con)
        return cls(
            image=fabric.to_device(training.image),
            pixel_index=fabric.to_device(graph.pixel_index),
            num_nodes=graph.num_nodes,
            edges=edges,
            adjacency=fabric.to_device(adjacency),
            affinity=fabric.to_device(affinity(distance, config.tau_cut)),
            sampler=PatchSampler(
                (height, width),
                config.patches if _uses_patches(config) else (),
                config.minibatches,
                generator,
                config.redraw_patches,
                training.mask,
                config.foreground,
            ),
        )


@dataclass(frozen=True)
class _Terms:
    """The losses of one image in one step, and the labels that its nodes have."""

    losses: dict[str, Tensor]
    total: Tensor
    labels: Tensor


def _backward_all(
    fabric: Fabric,
    model: SuperpixelNet,
    subjects: Sequence[_Subject],
    windows: Sequence[list[PatchWindows]],
    config: Config,
) -> list[_Terms]:
    """Adds up the gradients of the mean of Eq. 9 over the images."""
    terms = []
    for subject, own_windows in zip(subjects, windows, strict=True):
        losses, labels = _losses(model, subject, own_windows, config)
        total = total_loss(losses, _betas(config))
        fabric.backward(total / len(subjects))
        detached = {name: loss.detach() for name, loss in losses.items()}
        terms.append(_Terms(detached, total.detach(), labels))
    return terms


def _losses(
    model: SuperpixelNet, subject: _Subject, windows: list[PatchWindows], config: Config
) -> tuple[dict[str, Tensor], Tensor]:
    """The losses of one image whose weight in Eq. 9 is not 0, and its nodes' labels."""
    z, x = model(
        subject.image, subject.pixel_index, subject.num_nodes, subject.edges, subject.adjacency
    )
    f = x.softmax(dim=-1)  # (N, F)
    features = x if config.loss_input == "logits" else f
    losses: dict[str, Tensor] = {}
    if _betas(config)["rec"]:
        losses["rec"] = _reconstruction(model, subject.image, windows, config)
    if config.beta_cut:
        losses["cut"] = ncut_loss(f, subject.edges, subject.affinity)
    if config.beta_sim:
        y = _similarity_labels(z, x, subject, config)
        losses["sim"] = similarity_loss(features, y)
    if config.beta_con:
        losses["con"] = continuity_loss(features, subject.edges, subject.adjacency)
    return losses, x.detach().argmax(dim=-1).unique()


def _reconstruction(
    model: SuperpixelNet, image: Tensor, windows: list[PatchWindows], config: Config
) -> Tensor:
    """Mean squared error over all pixels of the patches, or of the whole image."""
    if config.reconstruction == "image":
        whole = image.unsqueeze(0)
        return reconstruction_loss(model.reconstruct(whole), whole)
    batches = [cut_patches(image, shape) for shape in windows]
    pixels = sum(batch.numel() for batch in batches)
    parts = [
        reconstruction_loss(model.reconstruct(batch), batch) * (batch.numel() / pixels)
        for batch in batches
    ]
    return torch.stack(parts).sum()


def _similarity_labels(z: Tensor, x: Tensor, subject: _Subject, config: Config) -> Tensor | None:
    if config.similarity_labels == "pixels":
        return pixel_labels(z, subject.pixel_index, subject.num_nodes)
    if config.similarity_labels == "kmeans" and x.isfinite().all():
        return kmeans_labels(x)
    return None  # the largest feature; where K-means has no answer the loss is NaN anyway


def _betas(config: Config) -> dict[str, float]:
    return {
        "rec": 0.0 if config.reconstruction == "none" else config.beta_rec,
        "cut": config.beta_cut,
        "sim": config.beta_sim,
        "con": config.beta_con,
    }


def _summarize(terms: Sequence[_Terms], step: int, epoch: int, seconds: float) -> Step:
    def mean(values: Iterator[Tensor]) -> float:
        return torch.stack(list(values)).mean().item()

    losses = {
        name: mean(term.losses[name] for term in terms) if name in terms[0].losses else math.nan
        for name in ("rec", "cut", "sim", "con")
    }
    return Step(
        step=step,
        epoch=epoch,
        loss=mean(term.total for term in terms),
        num_labels=len(torch.cat([term.labels for term in terms]).unique()),
        seconds=seconds,
        **losses,  # type: ignore[typeddict-item]
    )


def _uses_patches(config: Config) -> bool:
    return config.beta_rec > 0 and config.reconstruction == "patch"


def _check_config(wnet: WNet, config: Config) -> None:
    if not any(_betas(config).values()):
        raise InputError(
            "beta_rec, beta_cut, beta_sim, beta_con: no loss has a weight; make one of them "
            "positive (beta_rec does not count with reconstruction='none')."
        )
    if not _uses_patches(config):
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


def _make_fabric(config: Config) -> Fabric:
    try:
        return Fabric(accelerator=config.accelerator, devices=1, precision=config.precision)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"accelerator={config.accelerator!r}, precision={config.precision!r}: {reason}"
        ) from error
