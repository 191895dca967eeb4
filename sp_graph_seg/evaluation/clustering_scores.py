"""The six clustering scores, which stay the same if labels are numbered differently."""

import math

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.evaluation.contingency import Contingency

CLUSTERING_SCORES = ("rand", "ami", "fm", "h", "c", "v")
"""Rand index, A-MI, Fowlkes-Mallows index, homogeneity, completeness and V-measure."""


def score_clustering(table: Contingency) -> dict[str, float]:
    """Computes the six clustering scores in Table 1 of Leng et al. from a contingency table.

    The scores equal the results of ``rand_score``, ``adjusted_mutual_info_score`` (arithmetic
    mean), ``fowlkes_mallows_score`` and ``homogeneity_completeness_v_measure`` in scikit-learn.
    This is also true in special cases, such as a segmentation with only one label. The pixels are
    counted only once for all six scores.

    Args:
        table: Contingency table of a segmentation and the truth of one annotator.

    Returns:
        The scores ``rand``, ``ami``, ``fm``, ``h``, ``c`` and ``v``, see :data:`CLUSTERING_SCORES`.
        For each score, 1 is best. Because ``ami`` is adjusted for chance, it is about 0 for random
        labels, and sometimes negative.

    Example:
        >>> from sp_graph_seg.evaluation import contingency_table
        >>> scores = score_clustering(contingency_table([0, 0, 1, 1], [0, 0, 1, 2]))
        >>> {name: round(score, 3) for name, score in scores.items()}
        {'rand': 0.833, 'ami': 0.571, 'fm': 0.707, 'h': 0.667, 'c': 1.0, 'v': 0.8}
    """
    from sklearn.metrics.cluster import mutual_info_score

    mutual_information = mutual_info_score(None, None, contingency=table.table)
    h_truth, h_labels = entropy(table.region_sizes), entropy(table.label_sizes)
    homogeneity = mutual_information / h_truth if h_truth else 1.0
    completeness = mutual_information / h_labels if h_labels else 1.0
    total = homogeneity + completeness
    return {
        "rand": rand_index(table),
        "ami": _adjusted(mutual_information, (h_truth + h_labels) / 2, table),
        "fm": fowlkes_mallows(table),
        "h": homogeneity,
        "c": completeness,
        "v": 2 * homogeneity * completeness / total if total else 0.0,
    }


def rand_index(table: Contingency) -> float:
    """Computes the Rand index: the share of the pixel pairs on which two label maps agree.

    Two label maps agree on a pair of pixels if both maps give the two pixels the same label, or
    both maps give them different labels. If there is only one pixel, the index is 1.
    """
    together, in_truth, in_labels = _ordered_pairs(table)
    pairs = table.num_pixels * (table.num_pixels - 1)
    return (pairs + 2 * together - in_truth - in_labels) / pairs if pairs else 1.0


def fowlkes_mallows(table: Contingency) -> float:
    """Computes the Fowlkes-Mallows index, the geometric mean of precision and recall.

    Precision and recall are shares of pixel pairs. Precision is the share of the pairs with the
    same label that also have the same truth region. Recall is the share of the pairs with the same
    truth region that also have the same label. If no pair has the same label and the same truth
    region, the index is 0.
    """
    together, in_truth, in_labels = _ordered_pairs(table)
    return math.sqrt(together / in_truth) * math.sqrt(together / in_labels) if together else 0.0


def entropy(sizes: NDArray[np.int64]) -> float:
    """Computes the entropy of a partition in nats, from the number of pixels of each part."""
    if sizes.size == 1:
        return 0.0
    total = sizes.sum()
    return float(-np.sum(sizes / total * (np.log(sizes) - math.log(total))))


def _ordered_pairs(table: Contingency) -> tuple[int, int, int]:
    """Counts ordered pairs of different pixels that have the same label and the same truth region.

    Also counts the pairs with the same truth region, and the pairs with the same label.
    """
    counts = (table.table.data, table.region_sizes, table.label_sizes)
    both, truth, labels = (int(np.dot(sizes, sizes)) - table.num_pixels for sizes in counts)
    return both, truth, labels


def _adjusted(mutual_information: float, mean_entropy: float, table: Contingency) -> float:
    """Adjusts the mutual information for chance (Vinh et al. 2010), as scikit-learn does."""
    from sklearn.metrics.cluster import expected_mutual_information

    if 1 in table.table.shape:
        return float(table.table.shape == (1, 1))
    expected = expected_mutual_information(table.table, table.num_pixels)
    return _away_from_0(mutual_information - expected) / _away_from_0(mean_entropy - expected)


def _away_from_0(value: float) -> float:
    """Replaces a value very close to 0 by a tiny number, to avoid 0 / 0, as scikit-learn does."""
    tiny = float(np.finfo(np.float64).eps)
    return min(value, -tiny) if value < 0 else max(value, tiny)
