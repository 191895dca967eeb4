"""The flags that every command accepts. They may stand anywhere in the command line."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sp_graph_seg.errors import InputError
from sp_graph_seg.limits import VARIABLE, limit_factor

#: The help of these flags, which is shown with the list of commands.
SHARED_HELP = """\
With any command:

* `--quiet` prints only warnings and errors.
* `--verbose` also prints the warnings of other packages, and the traceback of an error.
* `--log-file FILE` appends all messages to a file, with their times.
* `--limits N` makes all limits on input files N times larger.

The exit code is 0 for success, 2 for an error that you can correct, 130 after Ctrl-C, 143 after the
signal SIGTERM, and 1 for a fault of the program.
"""


class SharedFlags(NamedTuple):
    """The values of the flags that every command accepts.

    The flag ``--limits`` is missing here, because its value is stored in an environment variable.
    """

    quiet: bool
    verbose: bool
    log_file: Path | None


def take_shared_flags(given: Sequence[str]) -> tuple[SharedFlags, list[str]]:
    """Removes the flags that every command accepts from the arguments.

    If ``--limits`` is among them, the limits on input files are multiplied by its value.

    Returns:
        The values of the flags, and the arguments that remain.

    Raises:
        InputError: If a flag has no value, or the value of ``--limits`` is not a number of at
            least 1.
    """
    left = list(given)
    limits = _take_value(left, "--limits")
    if limits is not None:
        os.environ[VARIABLE] = limits
        limit_factor()  # refuses what is not a number
    log_file = _take_value(left, "--log-file")
    quiet, verbose = _take_switch(left, "--quiet"), _take_switch(left, "--verbose")
    return SharedFlags(quiet, verbose, None if log_file is None else Path(log_file)), left


def _take_switch(given: list[str], flag: str) -> bool:
    is_given = flag in given
    given[:] = [argument for argument in given if argument != flag]
    return is_given


def _take_value(given: list[str], flag: str) -> str | None:
    """Removes the first ``--flag VALUE`` or ``--flag=VALUE`` from the arguments."""
    for at, argument in enumerate(given):
        name, equals, value = argument.partition("=")
        if name != flag:
            continue
        if not equals:
            if at + 1 == len(given):
                raise InputError(f"{flag}: has no value; write a value after the flag.")
            value = given.pop(at + 1)
        del given[at]
        return value
    return None
