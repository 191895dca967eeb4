"""Limits on what is read. A hostile or damaged file causes an error instead of a hang."""

import os

from sp_graph_seg.errors import InputError

#: The environment variable with the factor that raises all limits, also in worker processes.
VARIABLE = "SP_GRAPH_SEG_LIMITS"

#: The limits by name.
LIMITS = {
    "bytes in a YAML file": 1_000_000,
    "nested levels of YAML": 20,
    "bytes in a chunk": 2**33,
    "pixels in a .seg file": 10**8,
}


def check_limit(name: str, value: float, path: str | os.PathLike[str]) -> None:
    """Raises an error if a file exceeds a limit.

    Args:
        name: A key of :data:`LIMITS`.
        value: The number found in the file. Its unit is part of ``name``, such as bytes.
        path: The file to name in the message.

    Raises:
        InputError: If the value is above the limit.
    """
    limit = LIMITS[name] * limit_factor()
    if value > limit:
        raise InputError(
            f"{path}: {value:,} {name} are above the limit of {limit:,.0f}; if you trust the "
            f"file, raise all limits tenfold with --limits 10, or set {VARIABLE}=10."
        )


def limit_factor() -> float:
    """Returns the factor by which all limits are multiplied. It is 1 unless the user raised it.

    Raises:
        InputError: If the factor is not a number of 1 or more.
    """
    text = os.environ.get(VARIABLE, "1")
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 1 <= factor < float("inf"):
        raise InputError(
            f"{VARIABLE}={text} is not a number of 1 or more; give a number such as 10."
        )
    return factor
