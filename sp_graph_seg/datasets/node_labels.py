"""Ground truth of pixels becomes ground truth of nodes."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch_geometric.data import Data

from sp_graph_seg.transforms import as_array


def majority_labels(truth: ArrayLike | Tensor, data: Data) -> Tensor:
    """The most frequent label of each node's pixels; the smallest one in a tie.

    Args:
        truth: Labels of the pixels, ``(H, W)`` or ``(D, H, W)``; negative where there are none.
        data: Graph of the same image, from :class:`~sp_graph_seg.transforms.ToRAG`.

    Returns:
        ``(N,)`` int64; -1 for a node without a labelled pixel.

    Example:
        >>> from sp_graph_seg import ToRAG
        >>> image = torch.tensor([[[0.0, 0.0, 0.0, 1.0]]])
        >>> data = ToRAG(superpixels=image[0].long())(image)
        >>> majority_labels([[2, 5, 5, -1]], data)
        tensor([ 5, -1])
    """
    flat = as_array(truth).ravel()
    if "pixel_mask" in data:
        flat = flat[data.pixel_mask.numpy()]
    known = flat >= 0
    labels, codes = np.unique(flat[known], return_inverse=True)
    pairs = data.pixel_index.numpy()[known] * len(labels) + codes
    pairs, votes = np.unique(pairs, return_counts=True)
    node, code = np.divmod(pairs, max(len(labels), 1))
    best_last = np.lexsort((-code, votes, node))
    y = np.full(data.num_nodes, -1, dtype=np.int64)
    y[node[best_last]] = labels[code[best_last]]  # of several values for a node the last one stays
    return torch.from_numpy(y)
