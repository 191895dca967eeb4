"""Randomness that depends on a seed alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch within the context, and restores its random states afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


class GlobalRandom:
    """The random states of torch, saved and restored like the state of a module."""

    def state_dict(self) -> dict[str, Any]:
        """Returns the states of the CPU and of all GPUs."""
        return {"cpu": torch.get_rng_state(), "gpus": torch.cuda.get_rng_state_all()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the states."""
        torch.set_rng_state(state["cpu"])
        torch.cuda.set_rng_state_all(state["gpus"])
