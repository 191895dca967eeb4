"""Judges a finished training: whether it diverged, or left only one label."""

import warnings

import numpy as np
import torch

from sp_graph_seg.config import Config
from sp_graph_seg.errors import TrainingWarning
from sp_graph_seg.training.history import History

#: A training diverged if the last of its losses, of this share of the steps, are so many times the
#: first.
_GROWTH, _END = 2.0, 0.1


def warn_of_divergence(history: History, config: Config) -> None:
    """Warns if the median loss of the last steps is much larger than that of the first step."""
    losses = history["loss"]
    count = max(1, round(_END * len(losses)))
    first, last = losses[0], float(np.median(losses[-count:]))
    if last > first + (_GROWTH - 1) * abs(first):
        warnings.warn(
            f"learning_rate={config.learning_rate:g}: the loss grew from {first:.3g} to "
            f"{last:.3g}, so the labels mean little; use a smaller learning_rate.",
            TrainingWarning,
            stacklevel=3,
        )


def warn_of_collapse(num_labels: int, most_nodes: int, config: Config) -> None:
    """Warns if all nodes of the training images have the same label.

    Args:
        num_labels: Number of labels of all nodes after training.
        most_nodes: Number of nodes of the image that has the most.
        config: The configuration.
    """
    if num_labels > 1:
        return
    if most_nodes < 2:
        wrong = f"n_segments={config.n_segments}: no training image has two superpixels"
        remedy = "use a larger n_segments, or another superpixel_method"
    else:
        wrong = f"learning_rate={config.learning_rate:g}: training left only one label"
        remedy = "use a smaller learning_rate, beta_sim or beta_con, fewer epochs or another seed"
    warnings.warn(f"{wrong}; {remedy}.", TrainingWarning, stacklevel=3)


def warn_of_other_threads(path: str, before: int) -> None:
    """Warns if a training is repeated, or goes on, with another number of threads.

    Each thread adds up the gradients of its part of a batch, so the number of threads changes the
    order of the sums, and with it the rounding.

    Args:
        path: The file of the earlier training.
        before: The number of threads of the earlier training.
    """
    now = torch.get_num_threads()
    if before != now:
        warnings.warn(
            f"{path}: was trained with {before} threads and now with {now}, so some labels may "
            f"differ; set OMP_NUM_THREADS={before} for the same result.",
            TrainingWarning,
            stacklevel=3,
        )
