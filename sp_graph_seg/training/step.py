"""One image in one training step: its losses (Eq. 9) and their gradients."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Generator, Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.nn import (
    SuperpixelNet,
    argmax_labels,
    continuity_loss,
    dense_continuity_loss,
    kmeans_labels,
    ncut_loss,
    pixel_labels,
    reconstruction_loss,
    similarity_loss,
    sort_edges,
    total_loss,
)
from sp_graph_seg.nn.superpixel_net import pixels_inside
from sp_graph_seg.training.patches import PatchSampler, PatchWindows, cut_patches
from sp_graph_seg.transforms import affinity, softmax_adjacency


@dataclass(frozen=True)
class TrainingImage:
    """An image and its graph, whose nodes hold the pixels that are data."""

    image: Tensor
    """``(C, H, W)``, values in [0, 1]."""
    graph: Data
    """Of the same image, from :class:`~sp_graph_seg.transforms.ToRAG`, or, where the nodes are
    pixels, from :class:`~sp_graph_seg.transforms.ToPixelGraph`; with the mask of the data, if not
    all pixels are."""

    @property
    def inside(self) -> Tensor | None:
        """The pixels that are data, ``(H, W)`` bool; ``None`` if all are."""
        if "pixel_mask" not in self.graph:
            return None
        return self.graph.pixel_mask.view(self.image.shape[1:])


@dataclass(frozen=True)
class Subject:
    """A training image on the device of the network, with all that does not change."""

    image: Tensor
    inside: Tensor | None
    pixel_index: Tensor
    num_nodes: int
    edges: EdgeIndex
    adjacency: Tensor
    affinity: Tensor
    sampler: PatchSampler

    @classmethod
    def make(
        cls, training: TrainingImage, config: Config, generator: Generator, fabric: Fabric
    ) -> "Subject":
        """Moves an image to the device and computes the weights of its edges."""
        graph, height, width = training.graph, *training.image.shape[1:]
        distance = graph.edge_attr[:, 0]
        edges, _ = sort_edges(fabric.to_device(graph.edge_index), graph.num_nodes)
        adjacency = softmax_adjacency(distance, graph.edge_index, graph.num_nodes, config.tau_con)
        inside = training.inside
        return cls(
            image=fabric.to_device(training.image),
            inside=None if inside is None else fabric.to_device(inside),
            pixel_index=fabric.to_device(graph.pixel_index),
            num_nodes=graph.num_nodes,
            edges=edges,
            adjacency=fabric.to_device(adjacency),
            affinity=fabric.to_device(affinity(distance, config.tau_cut)),
            sampler=PatchSampler(
                (height, width),
                config.patches if uses_patches(config) else (),
                config.minibatches,
                generator,
                config.redraw_patches,
                inside,
                config.foreground,
            ),
        )

    @property
    def inputs(self) -> tuple[Tensor, Tensor, int, EdgeIndex, Tensor, Tensor | None]:
        """What the network is called with."""
        return (
            self.image,
            self.pixel_index,
            self.num_nodes,
            self.edges,
            self.adjacency,
            self.inside,
        )


@dataclass(frozen=True)
class Terms:
    """The losses of one image in one step, and the labels that its nodes have."""

    losses: dict[str, Tensor]
    total: Tensor
    labels: Tensor


def backward_all(
    fabric: Fabric,
    model: SuperpixelNet,
    subjects: Sequence[Subject],
    windows: Sequence[list[PatchWindows]],
    config: Config,
) -> list[Terms]:
    """Adds up the gradients of the mean of Eq. 9 over the images."""
    terms = []
    for subject, own_windows in zip(subjects, windows, strict=True):
        losses, labels = _losses(model, subject, own_windows, config)
        total = total_loss(losses, betas(config))
        fabric.backward(total / len(subjects))
        detached = {name: loss.detach() for name, loss in losses.items()}
        terms.append(Terms(detached, total.detach(), labels))
    return terms


def _losses(
    model: SuperpixelNet, subject: Subject, windows: list[PatchWindows], config: Config
) -> tuple[dict[str, Tensor], Tensor]:
    """The losses of one image whose weight in Eq. 9 is not 0, and its nodes' labels."""
    z, x = model(*subject.inputs)
    f = x.softmax(dim=-1)  # (N, F)
    features = x if config.loss_input == "logits" else f
    losses: dict[str, Tensor] = {}
    if betas(config)["rec"]:
        if config.reconstruction == "image":
            losses["rec"] = reconstruction_loss(model.decode(z), subject.image, subject.inside)
        else:
            losses["rec"] = _reconstruct_patches(model, subject, windows)
    if config.beta_cut:
        losses["cut"] = ncut_loss(f, subject.edges, subject.affinity)
    if config.beta_sim:
        losses["sim"] = _similarity(z, x, features, subject, config)
    if config.beta_con and config.nodes == "pixels":
        grid = (
            features.T.reshape(-1, *z.shape[1:])
            if subject.inside is None
            else _paint(features, subject.inside)
        )
        losses["con"] = dense_continuity_loss(grid, subject.inside)
    elif config.beta_con:
        losses["con"] = continuity_loss(features, subject.edges, subject.adjacency)
    return losses, x.detach().argmax(dim=-1).unique()


def _reconstruct_patches(
    model: SuperpixelNet, subject: Subject, windows: list[PatchWindows]
) -> Tensor:
    """Mean squared error over all pixels of the patches that are data."""
    batches = [cut_patches(subject.image, shape) for shape in windows]
    if subject.inside is None:
        masks: list[Tensor | None] = [None] * len(batches)
        weights = [batch[:, 0].numel() for batch in batches]
    else:
        masks = [cut_patches(subject.inside[None], shape)[:, 0] for shape in windows]
        weights = [int(mask.sum()) for mask in masks if mask is not None]
    parts = [
        reconstruction_loss(model.reconstruct(batch), batch, mask) * (weight / max(1, sum(weights)))
        for batch, mask, weight in zip(batches, masks, weights, strict=True)
    ]
    return torch.stack(parts).sum()


def _paint(features: Tensor, inside: Tensor) -> Tensor:
    """Features of the pixels inside ``(N, F)`` on the grid ``(F, H, W)``, 0 outside."""
    grid = features.new_zeros(inside.numel(), features.size(1))
    return grid.masked_scatter(inside.view(-1, 1), features).T.view(-1, *inside.shape)


def _similarity(z: Tensor, x: Tensor, features: Tensor, subject: Subject, config: Config) -> Tensor:
    """The similarity loss of the nodes, or of their pixels."""
    y = _similarity_labels(z, x, subject, config)
    if config.similarity_on == "nodes":
        return similarity_loss(features, y)
    pixels = pixels_inside(z, subject.inside).T  # (P, F)
    pixels = pixels if config.loss_input == "logits" else pixels.softmax(dim=-1)
    return similarity_loss(pixels, y[subject.pixel_index])


def _similarity_labels(z: Tensor, x: Tensor, subject: Subject, config: Config) -> Tensor:
    if config.similarity_labels == "pixels":
        pixels = pixels_inside(z, subject.inside)
        return pixel_labels(pixels, subject.pixel_index, subject.num_nodes)
    if config.similarity_labels == "kmeans" and x.isfinite().all():
        return kmeans_labels(x)
    return argmax_labels(x)  # also where K-means has no answer: the loss is NaN anyway


def betas(config: Config) -> dict[str, float]:
    """The weights of Eq. 9."""
    return {
        "rec": 0.0 if config.reconstruction == "none" else config.beta_rec,
        "cut": config.beta_cut,
        "sim": config.beta_sim,
        "con": config.beta_con,
    }


def uses_patches(config: Config) -> bool:
    """Whether the reconstruction loss counts and is that of patches."""
    return config.beta_rec > 0 and config.reconstruction == "patch"
