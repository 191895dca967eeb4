"""Limits of what is read, so that a hostile or damaged file ends in an error and not in a hang."""

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
    """Refuses a file that exceeds a limit.

    Args:
        name: A key of :data:`LIMITS`.
        value: The number that the file has, in the unit that ``name`` says.
        path: The file, for the message.

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
    """Returns the factor by which all limits are multiplied: 1 unless the user has raised it.

    Raises:
        InputError: If the factor is not a number of 1 or more.
    """
    text = os.environ.get(VARIABLE, "1")
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 1 <= factor < float("inf"):
        raise InputError(f"{VARIABLE}={text}: is no factor of 1 or more; give one, such as 10.")
    return factor
