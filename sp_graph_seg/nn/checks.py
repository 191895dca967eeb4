"""Checks of the values of tensors, which are read from the device all at once."""

from collections.abc import Callable

import torch
from torch import Tensor

from sp_graph_seg.errors import InputError


def can_validate(validate: bool) -> bool:
    """Tells whether values can be checked; compiled code knows only shapes."""
    return validate and not torch.compiler.is_compiling()


def refuse(*checks: tuple[Tensor, Callable[[], str]]) -> None:
    """Raises an error for the first check that is true; synchronises with the GPU only once.

    Args:
        checks: Scalars that are true if something is wrong, each with a function that returns the
            message.

    Raises:
        InputError: With the message of the first check that is true, or under ``torch.vmap``,
            where values cannot be checked.
    """
    try:
        is_good = not torch.stack([flag for flag, _ in checks]).any()
    except RuntimeError as error:
        if "vmap" not in str(error):
            raise
        raise InputError(
            "validate: values cannot be checked under vmap; use validate=False."
        ) from error
    if is_good:
        return
    for is_wrong, message in checks:
        if is_wrong:
            raise InputError(message())
