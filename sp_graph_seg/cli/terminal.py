"""Runs the program in a terminal. Sets exit codes, and prints one line per error or warning."""

import _thread
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cyclopts import CycloptsError

from sp_graph_seg.cli.app import PROGRAM, app
from sp_graph_seg.cli.memory import TooLittleMemoryError
from sp_graph_seg.errors import InputError, SegmentationWarning, is_out_of_memory
from sp_graph_seg.io.record import recorded_as
from sp_graph_seg.limits import VARIABLE, limit_factor


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Errors that the user can correct are printed as one line.

    Args:
        arguments: The arguments of the program. (default: those in ``sys.argv``)

    Returns:
        The exit code: 0 for success, 2 for an error that the user can correct, 130 after Ctrl-C, or
        143 if the process was terminated.
    """
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        with (
            _own_warnings_only(),
            _terminated_like_interrupted(),
            recorded_as([PROGRAM, *given]),
        ):
            app(_raise_limits(given))
    except CycloptsError as error:
        command = " ".join([PROGRAM, *(error.command_chain or ())])
        return _fail(f"{error} See {command} --help.")
    except (InputError, OSError) as error:
        return _fail(error)
    except KeyboardInterrupt as stop:
        is_terminated = isinstance(stop, _Terminated)
        what = "terminated" if is_terminated else "interrupted"
        print(f"{PROGRAM}: {what}", file=sys.stderr)
        return 143 if is_terminated else 130
    except TooLittleMemoryError as error:
        return _fail(error)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return _fail(
            "the memory is too small; reduce --max-size and --superpixel-size, say to 1000, or "
            "give fewer images at once. For a volume, use --block 1, --workers 0 or --binning 2. "
            "Finished work is kept."
        )
    return 0


def _raise_limits(given: list[str]) -> list[str]:
    """Removes ``--limits N`` from the arguments, and makes the limits on files N times larger."""
    if "--limits" not in given:
        return given
    at = given.index("--limits")
    os.environ[VARIABLE] = next(iter(given[at + 1 :]), "")
    limit_factor()  # refuses what is not a number
    return given[:at] + given[at + 2 :]


class _Terminated(KeyboardInterrupt):
    """Raised when ``kill`` or a batch system asks the process to end."""


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Makes SIGTERM end the program like Ctrl-C. This works only in the main thread.

    Python discards an exception that is raised in a finalizer or in the callback of a weak
    reference. A signal that arrives there is sent once more.
    """

    def stop(*_: Any) -> None:
        raise _Terminated

    def send_again(discarded: Any) -> None:
        if issubclass(discarded.exc_type, KeyboardInterrupt):
            is_terminated = issubclass(discarded.exc_type, _Terminated)
            number = signal.SIGTERM if is_terminated else signal.SIGINT
            threading.Timer(0.01, _thread.interrupt_main, [number]).start()
        else:
            report(discarded)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, report = signal.signal(signal.SIGTERM, stop), sys.unraisablehook
    sys.unraisablehook = send_again
    try:
        yield
    finally:
        sys.unraisablehook = report
        signal.signal(signal.SIGTERM, before)


def _fail(reason: object) -> int:
    print(f"{PROGRAM}: error: {' '.join(str(reason).split())}", file=sys.stderr)
    return 2


@contextmanager
def _own_warnings_only() -> Iterator[None]:
    """Prints each warning of this package once, on one line. Hides all other warnings and logs."""
    shown = set[str]()

    def show(message: Warning | str, *_: Any) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            print(f"{PROGRAM}: warning: {message}", file=sys.stderr)

    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("default", SegmentationWarning)
            warnings.showwarning = show  # type: ignore[assignment]
            yield
    finally:
        logging.disable(logging.NOTSET)
