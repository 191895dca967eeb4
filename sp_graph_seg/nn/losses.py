r"""The losses of Leng et al. (VISAPP 2024, doi 10.5220/0012380700003660) for any weighted graph.

Each loss is a function of node features ``x (N, F)`` and a graph. A pixel grid is a graph too, so
one function computes Eqs. 1 and 5, and another function computes Eqs. 3 and 6. ``batch (N,)`` is
the number of the graph that each node belongs to, as in PyG. If ``batch`` is given, the loss is the
mean over the graphs. Features in half precision are converted to 32 bits.

``edge_index`` is a tensor ``(2, E)``, an ``EdgeIndex`` or an ``adj_t``, as in PyG. The values of
tensors are not checked if ``validate=False``, and never in compiled code. Inside ``torch.vmap``,
``validate=False`` is required. A loss does not wait for the GPU if three conditions hold. The
values are not checked. The edges come from :func:`~sp_graph_seg.nn.sort_edges`. If ``batch`` is
given, ``batch_size`` is given too.

Memory is O(N F + E). A loss and its gradient are finite even if a graph has no edges, a node has no
neighbours, a label has no nodes, or all features are equal.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn.checks import can_validate, refuse
from sp_graph_seg.nn.labels import argmax_labels
from sp_graph_seg.nn.node_groups import NodeGroups
from sp_graph_seg.nn.propagate import as_edges, has_neighbors, in_degree, propagate, sort_edges


def ncut_loss(
    x: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    batch: Tensor | None = None,
    batch_size: int | None = None,
    *,
    validate: bool = True,
) -> Tensor:
    r"""Computes the soft normalised cut (Eqs. 1 and 5).

    .. math::
        L_{cut} = 1 - \frac{1}{F} \sum_p
        \frac{\sum_{IJ} w_{IJ} f_{pI} f_{pJ}}{\sum_{IJ} w_{IJ} f_{pI}}

    The weights w are affinities, which are large for similar nodes. Compute them from colour
    distances with :func:`~sp_graph_seg.transforms.affinity`. In the paper, w is the colour distance
    itself, but this would reward cuts between equal colours. The authors' code uses affinities, as
    this function does.

    Args:
        x: Memberships f, ``(N, F)``, not negative, such as a softmax over the last axis.
        edge_index: Edges, ``(2, E)``, in both directions. Edges from
            :func:`~sp_graph_seg.nn.sort_edges` are not checked and sorted again. A sparse tensor
            ``adj_t`` of edges and weights can be given instead.
        edge_weight: Affinities, ``(E,)``, not negative; 1 by default.
        batch: Number of the graph of each node, ``(N,)``; ``None`` if there is only one graph.
        batch_size: Number of graphs; by default the largest number in ``batch`` plus 1.
        validate: Whether to check the values of the tensors, not only their shapes.

    Returns:
        A scalar, which is in [0, 1] if no membership is above 1. A label without members adds
        nothing to the sum. A graph without edges has a loss of 0, because nothing is cut.

    Raises:
        InputError: If shapes do not fit together, an edge has no reverse edge, a weight is
            negative, NaN or Inf, or a membership is negative.

    Example:
        >>> edge_index = torch.tensor([[1, 0, 3, 2], [0, 1, 2, 3]])  # two separate pairs
        >>> ncut_loss(torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]]), edge_index, torch.ones(4))
        tensor(0.)
    """
    with full_precision(x):
        x, edges, weight = prepare_graph(x, edge_index, edge_weight, validate, affinities=True)
        groups = NodeGroups(x.size(0), batch, batch_size, validate)
        within = groups.sum(x * propagate(x, edges, weight))  # (B, F)
        total = groups.sum(x * in_degree(edges, weight, x.size(0)).unsqueeze(-1))  # (B, F)
        # The gradient divides by the total, and 1 / 1e-40 is Inf in 32 bits.
        has_members = ~(total <= torch.finfo(x.dtype).tiny / torch.finfo(x.dtype).eps)  # or NaN
        ratio = torch.where(has_members, within / torch.where(has_members, total, 1), 0)
        loss = 1 - ratio.mean(dim=-1)  # Eq. 5, (B,)
        return groups.mean_of_present(torch.where(has_members.any(dim=-1), loss, 0))


def similarity_loss(
    x: Tensor,
    labels: Tensor | None = None,
    batch: Tensor | None = None,
    batch_size: int | None = None,
    *,
    validate: bool = True,
) -> Tensor:
    r"""Computes the similarity loss (Eqs. 3 and 6), the cross-entropy of features and labels.

    .. math::
        L_{sim} = -\frac{1}{N} \sum_I \log \frac{\exp f_{y_I I}}{\sum_p \exp f_{pI}},
        \qquad y_I = \arg\max_p f_{pI}

    In the paper, f is the softmax of the features z. In the authors' code, f is z itself. This is
    also the default of :class:`~sp_graph_seg.Config`, because it gave better scores.

    Args:
        x: Node features, ``(N, F)``.
        labels: Label y of each node, ``(N,)``, from 0 to F - 1. By default, it is the index of the
            largest feature of the node. :mod:`sp_graph_seg.nn.labels` has all rules of the paper.
        batch: Number of the graph of each node, ``(N,)``; ``None`` if there is only one graph.
        batch_size: Number of graphs; by default the largest number in ``batch`` plus 1.
        validate: Whether to check the values of the tensors, not only their shapes.

    Returns:
        A scalar, which is not negative. With the default labels, it is at most log F.

    Raises:
        InputError: If ``x`` is empty, or ``labels`` has a wrong shape, type or value.

    Example:
        >>> similarity_loss(torch.zeros(5, 2))
        tensor(0.6931)
    """
    with full_precision(x):
        x = _as_features(x)
        y = argmax_labels(x) if labels is None else _checked_labels(labels, x, validate)
        groups = NodeGroups(x.size(0), batch, batch_size, validate)
        return groups.mean(F.cross_entropy(x, y.long(), reduction="none"))  # Eq. 6


def continuity_loss(
    x: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    batch: Tensor | None = None,
    batch_size: int | None = None,
    *,
    validate: bool = True,
) -> Tensor:
    r"""Computes the sparse continuity loss (Eq. 7), which makes nodes similar to their neighbours.

    .. math::
        L_{con} = \frac{1}{F N} \sum_p \sum_I \left| \sum_J A_{IJ} f_{pJ} - f_{pI} \right|

    Args:
        x: Node features, ``(N, F)``.
        edge_index: Edges, ``(2, E)``, in both directions. Row 0 holds the nodes J, row 1 the nodes
            I. Edges from :func:`~sp_graph_seg.nn.sort_edges`, or a sparse tensor ``adj_t`` of edges
            and weights, can be given instead.
        edge_weight: Weights A, ``(E,)``, which are not normalised here; 1 by default. The paper
            takes the weights from :func:`~sp_graph_seg.transforms.softmax_adjacency`. They add up
            to 1 at each node.
        batch: Number of the graph of each node, ``(N,)``; ``None`` if there is only one graph.
        batch_size: Number of graphs; by default the largest number in ``batch`` plus 1.
        validate: Whether to check the values of the tensors, not only their shapes.

    Returns:
        A scalar, which is not negative. A node without neighbours adds nothing to the sum.

    Raises:
        InputError: If shapes do not fit together, an edge has no reverse edge, or a weight is NaN
            or Inf.

    Example:
        >>> edge_index = torch.tensor([[1, 0], [0, 1]])
        >>> continuity_loss(torch.tensor([[0.0], [3.0]]), edge_index, torch.ones(2))
        tensor(3.)
    """
    with full_precision(x):
        x, edges, weight = prepare_graph(x, edge_index, edge_weight, validate)
        deviation = (propagate(x, edges, weight) - x).abs()  # (N, F)
        deviation = deviation.mean(dim=-1) * has_neighbors(edges, x.size(0))
        return NodeGroups(x.size(0), batch, batch_size, validate).mean(deviation)  # Eq. 7


def dense_continuity_loss(x: Tensor, inside: Tensor | None = None) -> Tensor:
    r"""Computes the continuity loss of a pixel grid (Eq. 4).

    .. math::
        L_{con} = \sum_p \frac{1}{2F} \left[
        \frac{\sum |f_{p,i,j} - f_{p,i+1,j}|}{(H-1) W} +
        \frac{\sum |f_{p,i,j} - f_{p,i,j+1}|}{H (W-1)} \right]

    Args:
        x: Features of the pixels, ``(F, H, W)``, or of the voxels, ``(F, D, H, W)``. For voxels,
            the loss is the mean over three axes instead of two.
        inside: True for the pixels that count, ``(H, W)`` or ``(D, H, W)``. A pair of neighbours
            counts if both of its pixels count. ``None`` if all pixels count.

    Returns:
        A scalar, which is not negative. An axis with a single pixel adds nothing to the sum.

    Raises:
        InputError: If the features do not have three or four axes, or are empty.

    Example:
        >>> dense_continuity_loss(torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]))
        tensor(0.5000)
    """
    if x.dim() not in (3, 4) or x.numel() == 0:
        raise InputError(
            f"x: shape {tuple(x.shape)} cannot hold features of an image; give a tensor (F, H, W) "
            "or (F, D, H, W) that is not empty."
        )
    with full_precision(x):
        x = _at_least_32_bits(x)
        steps = [x.diff(dim=axis).abs() for axis in range(1, x.dim())]
        if inside is not None:
            pairs = [
                inside.narrow(axis, 0, n - 1) & inside.narrow(axis, 1, n - 1)
                for axis, n in enumerate(inside.shape)
            ]
            steps = [step[:, both] for step, both in zip(steps, pairs, strict=True)]
        return torch.stack([s.mean() if s.numel() else s.sum() for s in steps]).mean()  # Eq. 4


def reconstruction_loss(
    reconstruction: Tensor, image: Tensor, inside: Tensor | None = None
) -> Tensor:
    r"""Computes the mean squared difference of a reconstruction and its image (Eq. 9, first term).

    Args:
        reconstruction: The reconstruction, ``(B, C, H, W)`` or ``(C, H, W)``.
        image: The image, of the same shape.
        inside: True for the pixels that count, ``(B, H, W)`` or ``(H, W)``. ``None`` if all pixels
            count. If no pixel counts, the loss is 0.
    """
    if inside is None:
        return F.mse_loss(reconstruction.float(), image.float())
    weight = inside.unsqueeze(-3).expand_as(image)
    squares = (reconstruction.float() - image.float()).square()
    return (squares * weight).sum() / weight.sum().clamp(min=1)


def total_loss(losses: Mapping[str, Tensor], betas: Mapping[str, float]) -> Tensor:
    r"""Computes the weighted sum of the losses (Eq. 9).

    .. math::
        L = \beta_{rec} L_{rec} + \beta_{cut} L_{cut} + \beta_{sim} L_{sim} + \beta_{con} L_{con}

    Args:
        losses: The name of each loss and its value, a scalar. At least one loss is needed.
        betas: The name of each loss and its weight.
    """
    return torch.stack([betas[name] * loss for name, loss in losses.items()]).sum()  # Eq. 9


def prepare_graph(
    x: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None,
    validate: bool,
    affinities: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Checks and converts the arguments of a loss on a graph.

    Args:
        x: Node features, ``(N, F)``.
        edge_index: Edges, ``(2, E)``, or a sparse tensor ``adj_t``. Edges from :func:`sort_edges`
            are not checked and sorted again.
        edge_weight: Weights, ``(E,)``; ``None`` if all weights are 1.
        validate: Whether to check the values of the tensors.
        affinities: Whether to refuse negative values in ``x`` and in the weights.

    Returns:
        Three arguments for :func:`propagate`: the features in 32 bits or more, the edges and the
        weights.

    Raises:
        InputError: If an argument has a wrong shape, type or value.
    """
    x = _as_features(x)
    if torch.compiler.is_compiling():
        edges, weight = as_edges(edge_index, x.size(0), edge_weight)
    else:
        edges, weight = sort_edges(edge_index, x.size(0), edge_weight, validate=validate)
    weight = x.new_ones(edges.size(1)) if weight is None else weight.to(x.dtype)
    if can_validate(validate):
        _check_values(x.detach(), weight.detach(), affinities)
    return x, edges, weight


def _check_values(x: Tensor, weight: Tensor, affinities: bool) -> None:
    checks = [
        (
            ~weight.isfinite().all(),
            lambda: "edge_weight: some weights are NaN or Inf; give finite weights.",
        )
    ]
    if affinities:
        checks += [
            (
                (x < 0).any(),
                lambda: "x: some memberships are negative; apply softmax(dim=-1) to x first.",
            ),
            (
                (weight < 0).any(),
                lambda: (
                    "edge_weight: some affinities are negative; compute them with "
                    "sp_graph_seg.transforms.affinity."
                ),
            ),
        ]
    refuse(*checks)


def _checked_labels(labels: Tensor, x: Tensor, validate: bool) -> Tensor:
    def message() -> str:
        return (
            f"labels: some values are not from 0 to {x.size(1) - 1}, the indices of the features; "
            "give the index of a feature for each node."
        )

    if labels.shape != x.shape[:1] or labels.is_floating_point():
        raise InputError(
            f"labels: shape {tuple(labels.shape)} of type {labels.dtype} must be ({x.size(0)},) "
            "with integers; give one label for each node."
        )
    if can_validate(validate):
        refuse(((labels.min() < 0) | (labels.max() >= x.size(1)), message))
    return labels


def _as_features(x: Tensor) -> Tensor:
    if x.dim() != 2 or not x.is_floating_point():
        raise InputError(
            f"x: shape {tuple(x.shape)} of type {x.dtype} does not hold node features; give a "
            "floating-point tensor (N, F), with one row for each node."
        )
    if x.numel() == 0:
        raise InputError(
            f"x: shape {tuple(x.shape)} is empty; give at least one node and one feature."
        )
    return _at_least_32_bits(x)


def _at_least_32_bits(x: Tensor) -> Tensor:
    return x.float() if x.dtype.itemsize < 4 else x


def full_precision(x: Tensor) -> torch.autocast:
    """Returns a context that disables autocast, as sums over millions of nodes need 32 bits."""
    return torch.autocast(x.device.type, enabled=False)
