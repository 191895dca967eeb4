"""The program in a terminal: exit codes, and errors and warnings of one line each."""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cyclopts import CycloptsError

from sp_graph_seg.cli.app import PROGRAM, app
from sp_graph_seg.errors import (
    AssumedSpacingWarning,
    FewSuperpixelsWarning,
    InputError,
    IntensityRangeWarning,
    LowDiskSpaceWarning,
    ManyChannelsWarning,
    MissingSlicesWarning,
    SmallImageWarning,
)
from sp_graph_seg.io.record import recorded_as

_OWN_WARNINGS = (
    AssumedSpacingWarning,
    FewSuperpixelsWarning,
    IntensityRangeWarning,
    LowDiskSpaceWarning,
    ManyChannelsWarning,
    MissingSlicesWarning,
    SmallImageWarning,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Errors that the user can correct are one line, without traceback.

    Args:
        arguments: The arguments. (default: those of the process)

    Returns:
        The exit code: 0, 2 for an error that the user can correct, or 130 if interrupted.
    """
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        with _own_warnings_only(), recorded_as([PROGRAM, *given]):
            app(given)
    except CycloptsError as error:
        command = " ".join([PROGRAM, *(error.command_chain or ())])
        return _fail(f"{error} See {command} --help.")
    except (InputError, OSError) as error:
        return _fail(error)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return 130
    return 0


def _fail(reason: object) -> int:
    print(f"{PROGRAM}: error: {' '.join(str(reason).split())}", file=sys.stderr)
    return 2


@contextmanager
def _own_warnings_only() -> Iterator[None]:
    """Prints our warnings as one line each, and hides warnings and logs of other libraries."""

    def show(message: Warning | str, *_: Any) -> None:
        print(f"{PROGRAM}: warning: {message}", file=sys.stderr)

    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for own in _OWN_WARNINGS:
                warnings.simplefilter("default", own)
            warnings.showwarning = show  # type: ignore[assignment]
            yield
    finally:
        logging.disable(logging.NOTSET)
