"""Lets a caller follow a training step by step, and use the unfinished model after each step."""

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
    """Makes the function that a training loop calls after every step.

    It calls ``follow`` with the row of the history and with ``model_so_far``, a function that
    returns the unfinished model. The result is None if ``follow`` is None.
    """
    return None if follow is None else lambda row: follow(row, model_so_far)


def as_it_is(net: Net) -> Net:
    """Copies an unfinished network to the CPU, and sets the copy to evaluation mode.

    The network itself does not change. In the copy, batch normalisation uses running averages,
    which lag behind the weights.
    """
    return copy.deepcopy(net).cpu().eval()
