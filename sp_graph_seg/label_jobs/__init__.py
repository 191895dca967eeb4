"""Writes the labels of volumes and videos block by block, and resumes after interruptions."""

from sp_graph_seg.label_jobs.blocks import Block
from sp_graph_seg.label_jobs.job import LabelJob
from sp_graph_seg.label_jobs.opening import check_label_output, open_label_job
from sp_graph_seg.label_jobs.outputs import LabelOutput, parse_output

__all__ = [
    "Block",
    "LabelJob",
    "LabelOutput",
    "check_label_output",
    "open_label_job",
    "parse_output",
]
