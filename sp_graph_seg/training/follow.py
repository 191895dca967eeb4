"""Lets a caller follow a training step by step, and use the model as it is so far."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from sp_graph_seg.training.history import Step

Net = TypeVar("Net", bound=nn.Module)

#: Called after every step with its row, and a function that returns the model as it is so far.
Follow = Callable[[Step, Callable[[], Any]], None]


def each_step(
    follow: Follow | None, model_so_far: Callable[[], Any]
) -> Callable[[Step], None] | None:
    """Makes the function that a training loop calls after every step."""
    return None if follow is None else lambda row: follow(row, model_so_far)


def as_it_is(net: Net) -> Net:
    """Copies a network in training to the CPU, in evaluation mode; the training goes on as before.

    The statistics of its batch normalisation are the running averages, which lag behind.
    """
    return copy.deepcopy(net).cpu().eval()
