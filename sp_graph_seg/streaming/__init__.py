"""Volumes and videos of any length: choose slices to train on, label block by block."""

from sp_graph_seg.streaming.choose import choose_slices
from sp_graph_seg.streaming.label import check_slices, label_volume
from sp_graph_seg.streaming.slices import leave_out, read_slice, read_slices
from sp_graph_seg.streaming.votes import vote_axes

__all__ = [
    "check_slices",
    "choose_slices",
    "label_volume",
    "leave_out",
    "read_slice",
    "read_slices",
    "vote_axes",
]
