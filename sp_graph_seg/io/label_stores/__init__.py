"""Labels of whole volumes and videos: written block by block, resumed after any interruption."""

from sp_graph_seg.io.label_stores.blocks import Block
from sp_graph_seg.io.label_stores.check import check_label_output
from sp_graph_seg.io.label_stores.job import LabelJob
from sp_graph_seg.io.label_stores.opening import open_label_job
from sp_graph_seg.io.label_stores.outputs import LabelOutput, parse_output
from sp_graph_seg.io.label_stores.video import write_overlay_video

__all__ = [
    "Block",
    "LabelJob",
    "LabelOutput",
    "check_label_output",
    "open_label_job",
    "parse_output",
    "write_overlay_video",
]
