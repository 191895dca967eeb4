"""Spectral clustering of the superpixels of one or more images."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from sklearn.cluster import spectral_clustering
from torch_geometric.data import Data

from sp_graph_seg.baselines.common import Labels, paint
from sp_graph_seg.baselines.kmeans import (
    STARTS,
    SuperpixelKMeans,
    distinct_colors,
    order_by_brightness,
)
from sp_graph_seg.transforms import affinity, to_scipy
from sp_graph_seg.transforms.prepare import Image

#: Exponent of the affinities exp(tau * w) of colour distances w.
_TAU = -10.0

#: Minimum affinity, which keeps neighbours connected whatever their colours.
_LEAST_AFFINITY = 1e-6


class SuperpixelSpectral(SuperpixelKMeans):
    """Spectral clustering of superpixels, on the graph of superpixels that touch.

    The affinity of two superpixels is exp(-10 w), but at least 1e-6. Here w is the distance of
    their mean colours (Eq. 2 of the paper). If there are several images, or if a mask has islands,
    the graph has several parts. Then each superpixel outside the largest part is linked to the
    superpixel of the largest part that has the nearest colour.

    Spectral clustering itself labels only the superpixels that it was fitted to. The result is in
    ``labels_``. :meth:`predict` labels each superpixel by the cluster with the nearest mean colour.
    For an image that was given to :meth:`fit`, the two results may therefore differ.

    Args:
        num_labels: Number of clusters.
        seed: Seed of the eigensolver and of K-means on the eigenvectors. (default: :obj:`0`)

    Attributes:
        labels_: The label maps ``(H, W)`` of the images that were given to :meth:`fit`, as a list.
            They are -1 where ``superpixels`` is negative.
        centers_: Mean colours of the K clusters, ``(K, C)``, from dark to bright. Small and large
            superpixels have the same weight in the mean.
    """

    labels_: list[Labels]

    def _fit_graphs(self, graphs: Sequence[Data]) -> None:
        colors = np.concatenate([graph.x.numpy() for graph in graphs]).astype(np.float64)
        num_labels = min(self.num_labels, len(distinct_colors(colors)[0]))
        if num_labels in (1, len(colors)):  # nothing to cluster
            clusters = np.arange(len(colors)) % num_labels
        else:
            clusters = spectral_labels(affinity_matrix(graphs), num_labels, self.seed)
        centers = np.stack([colors[clusters == k].mean(axis=0) for k in range(clusters.max() + 1)])
        order = order_by_brightness(centers)
        self.centers_ = centers[order]
        ends = np.cumsum([graph.num_nodes for graph in graphs])[:-1]
        parts = np.split(np.argsort(order)[clusters], ends)
        self.labels_ = [paint(part, graph) for part, graph in zip(parts, graphs, strict=True)]


def spectral_superpixels(
    image: Image, num_labels: int, superpixels: Image, seed: int = 0
) -> Labels:
    """Labels the superpixels of one image by :class:`SuperpixelSpectral`.

    The image is ``(C, H, W)``, and the returned label map is ``(H, W)``.
    """
    model = SuperpixelSpectral(num_labels, seed)
    model.fit([image], [superpixels])
    return model.labels_[0]


def affinity_matrix(graphs: Sequence[Data]) -> csr_array:
    """Makes the sparse, symmetric affinity matrix ``(N, N)`` of the N nodes of all graphs.

    The graphs may have several connected parts. Each node outside the largest part is linked to the
    node of the largest part that has the nearest colour. All nodes are then connected.
    """
    matrices = [
        to_scipy(graph, affinity(graph.edge_attr[:, 0].double(), _TAU).clamp(min=_LEAST_AFFINITY))
        for graph in graphs
    ]
    matrix = csr_array(block_diag(matrices))
    _, part = connected_components(matrix, directed=False)
    is_main = part == np.bincount(part).argmax()
    main, others = np.flatnonzero(is_main), np.flatnonzero(~is_main)
    if others.size:
        colors = np.concatenate([graph.x.numpy() for graph in graphs])
        distance, nearest = KDTree(colors[main]).query(colors[others])
        weight = np.maximum(np.exp(_TAU * distance), _LEAST_AFFINITY)
        links = coo_array((weight, (others, main[nearest])), shape=matrix.shape)
        matrix = csr_array(matrix + links + links.T)
    return matrix


def spectral_labels(matrix: csr_array, num_labels: int, seed: int) -> NDArray[np.int64]:
    """Returns the cluster of each node of a connected graph, ``(N,)``, numbered without gaps."""
    indices, indptr = (index.astype(np.int32) for index in (matrix.indices, matrix.indptr))
    clusters = spectral_clustering(
        csr_array((matrix.data, indices, indptr), shape=matrix.shape),  # takes no 64-bit indices
        n_clusters=num_labels,
        eigen_solver="arpack",
        n_init=STARTS,
        random_state=seed,
    )
    return np.unique(clusters, return_inverse=True)[1].astype(np.int64)
