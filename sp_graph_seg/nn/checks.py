"""Checks of what tensors hold: all are read from the device at once, or none."""

from collections.abc import Callable

import torch
from torch import Tensor

from sp_graph_seg.errors import InputError


def can_validate(validate: bool) -> bool:
    """Whether values can be looked at: not where code is compiled, which knows shapes only."""
    return validate and not torch.compiler.is_compiling()


def refuse(*checks: tuple[Tensor, Callable[[], str]]) -> None:
    """Raises an error for the first check that is true; the device is waited for once.

    Args:
        checks: Scalars, true where something is wrong, and what says what that is.

    Raises:
        InputError: With the message of the first check that is true, or, under ``torch.vmap``,
            where nothing can be looked at.
    """
    try:
        is_good = not torch.stack([flag for flag, _ in checks]).any()
    except RuntimeError as error:
        if "vmap" not in str(error):
            raise
        raise InputError("validate: values cannot be checked under vmap; give False.") from error
    if is_good:
        return
    for is_wrong, message in checks:
        if is_wrong:
            raise InputError(message())
