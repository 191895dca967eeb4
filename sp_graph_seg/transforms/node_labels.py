"""Conversion of pixel labels to node labels."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch_geometric.data import Data

from sp_graph_seg.transforms.arrays import as_array
from sp_graph_seg.transforms.reduce import majority_over_nodes


def majority_labels(truth: ArrayLike | Tensor, data: Data) -> Tensor:
    """Finds the most frequent label of the pixels of each node.

    If several labels are equally frequent, the smallest of them is taken.

    Args:
        truth: The label of each pixel, ``(H, W)`` or ``(D, H, W)``. Unlabelled pixels are negative.
        data: The graph of the same image, from :class:`~sp_graph_seg.transforms.ToRAG`.

    Returns:
        The label of each node, ``(N,)`` int64. A node without a labelled pixel has -1.

    Example:
        >>> from sp_graph_seg import ToRAG
        >>> image = torch.tensor([[[0.0, 0.0, 0.0, 1.0]]])
        >>> data = ToRAG(superpixels=image[0].long())(image)
        >>> majority_labels([[2, 5, 5, -1]], data)
        tensor([ 5, -1])
    """
    labels = torch.from_numpy(as_array(truth).ravel().astype(np.int64))
    if "pixel_mask" in data:
        labels = labels[data.pixel_mask]
    return majority_over_nodes(labels, data.pixel_index, data.num_nodes)
