"""Computes the transfer cut of a bipartite graph (Li, Wu & Chang, CVPR 2012, section 3.2)."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import coo_array, csr_array, diags, vstack
from scipy.sparse.linalg import ArpackNoConvergence, eigsh
from torch_geometric.data import HeteroData

from sp_graph_seg.transforms.multiscale import (
    CELL_IN_SUPERPIXEL,
    TOUCHES,
    cell_image,
    superpixel_means,
)
from sp_graph_seg.transforms.superpixels import Labels

Floats = NDArray[np.float64]

#: Weight of "lies in" against "touches", and inverse scale of distances: alpha and beta of Eq. 1.
_ALPHA = 1e-3
_BETA = 20.0

#: Up to so many superpixels a dense solver is as fast. The other does not converge where most
#: superpixels touch nothing like them; after so many restarts the dense one takes over while it can
#: (seconds), then a tolerance.
_DENSE = 400
_RESTARTS = 300
_DENSE_AT_MOST = 3000
_TOLERANCE = 1e-3


def bipartite_affinity(graph: HeteroData, features: Floats) -> tuple[csr_array, Floats]:
    """Makes a bipartite graph: cells and superpixels on one side, superpixels on the other.

    All pixels of a cell have the same edges, so the graph stores one node for the cell, and counts
    its pixels. This node has an edge to each superpixel that contains the cell. The weight of this
    edge is alpha = 0.001. Each superpixel has an edge of weight 1 to itself. It also has an edge to
    each superpixel of its level that it touches. The weight of this edge is exp(-beta d), where
    beta = 20 and d is the distance between the features of the two superpixels (Li, Wu & Chang,
    CVPR 2012, Eq. 1).

    Args:
        graph: The graph of the image, from :class:`~sp_graph_seg.transforms.ToMultiscale`, with N
            cells and S superpixels.
        features: Features of the superpixels, ``(S, F)``, such as mean colours in CIELAB / 100.

    Returns:
        Two arrays. The first holds the weights of the edges, ``(N + S, S)``. The rows of the cells
        come before the rows of the superpixels. The second, ``(N + S,)``, holds the number of equal
        nodes that each row stands for: the number of pixels of a cell, or 1 for a superpixel.
    """
    cells, total = graph["cell"].num_pixels.numpy(), graph["superpixel"].num_nodes
    cell, superpixel = graph[CELL_IN_SUPERPIXEL].edge_index.numpy()
    alphas = np.full(cell.size, _ALPHA)
    lies_in = coo_array((alphas, (cell, superpixel)), shape=(cells.size, total))
    i, j = graph[TOUCHES].edge_index.numpy()
    near = np.exp(-_BETA * np.linalg.norm(features[i] - features[j], axis=1))
    own = np.arange(total)
    ends = np.concatenate([own, i]), np.concatenate([own, j])
    touch = coo_array((np.concatenate([np.ones(total), near]), ends), (total, total))
    weight = np.concatenate([cells, np.ones(total)]).astype(float)
    return csr_array(vstack([lies_in, touch])), weight


def transfer_cut(affinity: csr_array, weight: Floats, num_vectors: int) -> tuple[Floats, Floats]:
    r"""Computes the first eigenvectors of the normalised cut of a bipartite graph.

    The graph has X nodes on one side and Y nodes on the other. Edges join nodes of different sides
    only. Their weights are the matrix B. Let L be the Laplacian of the graph, and let D be its
    degrees, which are :math:`D_X` on one side and :math:`D_Y` on the other. The eigenvectors
    :math:`f = (u, v)` of :math:`L f = \gamma D f` then come from a smaller problem on Y nodes:

    .. math::
        (D_Y - B^T D_X^{-1} B) v = \lambda D_Y v, \quad \gamma (2 - \gamma) = \lambda, \quad
        u = \frac{1}{1 - \gamma} D_X^{-1} B v .

    Args:
        affinity: The matrix B, ``(X, Y)``. No weight is negative, and no row or column is empty.
        weight: The number of equal nodes that each row stands for, ``(X,)``.
        num_vectors: The number K of eigenvectors. At most Y are found.

    Returns:
        The K smallest eigenvalues gamma, ``(K,)``, ascending, and their eigenvectors u, ``(X, K)``.
    """
    degree = affinity.sum(axis=1)  # D_X of one node of each row
    transition = diags(1 / degree) @ affinity  # D_X^-1 B
    root = 1 / np.sqrt(affinity.T @ weight)  # D_Y^-1/2
    small = affinity.T @ (diags(weight) @ transition)  # B^T D_X^-1 B, (Y, Y)
    values, vectors = _largest(diags(root) @ small @ diags(root), num_vectors)
    keep = np.sqrt(np.clip(values, 1e-12, 1.0))  # 1 - lambda = (1 - gamma)^2
    return 1 - keep, (transition @ (root[:, None] * vectors)) / keep


def spectral_embedding(graph: HeteroData, values: NDArray, num_vectors: int) -> Floats:
    """Computes coordinates of the N cells from all K eigenvectors except the first.

    Each vector is scaled to a mean square of 1 over the pixels. It is then divided by the square
    root of the ratio of its eigenvalue to the second smallest eigenvalue, as in gPb (Arbelaez et
    al., TPAMI 2011, Eq. 12).

    Args:
        graph: The graph of the image, from :class:`~sp_graph_seg.transforms.ToMultiscale`.
        values: Values of the pixels, ``(H, W, C)`` or ``(D, H, W, C)``, such as CIELAB / 100 or
            learned features. The weights of the edges come from their means over superpixels.
        num_vectors: The number K of eigenvectors.

    Returns:
        The coordinates, ``(N, K - 1)``.
    """
    affinity = bipartite_affinity(graph, superpixel_means(graph, values))
    gamma, u = transfer_cut(*affinity, num_vectors)
    size = graph["cell"].num_pixels.numpy()
    u, gamma = u[: size.size, 1:], np.maximum(gamma[1:], 1e-6)
    u = u / np.sqrt((size[:, None] * u**2).sum(axis=0) / size.sum() + 1e-12)
    return u / np.sqrt(gamma / gamma[:1])


def transfer_cut_regions(
    graph: HeteroData, values: NDArray, num_regions: int, seed: int = 0
) -> Labels:
    """Segments an image with the method SAS (Li, Wu & Chang, CVPR 2012).

    K-means clusters the cells by their values in K eigenvectors of the transfer cut. Each cell is
    weighted by its number of pixels.

    Args:
        graph: The graph of the image, from :class:`~sp_graph_seg.transforms.ToMultiscale`.
        values: Values of the pixels, as in :func:`spectral_embedding`.
        num_regions: The number K of clusters. If there are fewer cells, each cell is a cluster.
        seed: The seed of K-means.

    Returns:
        The cluster of each pixel, ``(H, W)`` or ``(D, H, W)``, counted from 0, with -1 where there
        is no data.
    """
    from sklearn.cluster import KMeans

    affinity = bipartite_affinity(graph, superpixel_means(graph, values))
    _, u = transfer_cut(*affinity, num_regions)
    size = graph["cell"].num_pixels.numpy()
    model = KMeans(min(num_regions, size.size), n_init=5, random_state=seed)
    labels = model.fit_predict(u[: size.size], sample_weight=size)
    return np.append(labels, -1).astype(np.int64)[cell_image(graph)]


def _largest(matrix: csr_array, count: int) -> tuple[Floats, Floats]:
    """Finds the largest eigenvalues, in descending order, and their eigenvectors.

    A dense solver is used if it is faster, or if the sparse solver fails and the matrix is small
    enough. If the sparse solver fails for a large matrix, it runs again with a larger tolerance.
    """
    n = matrix.shape[0]
    try:
        is_small = n <= _DENSE or count >= n // 2
        values, vectors = _of_dense(matrix, count) if is_small else _of_sparse(matrix, count)
    except ArpackNoConvergence:
        is_small = n <= _DENSE_AT_MOST
        values, vectors = (
            _of_dense(matrix, count) if is_small else _of_sparse(matrix, count, _TOLERANCE)
        )
    order = np.argsort(-values, kind="stable")
    return values[order], vectors[:, order]


def _of_sparse(matrix: csr_array, count: int, tolerance: float = 0.0) -> tuple[Floats, Floats]:
    start = np.random.default_rng(0).random(matrix.shape[0])  # the same answer every time
    return eigsh(matrix, k=count, which="LA", v0=start, maxiter=_RESTARTS, tol=tolerance)


def _of_dense(matrix: csr_array, count: int) -> tuple[Floats, Floats]:
    n, dense = matrix.shape[0], matrix.toarray()
    return eigh((dense + dense.T) / 2, subset_by_index=[max(0, n - count), n - 1])
