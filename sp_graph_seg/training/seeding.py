"""Functions and classes that control the random numbers of torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch inside a ``with`` block, and restores its random states after the block."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


class GlobalRandom:
    """An object whose ``state_dict`` holds the states of torch's random number generators."""

    def state_dict(self) -> dict[str, Any]:
        """Returns the random states of the CPU and of all GPUs."""
        return {"cpu": torch.get_rng_state(), "gpus": torch.cuda.get_rng_state_all()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the random states that :meth:`state_dict` returned."""
        torch.set_rng_state(state["cpu"])
        torch.cuda.set_rng_state_all(state["gpus"])
