"""Checks of the values of tensors. The results of all checks are read from the GPU at once."""

from collections.abc import Callable

import torch
from torch import Tensor

from sp_graph_seg.errors import InputError


def can_validate(validate: bool) -> bool:
    """Returns ``validate``, or false in compiled code, where values cannot be checked."""
    return validate and not torch.compiler.is_compiling()


def refuse(*checks: tuple[Tensor, Callable[[], str]]) -> None:
    """Raises an error if any check finds a fault.

    If no check finds a fault, values are read from the GPU only once.

    Args:
        checks: Each check is a pair: a scalar tensor that is true if there is a fault, and a
            function that returns the error message.

    Raises:
        InputError: If a check finds a fault, with the message of the first such check. The error
            is also raised inside ``torch.vmap``, because values cannot be checked there.
    """
    try:
        is_good = not torch.stack([flag for flag, _ in checks]).any()
    except RuntimeError as error:
        if "vmap" not in str(error):
            raise
        raise InputError(
            "validate: values cannot be checked inside torch.vmap; use validate=False."
        ) from error
    if is_good:
        return
    for is_wrong, message in checks:
        if is_wrong:
            raise InputError(message())
