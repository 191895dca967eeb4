"""A training image with its graph, and how it is moved to the device of the network."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.nn import graph_of_head, sort_edges
from sp_graph_seg.training.patches import PatchSampler
from sp_graph_seg.transforms import softmax_adjacency


@dataclass(frozen=True)
class TrainingImage:
    """A training image and its graph, whose nodes contain all data pixels and no other pixels."""

    image: Tensor
    """``(C, H, W)``, values in [0, 1]."""
    graph: Data
    """Graph of the image, from :class:`~sp_graph_seg.transforms.ToRAG`. If every pixel is a node,
    it is from :class:`~sp_graph_seg.transforms.ToPixelGraph`. Its ``pixel_mask`` is true for the
    data pixels."""
    labels: Tensor | None = None
    """Labels y of the nodes in Eq. 6, ``(N,)``, that the network learns. If they are ``None``, the
    field ``similarity_labels`` of the configuration says how labels are found."""

    @property
    def inside(self) -> Tensor | None:
        """The data pixels, ``(H, W)`` bool. It is ``None`` if all pixels are data."""
        if self.graph.pixel_mask.all():
            return None
        return self.graph.pixel_mask.view(self.image.shape[1:])


@dataclass(frozen=True)
class Subject:
    """A training image on the device of the network, with all data that every step uses."""

    image: Tensor
    inside: Tensor | None
    graph: Data
    """The graph from :func:`~sp_graph_seg.nn.graph_of_head`, with the edge weights of the N-Cut
    loss."""
    adjacency: Tensor
    """Edge weights of the continuity loss (Eq. 8), ``(E,)``."""
    labels: Tensor | None
    sampler: PatchSampler

    @classmethod
    def make(
        cls, training: TrainingImage, config: Config, generator: Generator, device: torch.device
    ) -> "Subject":
        """Moves a training image to the device and computes the weights of its edges."""
        graph, height, width = training.graph, *training.image.shape[1:]
        distance = graph.edge_attr[:, 0]
        adjacency = softmax_adjacency(distance, graph.edge_index, graph.num_nodes, config.tau_con)
        own = graph_of_head(graph, config.tau_cut).to(str(device))
        own.edge_index, _ = sort_edges(own.edge_index, graph.num_nodes)
        inside = training.inside
        return cls(
            image=training.image.to(device),
            inside=None if inside is None else inside.to(device),
            graph=own,
            adjacency=adjacency.to(device),
            labels=None if training.labels is None else training.labels.to(device),
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
    def inputs(self) -> tuple[Tensor, Data, Tensor | None]:
        """The inputs of the network: the image, its graph and its data pixels."""
        return self.image, self.graph, self.inside


def uses_patches(config: Config) -> bool:
    """Tells whether training needs patches.

    It does if the reconstruction loss has a weight above 0 and is computed on patches.
    """
    return config.beta_rec > 0 and config.reconstruction == "patch"
