"""Training: patches, the loop, its history and its progress."""

from sp_graph_seg.training.fit import fit
from sp_graph_seg.training.history import History
from sp_graph_seg.training.patches import PatchSampler, PatchWindows, cut_patches, draw_windows
from sp_graph_seg.training.seeding import seeded
from sp_graph_seg.training.step import TrainingImage

__all__ = [
    "History",
    "PatchSampler",
    "PatchWindows",
    "TrainingImage",
    "cut_patches",
    "draw_windows",
    "fit",
    "seeded",
]
