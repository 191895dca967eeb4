"""Functions that choose the device and the precision of training."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError


def find_device(config: Config) -> torch.device:
    """Chooses a CUDA GPU for training if one exists and is allowed, otherwise the CPU.

    Raises:
        InputError: If the accelerator or the precision in ``config`` is not available.
    """
    has_gpu = torch.cuda.is_available()
    if config.accelerator == "gpu" and not has_gpu:
        raise InputError("accelerator='gpu': no CUDA GPU was found; use 'auto' or 'cpu'.")
    device = torch.device("cuda" if has_gpu and config.accelerator != "cpu" else "cpu")
    if config.precision == "16-mixed" and device.type == "cpu":
        raise InputError(
            "precision='16-mixed': this precision needs a GPU, but training would run on the CPU; "
            "use 'bf16-mixed' or '32-true'."
        )
    return device


def autocast(config: Config, device: torch.device) -> torch.autocast:
    """Returns a context manager that sets the precision of the network."""
    dtype = torch.float16 if config.precision == "16-mixed" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=config.precision != "32-true")


def make_scaler(config: Config, device: torch.device) -> torch.amp.GradScaler:
    """Makes a scaler that keeps float16 gradients from vanishing.

    With any other precision, the scaler does nothing.
    """
    return torch.amp.GradScaler(device.type, enabled=config.precision == "16-mixed")


@contextmanager
def plain_torch() -> Iterator[None]:
    """Ignores the caller's default dtype, gradient mode and autocast inside a ``with`` block.

    Inside the block, new tensors are float32, gradients are computed, and autocast is off. Only the
    configuration sets the precision of training.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            for device in devices:
                stack.enter_context(torch.autocast(device, enabled=False))
            yield
    finally:
        torch.set_default_dtype(before)
