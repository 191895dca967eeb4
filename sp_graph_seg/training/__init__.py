"""Functions and classes for training: patches, losses, the training loop and its history."""

from sp_graph_seg.training.blind_spot import fit_blind_spot, measure_skill
from sp_graph_seg.training.checkpoint import checkpoints
from sp_graph_seg.training.device import find_device, plain_torch
from sp_graph_seg.training.fit import count_steps, fit
from sp_graph_seg.training.follow import Follow, as_it_is, each_step
from sp_graph_seg.training.history import TERMS, History, describe_step, show_steps
from sp_graph_seg.training.losses import LOSSES
from sp_graph_seg.training.patches import PatchPositions, PatchSampler, cut_patches, draw_patches
from sp_graph_seg.training.seeding import seeded
from sp_graph_seg.training.subject import TrainingImage
from sp_graph_seg.training.verdict import warn_of_other_threads

__all__ = [
    "LOSSES",
    "TERMS",
    "Follow",
    "History",
    "PatchPositions",
    "PatchSampler",
    "TrainingImage",
    "as_it_is",
    "checkpoints",
    "count_steps",
    "cut_patches",
    "describe_step",
    "draw_patches",
    "each_step",
    "find_device",
    "fit",
    "fit_blind_spot",
    "measure_skill",
    "plain_torch",
    "seeded",
    "show_steps",
    "warn_of_other_threads",
]
