"""Functions that warn after a training that went wrong."""

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
    """Warns if the loss is much larger at the end of a training than in its first step.

    The loss at the end is the median loss of the last tenth of the steps.
    """
    losses = history["loss"]
    count = max(1, round(_END * len(losses)))
    first, last = losses[0], float(np.median(losses[-count:]))
    if last > first + (_GROWTH - 1) * abs(first):
        warnings.warn(
            f"learning_rate={config.learning_rate:g}: the loss grew from {first:.3g} to "
            f"{last:.3g}, so the labels are unreliable; use a smaller learning_rate.",
            TrainingWarning,
            stacklevel=3,
        )


def warn_of_collapse(num_labels: int, most_nodes: int, config: Config) -> None:
    """Warns if all nodes of the training images have the same label.

    Args:
        num_labels: Number of different labels of all nodes after training.
        most_nodes: Number of nodes of the training image with the most nodes.
        config: The configuration of the training.
    """
    if num_labels > 1:
        return
    if most_nodes < 2:
        wrong = f"n_segments={config.n_segments}: every training image has only one superpixel"
        remedy = "use a larger n_segments or another superpixel_method"
    else:
        wrong = f"learning_rate={config.learning_rate:g}: after training, only one label is left"
        remedy = "use a smaller learning_rate, beta_sim or beta_con, fewer epochs or another seed"
    warnings.warn(f"{wrong}; {remedy}.", TrainingWarning, stacklevel=3)


def warn_of_other_threads(path: str, before: int) -> None:
    """Warns if a training is resumed or repeated with another number of threads.

    Each thread adds up the gradients of its part of a batch. The number of threads therefore
    changes the order of the sums, and so the rounding.

    Args:
        path: The file of the earlier training.
        before: The number of threads of the earlier training.
    """
    now = torch.get_num_threads()
    if before != now:
        warnings.warn(
            f"{path}: the earlier training used {before} threads, but this one uses {now}, so some "
            f"labels may differ; set OMP_NUM_THREADS={before} for the same result.",
            TrainingWarning,
            stacklevel=3,
        )
