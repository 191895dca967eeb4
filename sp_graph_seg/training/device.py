"""Where a network is trained and in which arithmetic."""

import torch

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError


def find_device(config: Config) -> torch.device:
    """The device to train on: a CUDA GPU where there is one and it is not ruled out, else the CPU.

    Raises:
        InputError: If the accelerator or the precision cannot be had here.
    """
    has_gpu = torch.cuda.is_available()
    if config.accelerator == "gpu" and not has_gpu:
        raise InputError("accelerator='gpu': no CUDA GPU was found; use 'auto' or 'cpu'.")
    device = torch.device("cuda" if has_gpu and config.accelerator != "cpu" else "cpu")
    if config.precision == "16-mixed" and device.type == "cpu":
        raise InputError(
            "precision='16-mixed': needs a GPU, and this would train on the CPU; use 'bf16-mixed' "
            "or '32-true'."
        )
    return device


def autocast(config: Config, device: torch.device) -> torch.autocast:
    """The context in which the network computes in the precision of the configuration."""
    dtype = torch.float16 if config.precision == "16-mixed" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=config.precision != "32-true")


def make_scaler(config: Config, device: torch.device) -> torch.amp.GradScaler:
    """Keeps the gradients of 16 bits from vanishing; with other precisions it does nothing."""
    return torch.amp.GradScaler(device.type, enabled=config.precision == "16-mixed")
