"""Scores of segmentations. Some compare with the truth of annotators, others need no truth."""

from sp_graph_seg.evaluation.boundary_scores import boundary_displacement
from sp_graph_seg.evaluation.classes import ClassScore, score_classes
from sp_graph_seg.evaluation.clustering_scores import CLUSTERING_SCORES, score_clustering
from sp_graph_seg.evaluation.contingency import (
    Contingency,
    ContingencyCounter,
    contingency_table,
    contingency_tables,
)
from sp_graph_seg.evaluation.evaluate import (
    SCORE_NAMES,
    Combine,
    combine_annotators,
    mean_scores,
    score_annotators,
    score_in_detail,
    score_segmentation,
)
from sp_graph_seg.evaluation.kim_miou import kim_ious
from sp_graph_seg.evaluation.region_benchmark import (
    RegionBenchmark,
    SettingScores,
    benchmark_regions,
    score_settings,
    ucm2_labels,
)
from sp_graph_seg.evaluation.region_scores import REGION_SCORES, score_regions
from sp_graph_seg.evaluation.unsupervised import unsupervised_score, unsupervised_scorer

__all__ = [
    "CLUSTERING_SCORES",
    "REGION_SCORES",
    "SCORE_NAMES",
    "ClassScore",
    "Combine",
    "Contingency",
    "ContingencyCounter",
    "RegionBenchmark",
    "SettingScores",
    "benchmark_regions",
    "boundary_displacement",
    "combine_annotators",
    "contingency_table",
    "contingency_tables",
    "kim_ious",
    "mean_scores",
    "score_annotators",
    "score_classes",
    "score_clustering",
    "score_in_detail",
    "score_regions",
    "score_segmentation",
    "score_settings",
    "ucm2_labels",
    "unsupervised_score",
    "unsupervised_scorer",
]
