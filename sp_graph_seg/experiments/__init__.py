"""The benchmark, which computes Table 1 of the paper.

Its jobs can be interrupted, and can be distributed over several machines.
"""

from sp_graph_seg.experiments.bsds300 import (
    Experiment,
    best_labels,
    run_experiment,
    score_curves,
    typical_annotator,
)
from sp_graph_seg.experiments.jobs import Job, Photo, make_jobs
from sp_graph_seg.experiments.methods import (
    BASELINES,
    BETAS,
    METHODS,
    NUM_CLUSTERS,
    REGION_METHODS,
    Method,
    find_regions,
    method_from_dict,
)
from sp_graph_seg.experiments.paper import PAPER
from sp_graph_seg.experiments.photos import check_photos, find_photos
from sp_graph_seg.experiments.protocol import JobScores, Row
from sp_graph_seg.experiments.report import describe_machine, write_failures, write_tables

__all__ = [
    "BASELINES",
    "BETAS",
    "METHODS",
    "NUM_CLUSTERS",
    "PAPER",
    "REGION_METHODS",
    "Experiment",
    "Job",
    "JobScores",
    "Method",
    "Photo",
    "Row",
    "best_labels",
    "check_photos",
    "describe_machine",
    "find_photos",
    "find_regions",
    "make_jobs",
    "method_from_dict",
    "run_experiment",
    "score_curves",
    "typical_annotator",
    "write_failures",
    "write_tables",
]
