"""The three rules of the paper that give each node its label y in the similarity loss (Eq. 6)."""

import warnings

import numpy as np
import torch
from torch import Tensor

from sp_graph_seg.transforms.reduce import majority_over_nodes

#: Seed of K-means, so that the same features give the same labels.
_SEED = 0


def argmax_labels(x: Tensor) -> Tensor:
    """Finds the index of the largest feature of each node: ``(N, F)`` -> ``(N,)``."""
    return x.detach().argmax(dim=-1)


def pixel_labels(z: Tensor, pixel_index: Tensor, num_nodes: int) -> Tensor:
    """Finds the most frequent label among the pixels of each node.

    The label of a pixel is the index of its largest feature. If several labels are equally
    frequent, the smallest of them is taken.

    Args:
        z: Features of the pixels, ``(F, P)``.
        pixel_index: Node of each pixel, ``(P,)``.
        num_nodes: Number of nodes N.

    Returns:
        The label of each node, ``(N,)``. A node without pixels gets label 0.
    """
    labels = majority_over_nodes(z.detach().argmax(dim=0), pixel_index, num_nodes)
    return labels.clamp(min=0)  # 0 for a node without pixels


def kmeans_labels(x: Tensor) -> Tensor:
    """Clusters the nodes by K-means, and labels each node by the largest feature of its centroid.

    The label is the index of this feature. There are F clusters, or N clusters if N is smaller. The
    paper describes this rule only briefly. Here all nodes of a cluster get the same label, so that
    the loss makes them more similar.

    Args:
        x: Node features, ``(N, F)``.

    Returns:
        The label of each node, ``(N,)``.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    features = x.detach().float().cpu().numpy()
    kmeans = KMeans(min(features.shape), n_init=1, random_state=_SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct nodes than clusters
        clusters = kmeans.fit_predict(features)
    labels = np.argmax(kmeans.cluster_centers_, axis=1)[clusters]
    return torch.from_numpy(labels).to(x.device)
