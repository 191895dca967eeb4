"""Layers that pool the nodes of sparse graphs by soft clusters.

A layer computes the membership of each node in each of C clusters, and makes each cluster a node of
the pooled graph. The losses of the layer measure the quality of the clusters. Add their sum to the
loss of your task. The layers take O(N (F + C) + E) memory. PyG's pooling layers of this kind take
more, because they need dense matrices.

In the formulas, S ``(N, C)`` holds the memberships, A ``(N, N)`` the edge weights, X ``(N, F)`` the
features and d ``(N,)`` the sum of the edge weights at each node. D is the diagonal matrix of d.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import MLP

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn.losses import full_precision, ncut_loss, prepare_graph
from sp_graph_seg.nn.node_groups import NodeGroups
from sp_graph_seg.nn.propagate import in_degree, plain_edges, propagate


class Pooled(NamedTuple):
    """The result of a pooling layer for a batch of B graphs.

    Each graph is pooled to C nodes, one for each cluster.
    """

    x: Tensor
    """Features of the clusters, ``(B C, F)``."""
    edge_index: Tensor
    """Edges between all clusters of each graph, without self-loops, ``(2, B C (C - 1))``."""
    edge_weight: Tensor
    """Symmetrically normalised weights between the clusters, ``(B C (C - 1),)``."""
    batch: Tensor
    """Number of the graph of each cluster, ``(B C,)``."""
    s: Tensor
    """Memberships of the nodes, ``(N, C)``; each row adds up to 1."""
    losses: dict[str, Tensor]
    """The losses of the layer by name. Each loss is a scalar, the mean over the graphs."""


@dataclass(frozen=True)
class _Clusters:
    """Sums over the nodes of each graph, from which the pooled graphs and losses are computed."""

    adjacency: Tensor
    """:math:`S^T A S`, ``(B, C, C)``. Its rows are the sources of edges."""
    overlap: Tensor
    """:math:`S^T S`, ``(B, C, C)``."""
    features: Tensor
    """:math:`S^T X`, ``(B, C, F)``."""
    degree: Tensor
    """:math:`S^T d`, ``(B, C)``."""
    size: Tensor
    """:math:`S^T 1`, ``(B, C)``."""
    own_degree: Tensor
    """The trace of :math:`S^T D S`, ``(B,)``."""

    @property
    def within(self) -> Tensor:
        """The trace of :math:`S^T A S`, ``(B,)``: the sum of the edge weights within clusters."""
        return self.adjacency.diagonal(dim1=1, dim2=2).sum(dim=-1)


class _Pooling(nn.Module, ABC):
    """Base class of the pooling layers. It computes the memberships and the pooled graphs."""

    _activation: Callable[[Tensor], Tensor] | None = None

    def __init__(
        self, channels: int | list[int], k: int, dropout: float = 0.0, temp: float = 1.0
    ) -> None:
        super().__init__()
        if k < 1:
            raise InputError(f"k={k} is not a number of clusters; use 1 or more.")
        if temp <= 0:
            raise InputError(f"temp={temp} is not positive; use a number above 0.")
        channels = [channels] if isinstance(channels, int) else channels
        self.mlp = MLP([*channels, k], act=None, norm=None)
        self.dropout = dropout
        self.temp = temp

    def reset_parameters(self) -> None:
        """Draws new random weights for the MLP."""
        self.mlp.reset_parameters()

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        batch: Tensor | None = None,
        batch_size: int | None = None,
        *,
        validate: bool = True,
    ) -> Pooled:
        """Assigns the nodes of each graph to clusters, and makes the pooled graphs.

        Args:
            x: Node features, ``(N, F)``.
            edge_index: Edges, ``(2, E)``, in both directions, which may come from
                :func:`~sp_graph_seg.nn.sort_edges`; or a sparse tensor ``adj_t``.
            edge_weight: Affinities, ``(E,)``, not negative; 1 by default.
            batch: Number of the graph of each node, ``(N,)``; ``None`` if there is only one graph.
            batch_size: Number of graphs; by default the largest number in ``batch`` plus 1.
            validate: Whether to check the values of the tensors, not only their shapes.

        Raises:
            InputError: If an argument has a wrong shape, type or value.
        """
        logits = F.dropout(self.mlp(x), self.dropout, self.training)
        with full_precision(x):
            s = (logits.to(torch.promote_types(x.dtype, torch.float32)) / self.temp).softmax(dim=-1)
            s, edges, weight = prepare_graph(s, edge_index, edge_weight, validate, affinities=True)
            groups = NodeGroups(x.size(0), batch, batch_size, validate)
            clusters = _sum_clusters(s, x.to(s.dtype), edges, weight, groups)
            losses = self._losses(s, edges, weight, groups, clusters)
            features = clusters.features.flatten(0, 1)
            if self._activation is not None:
                features = self._activation(features)
            return Pooled(features, *_pooled_edges(clusters.adjacency), s, losses)

    @abstractmethod
    def _losses(
        self, s: Tensor, edges: Tensor, weight: Tensor, groups: NodeGroups, clusters: _Clusters
    ) -> dict[str, Tensor]:
        """Computes the losses, by name, from the memberships ``(N, C)`` and the graph."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.mlp.in_channels}, k={self.mlp.out_channels})"


class NCutPooling(_Pooling):
    r"""A pooling layer that uses the soft normalised cut, :func:`~sp_graph_seg.ncut_loss`.

    The cut of each cluster is divided by the sum of the edge weights at its nodes, so that a small
    cluster counts as much as a large one. In contrast, :class:`MinCutPooling` first adds up the
    cuts of all clusters, and then divides by the sum of the edge weights of all clusters. The
    losses are ``cut`` and ``orthogonality``.

    Args:
        channels: Number of features F. An MLP computes the memberships from the features. To give
            it hidden layers, write a list: F, then the size of each hidden layer.
        k: Number of clusters C.
        dropout: Probability with which a logit of the MLP is set to 0 in training.
        temp: Temperature of the softmax. A value below 1 moves memberships towards 0 and 1.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
        >>> pooled = NCutPooling(channels=8, k=2)(torch.rand(4, 8), edge_index)
        >>> pooled.x.shape, pooled.edge_index.tolist(), sorted(pooled.losses)
        (torch.Size([2, 8]), [[1, 0], [0, 1]], ['cut', 'orthogonality'])
    """

    def _losses(
        self, s: Tensor, edges: Tensor, weight: Tensor, groups: NodeGroups, clusters: _Clusters
    ) -> dict[str, Tensor]:
        cut = ncut_loss(s, edges, weight, groups.batch, groups.size, validate=False)
        return {"cut": cut, "orthogonality": groups.mean_of_present(_orthogonality(clusters))}


class MinCutPooling(_Pooling):
    r"""PyG's ``dense_mincut_pool`` as a layer for sparse graphs (Bianchi et al., arXiv 1907.00481).

    .. math::
        L_{cut} = -\frac{\mathrm{Tr}(S^T A S)}{\mathrm{Tr}(S^T D S)}, \qquad
        L_{orthogonality} =
        \left\| \frac{S^T S}{\|S^T S\|} - \frac{I_C}{\sqrt C} \right\|

    S ``(N, C)`` holds the memberships and A ``(N, N)`` the edge weights. D is the diagonal matrix
    of the sums of the edge weights at each node, and I_C is the identity matrix. A graph without
    edges has a ``cut`` of 0.

    Args:
        channels: Number of features F. An MLP computes the memberships from the features. To give
            it hidden layers, write a list: F, then the size of each hidden layer.
        k: Number of clusters C.
        dropout: Probability with which a logit of the MLP is set to 0 in training.
        temp: Temperature of the softmax. A value below 1 moves memberships towards 0 and 1.
    """

    def _losses(
        self, s: Tensor, edges: Tensor, weight: Tensor, groups: NodeGroups, clusters: _Clusters
    ) -> dict[str, Tensor]:
        terms = {
            "cut": -_divide(clusters.within, clusters.own_degree),
            "orthogonality": _orthogonality(clusters),
        }
        return {name: groups.mean_of_present(term) for name, term in terms.items()}


class DMoNPooling(_Pooling):
    r"""PyG's ``DMoNPooling`` for sparse graphs (Tsitsulin et al., arXiv 2006.16904).

    .. math::
        L_{modularity} = -\frac{1}{2m} \mathrm{Tr}\left(
        S^T A S - \frac{S^T d \, d^T S}{2m} \right), \qquad
        L_{collapse} = \frac{\sqrt C}{N} \left\| \sum_I S_I \right\| - 1

    S ``(N, C)`` holds the memberships and A ``(N, N)`` the edge weights. d ``(N,)`` is the sum of
    the edge weights at each node, and 2m is the sum of d. A graph without edges has a
    ``modularity`` of 0. The third loss is ``orthogonality``, as in :class:`MinCutPooling`. PyG
    calls ``modularity`` the spectral loss, ``orthogonality`` the ortho loss and ``collapse`` the
    cluster loss.

    In a batch, N is the number of nodes of each graph, whereas PyG 2.8 divides by the numbers of
    nodes of all graphs. As in PyG, the features of the clusters pass through a SELU. The weights of
    PyG's layer can be loaded into this layer.

    Args:
        channels: Number of features F. An MLP computes the memberships from the features. To give
            it hidden layers, write a list: F, then the size of each hidden layer.
        k: Number of clusters C.
        dropout: Probability with which a logit of the MLP is set to 0 in training.
        temp: Temperature of the softmax. A value below 1 moves memberships towards 0 and 1.
    """

    _activation = staticmethod(F.selu)

    def _losses(
        self, s: Tensor, edges: Tensor, weight: Tensor, groups: NodeGroups, clusters: _Clusters
    ) -> dict[str, Tensor]:
        total = clusters.degree.sum(dim=-1)  # 2m
        expected = _divide(clusters.degree.square().sum(dim=-1), total)
        num_nodes = clusters.size.sum(dim=-1).detach()
        num_clusters = s.size(1)
        terms = {
            "modularity": -_divide(clusters.within - expected, total),
            "orthogonality": _orthogonality(clusters),
            "collapse": _divide(clusters.size.norm(dim=-1), num_nodes) * num_clusters**0.5 - 1,
        }
        return {name: groups.mean_of_present(term) for name, term in terms.items()}


def _sum_clusters(
    s: Tensor, x: Tensor, edges: Tensor, weight: Tensor, groups: NodeGroups
) -> _Clusters:
    """Computes all sums over nodes, as one matrix product with :math:`S^T` for each graph."""
    degree = in_degree(plain_edges(edges).flip(0), weight, s.size(0))  # of the sources, as in PyG
    ones = torch.ones_like(degree)
    columns = [propagate(s, edges, weight), s, x, torch.stack([degree, ones], dim=1)]
    at_nodes = torch.cat(columns, dim=1)  # (N, 2 C + F + 2)
    sums = torch.stack([one.t() @ other for one, other in groups.split(s, at_nodes)])
    to_sources, overlap, features, rest = sums.split([c.size(1) for c in columns], dim=2)
    return _Clusters(
        adjacency=to_sources.transpose(1, 2),
        overlap=overlap,
        features=features,
        degree=rest[..., 0],
        size=rest[..., 1],
        own_degree=groups.sum(degree * s.square().sum(dim=-1)),
    )


def _orthogonality(clusters: _Clusters) -> Tensor:
    """Measures how far the clusters of each graph overlap or differ in size, ``(B,)``."""
    overlap = clusters.overlap
    identity = torch.eye(overlap.size(1), dtype=overlap.dtype, device=overlap.device)
    parts = _divide(overlap, overlap.norm(dim=(1, 2), keepdim=True))
    return (parts - identity / identity.norm()).norm(dim=(1, 2))


def _pooled_edges(adjacency: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Makes edges, weights and batch of the pooled graphs from the adjacency ``(B, C, C)``."""
    num_graphs, num_clusters, _ = adjacency.shape
    device = adjacency.device
    others = max(1, num_clusters - 1)
    pair = torch.arange(num_clusters * (num_clusters - 1), device=device)
    target, source = pair // others, pair % others
    source = source + (source >= target)  # no loops
    graph = torch.arange(num_graphs, device=device)
    shift = (graph * num_clusters)[:, None]
    edge_index = torch.stack([(source + shift).flatten(), (target + shift).flatten()])
    between = adjacency * (1 - torch.eye(num_clusters, dtype=adjacency.dtype, device=device))
    degree = between.sum(dim=-1)
    has_edges = degree > 0
    scale = torch.where(has_edges, torch.where(has_edges, degree, 1).rsqrt(), 0)
    edge_weight = between * scale[:, :, None] * scale[:, None, :]
    return (
        edge_index,
        edge_weight[:, source, target].flatten(),
        graph.repeat_interleave(num_clusters),
    )


def _divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divides two tensors. Where the denominator is 0, the result and its gradients are 0."""
    is_zero = denominator == 0
    return torch.where(is_zero, 0, numerator / torch.where(is_zero, 1, denominator))
