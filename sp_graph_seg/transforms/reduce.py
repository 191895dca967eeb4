"""Reduces pixels to nodes: the mean and the most frequent label of the pixels of each node."""

import numpy as np
import torch
import torch_geometric.typing
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.utils import scatter

from sp_graph_seg.errors import InputError


def scatter_mean(values: Tensor, pixel_index: Tensor, num_nodes: int) -> Tensor:
    r"""Averages the values of the pixels of each node, :math:`\bar z_I` in Leng et al. 2024.

    .. math::
        \bar z_I = \frac{1}{|I|} \sum_{i \in I} z_i

    It is differentiable in ``values``. It uses torch-scatter if that is installed, otherwise
    :func:`torch_geometric.utils.scatter`. The encoder returns values in the layout channels_last.
    They are reduced along the axis of the pixels in memory, without a copy (32 x 102400 values on
    one core take 2 ms, instead of 12 ms along the other axis).

    Args:
        values: Features of the pixels, ``(F, P)``, floating point.
        pixel_index: Node of each pixel, ``(P,)``, from 0 to ``num_nodes - 1``.
        num_nodes: Number of nodes N.

    Returns:
        Features of the nodes, ``(N, F)``; zero for a node without pixels.

    Raises:
        InputError: If the shapes do not fit together or an id is out of range.

    Example:
        >>> import torch
        >>> values = torch.tensor([[1.0, 3.0, 5.0]])
        >>> scatter_mean(values, torch.tensor([0, 0, 1]), num_nodes=2)
        tensor([[2.],
                [5.]])
    """
    if values.dim() != 2 or pixel_index.shape != values.shape[1:]:
        raise InputError(
            f"scatter_mean: values {tuple(values.shape)} and pixel_index "
            f"{tuple(pixel_index.shape)} are not (F, P) and (P,); flatten the axes of the image."
        )
    if pixel_index.numel() and not 0 <= pixel_index.min() <= pixel_index.max() < num_nodes:
        raise InputError(
            f"pixel_index: the values range from {int(pixel_index.min())} to "
            f"{int(pixel_index.max())}, but must lie from 0 to num_nodes - 1 = {num_nodes - 1}; "
            "leave out pixels without a node, or correct num_nodes."
        )
    if values.t().is_contiguous():
        return _mean(values.t(), pixel_index, 0, num_nodes)
    return _mean(values, pixel_index, 1, num_nodes).t()  # (F, N) -> (N, F)


def mean_over_nodes(values: NDArray, nodes: NDArray[np.int64], num_nodes: int) -> Tensor:
    """Averages ``values (K, P)`` over the pixels of each node: ``(N, K)`` float32.

    ``nodes (P,)`` is the node of each pixel. Sums are taken in 64 bits: in 32 bits, the mean of
    eight million voxels of 0.3 would be 0.275. For gradients use :func:`scatter_mean`.
    """
    count = np.maximum(np.bincount(nodes, minlength=num_nodes), 1)
    means = [np.bincount(nodes, row, minlength=num_nodes) / count for row in values]
    return torch.from_numpy(np.stack(means, axis=1).astype(np.float32))


def majority_over_nodes(labels: Tensor, nodes: Tensor, num_nodes: int) -> Tensor:
    """Finds the most frequent label of the pixels of each node; in a tie, the smallest.

    Args:
        labels: Label of each pixel, ``(P,)``, any integers; negative if unlabelled.
        nodes: Node of each pixel, ``(P,)``, from 0 to ``num_nodes - 1``.
        num_nodes: Number of nodes N.

    Returns:
        ``(N,)``; -1 for a node without a labelled pixel.
    """
    known = labels >= 0
    values, codes = labels[known].unique(return_inverse=True)
    # Only pairs that occur: a table of nodes times labels may not fit into memory.
    pairs, votes = (nodes[known] * len(values) + codes).unique(return_counts=True)
    node, code = pairs // max(len(values), 1), pairs % max(len(values), 1)
    most = votes.new_zeros(num_nodes).scatter_reduce(0, node, votes, "amax")
    is_most = votes == most[node]
    none = len(values)
    best = code.new_full((num_nodes,), none)
    best = best.scatter_reduce(0, node[is_most], code[is_most], "amin")
    return torch.cat([values, values.new_full((1,), -1)])[best]


def _mean(values: Tensor, index: Tensor, dim: int, size: int) -> Tensor:
    if torch_geometric.typing.WITH_TORCH_SCATTER:
        reduce = torch_geometric.typing.torch_scatter.scatter_mean
        return reduce(values, index, dim=dim, dim_size=size)
    return scatter(values, index, dim=dim, dim_size=size, reduce="mean")
