"""Checks of the values of tensors, which are read from the device all at once."""

from collections.abc import Callable

import torch
from torch import Tensor

from sp_graph_seg.errors import InputError


def can_validate(validate: bool) -> bool:
    """Tells whether to check values; compiled code knows only shapes and cannot."""
    return validate and not torch.compiler.is_compiling()


def refuse(*checks: tuple[Tensor, Callable[[], str]]) -> None:
    """Raises an error if a check finds something wrong; otherwise reads from the GPU only once.

    Args:
        checks: Pairs of a scalar tensor, which is true if something is wrong, and a function that
            returns the message for it.

    Raises:
        InputError: If a scalar is true, with the message of the first one; or under ``torch.vmap``,
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
