"""What the baselines compute from colours and graphs: K-means, spectral clustering, Otsu."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from sklearn.cluster import KMeans, spectral_clustering
from torch_geometric.data import Data

from sp_graph_seg.transforms import affinity, to_scipy

Colors = NDArray[np.float64]
Numbers = NDArray[np.int64]

#: Starts of K-means, of which the best is kept.
_STARTS = 10

#: Exponent of the affinities exp(tau * w) of colour distances w.
_TAU = -10.0

#: No affinity is less, so that neighbours stay connected whatever their colours.
_LEAST_AFFINITY = 1e-6

#: Levels of grey that Otsu's method tells apart.
_LEVELS = 256


def distinct_colors(colors: NDArray) -> tuple[Colors, Numbers]:
    """The different rows of ``(P, C)``, and how often there is each.

    Four times as fast as ``numpy.unique`` with an axis.
    """
    rows = colors[np.lexsort(colors.T)]
    is_new = np.append(True, (rows[1:] != rows[:-1]).any(axis=1))
    starts = np.flatnonzero(is_new)
    return rows[starts].astype(np.float64), np.diff(starts, append=len(rows))


def kmeans_centers(colors: NDArray, num_labels: int, seed: int) -> Colors:
    """The centres ``(K, C)`` of colours ``(P, C)``, by brightness; K is ``num_labels`` or less.

    Equal colours are one point with a weight. That changes nothing but the time: a photograph of
    154401 pixels has 20000 to 54000 colours.
    """
    points, counts = distinct_colors(colors)
    kmeans = KMeans(min(num_labels, len(points)), n_init=_STARTS, random_state=seed)
    centers = kmeans.fit(points, sample_weight=counts).cluster_centers_
    return centers[order_by_brightness(centers)]


def order_by_brightness(centers: Colors) -> Numbers:
    """The rows of ``(K, C)`` from the darkest to the brightest, by the mean over the channels."""
    return np.argsort(centers.mean(axis=1), kind="stable")


def affinity_matrix(graphs: Sequence[Data]) -> csr_array:
    """The affinities ``(N, N)`` of the nodes of all graphs: symmetric, sparse and in one piece.

    Each node outside of the largest connected part is linked with the node in that part whose
    colour is nearest.
    """
    blocks = [
        to_scipy(graph, affinity(graph.edge_attr[:, 0].double(), _TAU).clamp(min=_LEAST_AFFINITY))
        for graph in graphs
    ]
    matrix = csr_array(block_diag(blocks))
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


def spectral_labels(matrix: csr_array, num_labels: int, seed: int) -> Numbers:
    """Clusters ``(N,)`` of the nodes of a connected graph, numbered from 0 without a gap."""
    indices, indptr = (index.astype(np.int32) for index in (matrix.indices, matrix.indptr))
    clusters = spectral_clustering(
        csr_array((matrix.data, indices, indptr), shape=matrix.shape),  # takes no 64-bit indices
        n_clusters=num_labels,
        eigen_solver="arpack",
        n_init=_STARTS,
        random_state=seed,
    )
    return np.unique(clusters, return_inverse=True)[1].astype(np.int64)


def gray_histogram(values: NDArray) -> tuple[NDArray[np.float64], Numbers]:
    """The values that there are, or the middles of 256 bins where there are more, with counts."""
    levels, counts = np.unique(values.astype(np.float64), return_counts=True)
    if len(levels) > _LEVELS:
        counts, edges = np.histogram(values, bins=_LEVELS)
        levels = (edges[1:] + edges[:-1]) / 2
    return levels[counts > 0], counts[counts > 0]


def otsu_thresholds(
    levels: NDArray[np.float64], counts: Numbers, num_labels: int
) -> NDArray[np.float64]:
    """The ``(K - 1,)`` thresholds with the greatest variance between the K classes.

    But for a constant, that variance is the sum over the classes of S^2 / P, where P is the number
    of pixels of a class and S the sum of their values (Liao et al. 2001, "A fast algorithm for
    multilevel thresholding"). The best split of the first levels into k classes follows from those
    into k - 1.

    Args:
        levels: The different values, increasing, ``(L,)``.
        counts: The number of pixels of each, ``(L,)``.
        num_labels: Number of classes; K is no more than L.
    """
    pixels = np.append(0, np.cumsum(counts))
    sums = np.append(0, np.cumsum(counts * (levels - levels.mean())))
    begin, end = np.triu_indices(len(levels) + 1, k=1)
    gain = np.full((len(levels) + 1,) * 2, -np.inf)  # of a class of the levels [begin, end)
    gain[begin, end] = (sums[end] - sums[begin]) ** 2 / (pixels[end] - pixels[begin])

    best, choices = gain[0], []  # best[end]: of all classes up to there
    for _ in range(min(num_labels, len(levels)) - 1):
        total = best[:, np.newaxis] + gain  # (begin of the last class, its end)
        choices.append(total.argmax(axis=0))
        best = total.max(axis=0)
    start, thresholds = len(levels), []
    for choice in reversed(choices):
        start = choice[start]
        thresholds.append((levels[start - 1] + levels[start]) / 2)
    return np.array(thresholds[::-1], dtype=np.float64)
