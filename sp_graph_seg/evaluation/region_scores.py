"""The region scores of the Berkeley benchmark (Arbelaez et al., TPAMI 2011, section 2.3)."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.evaluation.clustering_scores import entropy, rand_index
from sp_graph_seg.evaluation.contingency import Contingency

REGION_SCORES = ("pri", "vi", "covering", "gce")
"""Probabilistic Rand index, variation of information, covering, global consistency error."""


def score_regions(tables: Sequence[Contingency]) -> dict[str, float]:
    """Computes the region scores of a segmentation against all its annotators.

    Args:
        tables: Contingency table of the segmentation and the truth of each annotator, at least one.

    Returns:
        ``pri``, ``vi`` (in bits, 0 is best), ``covering`` and ``gce`` (0 is best), see
        :func:`probabilistic_rand_index`, :func:`variation_of_information`, :func:`covering` and
        :func:`global_consistency_error`.
    """
    return {
        "pri": probabilistic_rand_index(tables),
        "vi": float(np.mean([variation_of_information(table) for table in tables])),
        "covering": covering(tables),
        "gce": float(np.mean([global_consistency_error(table) for table in tables])),
    }


def probabilistic_rand_index(tables: Sequence[Contingency]) -> float:
    """Computes the probabilistic Rand index (PRI): the mean of the Rand index over the annotators.

    The PRI lies between 0 and 1, and 1 is best (Unnikrishnan et al., TPAMI 2007).
    """
    return float(np.mean([rand_index(table) for table in tables]))


def variation_of_information(table: Contingency) -> float:
    """Computes the variation of information (VI) of two partitions in bits. 0 is best.

    VI(S, T) = H(S | T) + H(T | S) = 2 H(S, T) - H(S) - H(T), where S is the segmentation, T is the
    truth and H is the entropy (Meila, JMVA 2007). The logarithms have base 2, as in the code of the
    Berkeley benchmark.
    """
    nats = 2 * entropy(table.table.data) - entropy(table.region_sizes) - entropy(table.label_sizes)
    return max(nats, 0.0) / math.log(2)


def global_consistency_error(table: Contingency) -> float:
    r"""Computes the global consistency error (GCE), which lies between 0 and 1. 0 is best.

    The GCE is 0 if one of the two partitions is a refinement of the other. For a pixel with truth
    region R and label L, the error is :math:`|R \setminus L| / |R|` in one direction and
    :math:`|L \setminus R| / |L|` in the other direction. In each direction, the mean over the
    pixels is taken. The GCE is the smaller of these two means (Martin et al., ICCV 2001). It is
    also 0 if every pixel has a different label, or if all pixels have the same label. Therefore,
    use the GCE only together with another score.
    """
    cells = table.table.tocoo()
    shared = cells.data.astype(float)
    errors = [
        float(np.sum(shared * (1 - shared / sizes)))
        for sizes in (table.region_sizes[cells.row], table.label_sizes[cells.col])
    ]
    return min(errors) / table.num_pixels


def best_overlaps(table: Contingency) -> NDArray[np.float64]:
    """Computes the largest intersection over union of each truth region with a label.

    Args:
        table: Contingency table of a segmentation and the truth of one annotator.

    Returns:
        One number for each truth region, ``(regions,)``. Each number is above 0 and at most 1.
    """
    cells = table.table.tocoo()
    union = table.region_sizes[cells.row] + table.label_sizes[cells.col] - cells.data
    best = np.zeros(table.region_sizes.size)
    np.maximum.at(best, cells.row, cells.data / union)
    return best


def covering(tables: Sequence[Contingency]) -> float:
    """Computes the Covering, a measure of how well the labels cover the truth regions.

    The Covering lies between 0 and 1, and 1 is best (Arbelaez et al., Eq. 8). For each region of
    each annotator, the largest intersection over union with a label is computed. The Covering is
    the mean of these values, weighted by the sizes of the regions. A label with several components
    is not split.
    """
    covered = sum(covered_pixels(table) for table in tables)
    return covered / sum(table.num_pixels for table in tables)


def covered_pixels(table: Contingency) -> float:
    """Sums the size of each truth region times its best overlap, for one annotator.

    See :func:`best_overlaps` for the best overlap.
    """
    return float(np.dot(table.region_sizes, best_overlaps(table)))
