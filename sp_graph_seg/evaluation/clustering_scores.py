"""The six scores that compare two partitions of the pixels, however the parts are numbered."""

import math

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.evaluation.contingency import Contingency

CLUSTERING_SCORES = ("rand", "ami", "fm", "h", "c", "v")
"""Rand index, A-MI, Fowlkes-Mallows index, homogeneity, completeness and V-measure."""


def score_clustering(table: Contingency) -> dict[str, float]:
    """Computes the six clustering scores of Leng et al., Table 1, from one contingency table.

    The scores equal scikit-learn's ``rand_score``, ``adjusted_mutual_info_score`` (arithmetic
    mean), ``fowlkes_mallows_score`` and ``homogeneity_completeness_v_measure``, also in limiting
    cases such as a constant segmentation. The pixels are counted once for all of them.

    Args:
        table: Table of a segmentation and the truth of one annotator.

    Returns:
        ``rand``, ``ami`` (adjusted for chance: about 0, at times below, for random labels), ``fm``,
        ``h``, ``c`` and ``v``, see :data:`CLUSTERING_SCORES`. 1 is best.

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
    """Computes the share of pixel pairs that both maps join or both separate; 1 for one pixel."""
    together, in_truth, in_labels = _ordered_pairs(table)
    pairs = table.num_pixels * (table.num_pixels - 1)
    return (pairs + 2 * together - in_truth - in_labels) / pairs if pairs else 1.0


def fowlkes_mallows(table: Contingency) -> float:
    """Computes the geometric mean of precision and recall of joined pixel pairs.

    It is 0 if no pair is joined in both maps.
    """
    together, in_truth, in_labels = _ordered_pairs(table)
    return math.sqrt(together / in_truth) * math.sqrt(together / in_labels) if together else 0.0


def entropy(sizes: NDArray[np.int64]) -> float:
    """Computes the entropy, in nats, of a partition whose parts have these sizes in pixels."""
    if sizes.size == 1:
        return 0.0
    total = sizes.sum()
    return float(-np.sum(sizes / total * (np.log(sizes) - math.log(total))))


def _ordered_pairs(table: Contingency) -> tuple[int, int, int]:
    """Counts ordered pairs of different pixels joined by both, by the truth and by the labels."""
    counts = (table.table.data, table.region_sizes, table.label_sizes)
    both, truth, labels = (int(np.dot(sizes, sizes)) - table.num_pixels for sizes in counts)
    return both, truth, labels


def _adjusted(mutual_information: float, mean_entropy: float, table: Contingency) -> float:
    """Computes mutual information adjusted for chance (Vinh et al. 2010), as scikit-learn does."""
    from sklearn.metrics.cluster import expected_mutual_information

    if 1 in table.table.shape:
        return float(table.table.shape == (1, 1))
    expected = expected_mutual_information(table.table, table.num_pixels)
    return _away_from_0(mutual_information - expected) / _away_from_0(mean_entropy - expected)


def _away_from_0(value: float) -> float:
    """Avoids 0 / 0, for example of partitions into single pixels, as scikit-learn does."""
    tiny = float(np.finfo(np.float64).eps)
    return min(value, -tiny) if value < 0 else max(value, tiny)
