"""The table of the losses in Eq. 9: their names and the functions that compute them.

The history, the progress, the plots and the reports use this table. The weight of a loss is a field
of :class:`~sp_graph_seg.Config`: ``beta_rec`` for the loss ``rec``, for example.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

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
)
from sp_graph_seg.nn.superpixel_net import pixels_inside
from sp_graph_seg.training.patches import PatchPositions, cut_patches
from sp_graph_seg.training.subject import Subject


@dataclass(frozen=True)
class ForwardPass:
    """Everything that the losses of one image need in one step, such as its features."""

    model: SuperpixelNet
    subject: Subject
    patches: list[PatchPositions]
    """The positions of the patches to reconstruct, one entry for each shape."""
    config: Config
    z: Tensor
    """Features of the pixels, ``(F, H, W)``."""
    means: Tensor
    """The mean of the features of the pixels over each node, ``(N, F)``."""
    x: Tensor
    """Features of the nodes: the output of the head or, without a head, ``means``."""

    @cached_property
    def memberships(self) -> Tensor:
        """The softmax of the features ``x`` of each node."""
        return self.x.softmax(dim=-1)

    @property
    def judged(self) -> list[Tensor]:
        """The features of the nodes for the similarity and continuity losses, before softmax.

        The list has one tensor. If there is a head and ``head_losses`` of the configuration is
        ``"both"``, it has two tensors: the features before and after the head.
        """
        has_both = self.model.head is not None and self.config.head_losses == "both"
        return [self.means, self.x] if has_both else [self.x]

    def in_loss(self, x: Tensor) -> Tensor:
        """Applies softmax to features. With ``loss_input="logits"``, returns them unchanged."""
        return x if self.config.loss_input == "logits" else x.softmax(dim=-1)


def _always(_: Config) -> bool:
    return True


@dataclass(frozen=True)
class Loss:
    """One loss of Eq. 9: its name in plots and the function that computes it."""

    title: str
    """Name in plots."""
    compute: Callable[[ForwardPass], Tensor]
    """Computes the loss of one image in one step, a scalar before weighting."""
    counts: Callable[[Config], bool] = _always
    """Tells whether a configuration allows the loss. If not, the weight of the loss is ignored."""


def _reconstruction(step: ForwardPass) -> Tensor:
    if step.config.reconstruction == "image":
        return reconstruction_loss(
            step.model.decode(step.z), step.subject.image, step.subject.inside
        )
    return _patch_reconstruction(step.model, step.subject, step.patches)


def _patch_reconstruction(
    model: SuperpixelNet, subject: Subject, patches: list[PatchPositions]
) -> Tensor:
    """Computes the mean squared error over the data pixels of all patches."""
    batches = [cut_patches(subject.image, shape) for shape in patches]
    if subject.inside is None:
        masks: list[Tensor | None] = [None] * len(batches)
        weights = [batch[:, 0].numel() for batch in batches]
    else:
        masks = [cut_patches(subject.inside[None], shape)[:, 0] for shape in patches]
        weights = [int(mask.sum()) for mask in masks if mask is not None]
    parts = [
        reconstruction_loss(model.reconstruct(batch), batch, mask) * (weight / max(1, sum(weights)))
        for batch, mask, weight in zip(batches, masks, weights, strict=True)
    ]
    return torch.stack(parts).sum()


def _cut(step: ForwardPass) -> Tensor:
    return ncut_loss(
        step.memberships, step.subject.graph.edge_index, step.subject.graph.edge_weight
    )


def _similarity(step: ForwardPass) -> Tensor:
    return torch.stack([_similarity_of(step, x) for x in step.judged]).sum()


def _similarity_of(step: ForwardPass, x: Tensor) -> Tensor:
    if step.subject.labels is not None:
        return _taught_similarity(step.in_loss(x), step.subject.labels)
    y = _similarity_labels(step, x)
    if step.config.similarity_on == "nodes":
        return similarity_loss(step.in_loss(x), y)
    pixels = pixels_inside(step.z, step.subject.inside).T  # (P, F)
    return similarity_loss(step.in_loss(pixels), y[step.subject.graph.pixel_index])


def _taught_similarity(features: Tensor, labels: Tensor) -> Tensor:
    """Computes the similarity loss (Eq. 6) for given labels.

    The weight of a label is the square root of its number of nodes.
    """
    count = torch.bincount(labels, minlength=features.size(1)).clamp(min=1)
    return F.cross_entropy(features, labels, weight=count.rsqrt())


def _similarity_labels(step: ForwardPass, x: Tensor) -> Tensor:
    if step.config.similarity_labels == "pixels":
        pixels = pixels_inside(step.z, step.subject.inside)
        return pixel_labels(pixels, step.subject.graph.pixel_index, len(x))
    if step.config.similarity_labels == "kmeans" and x.isfinite().all():
        return kmeans_labels(x)
    return argmax_labels(x)  # also if K-means fails, because the loss is NaN anyway


def _continuity(step: ForwardPass) -> Tensor:
    return torch.stack([_continuity_of(step, step.in_loss(x)) for x in step.judged]).sum()


def _continuity_of(step: ForwardPass, features: Tensor) -> Tensor:
    if step.config.nodes == "pixels":
        inside = step.subject.inside
        if inside is None:
            return dense_continuity_loss(features.T.reshape(-1, *step.z.shape[1:]))
        return dense_continuity_loss(_paint(features, inside), inside)
    return continuity_loss(features, step.subject.graph.edge_index, step.subject.adjacency)


def _paint(features: Tensor, inside: Tensor) -> Tensor:
    """Makes an image ``(F, H, W)`` of the features ``(N, F)`` of the data pixels, 0 elsewhere."""
    grid = features.new_zeros(inside.numel(), features.size(1))
    return grid.masked_scatter(inside.view(-1, 1), features).T.view(-1, *inside.shape)


#: The terms of Eq. 9 by name, in its order.
LOSSES: dict[str, Loss] = {
    "rec": Loss("reconstruction", _reconstruction, lambda config: config.reconstruction != "none"),
    "cut": Loss("N-Cut", _cut),
    "sim": Loss("similarity", _similarity),
    "con": Loss("continuity", _continuity),
}


def betas(config: Config) -> dict[str, float]:
    """Returns the weight of each loss in Eq. 9. A loss that the configuration excludes has 0."""
    return {
        name: getattr(config, f"beta_{name}") if loss.counts(config) else 0.0
        for name, loss in LOSSES.items()
    }
