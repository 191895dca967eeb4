"""Chooses slices of a volume or video for training, and labels all slices block by block."""

from sp_graph_seg.streaming.choose import choose_slices
from sp_graph_seg.streaming.label import label_volume, record_labels
from sp_graph_seg.streaming.slices import read_slice, read_slices
from sp_graph_seg.streaming.survey import Survey, check_slices, survey_volume
from sp_graph_seg.streaming.votes import vote_axes

__all__ = [
    "Survey",
    "check_slices",
    "choose_slices",
    "label_volume",
    "read_slice",
    "read_slices",
    "record_labels",
    "survey_volume",
    "vote_axes",
]
