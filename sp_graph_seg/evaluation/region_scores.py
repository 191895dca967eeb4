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
    """Computes PRI, VI and Covering of a segmentation against all its annotators.

    Args:
        tables: Table of the segmentation and each annotator, at least one.

    Returns:
        ``pri``, ``vi`` (bits, 0 is best) and ``covering``, see :func:`probabilistic_rand_index`,
        :func:`variation_of_information` and :func:`covering`.
    """
    return {
        "pri": probabilistic_rand_index(tables),
        "vi": float(np.mean([variation_of_information(table) for table in tables])),
        "covering": covering(tables),
        "gce": float(np.mean([global_consistency_error(table) for table in tables])),
    }


def probabilistic_rand_index(tables: Sequence[Contingency]) -> float:
    """Averages the Rand index over annotators, 0 to 1 (best) (Unnikrishnan et al., TPAMI 2007)."""
    return float(np.mean([rand_index(table) for table in tables]))


def variation_of_information(table: Contingency) -> float:
    """Computes the bits that the two partitions do not share; 0 is best (Meila, JMVA 2007).

    VI(S, T) = H(S | T) + H(T | S) = 2 H(S, T) - H(S) - H(T), with logarithms to base 2 as in the
    code of the benchmark.
    """
    nats = 2 * entropy(table.table.data) - entropy(table.region_sizes) - entropy(table.label_sizes)
    return max(nats, 0.0) / math.log(2)


def global_consistency_error(table: Contingency) -> float:
    r"""Computes how far neither partition refines the other: 0 to 1, 0 is best.

    The error of a pixel with truth region R and label L is :math:`|R \setminus L| / |R|` in one
    direction and :math:`|L \setminus R| / |L|` in the other. The score is the smaller of the means
    over the pixels in both directions (Martin et al., ICCV 2001). It is 0 if every pixel is a
    region, or all are one region, so read it beside another score.
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
        table: Table of a segmentation and the truth of one annotator.

    Returns:
        ``(regions,)``, above 0 and at most 1.
    """
    cells = table.table.tocoo()
    union = table.region_sizes[cells.row] + table.label_sizes[cells.col] - cells.data
    best = np.zeros(table.region_sizes.size)
    np.maximum.at(best, cells.row, cells.data / union)
    return best


def covering(tables: Sequence[Contingency]) -> float:
    """Measures how well labels cover the truth regions, 0 to 1 (best) (Arbelaez et al., Eq. 8).

    It is the mean, over all regions of all annotators, of their largest intersection over union
    with a label, weighted by the size of the region. A label in several pieces counts as one.
    """
    covered = sum(covered_pixels(table) for table in tables)
    return covered / sum(table.num_pixels for table in tables)


def covered_pixels(table: Contingency) -> float:
    """Sums the size times the best overlap of each region of one annotator."""
    return float(np.dot(table.region_sizes, best_overlaps(table)))
