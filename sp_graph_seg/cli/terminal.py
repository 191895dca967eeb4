"""Runs the program in a terminal. Sets exit codes, and prints one line per error or warning."""

import _thread
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cyclopts import CycloptsError

from sp_graph_seg.cli.app import PROGRAM, app
from sp_graph_seg.cli.memory import TooLittleMemoryError
from sp_graph_seg.cli.messages import Messages, open_messages
from sp_graph_seg.cli.shared_flags import take_shared_flags
from sp_graph_seg.errors import InputError, is_out_of_memory
from sp_graph_seg.io.record import recorded_as

_TOO_LITTLE_MEMORY = (
    "the memory is too small; reduce --max-size and --superpixel-size, say to 1000, or give fewer "
    "images at once. For a volume, use --block 1, --workers 0 or --binning 2. Finished work is "
    "kept."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Errors that the user can correct are printed as one line.

    Args:
        arguments: The arguments of the program. (default: those in ``sys.argv``)

    Returns:
        The exit code: 0 for success, 2 for an error that the user can correct, 130 after Ctrl-C,
        143 if the process was terminated, or 141 if the program that reads its output has ended,
        such as ``head``. Any other exception is a fault of the program. It is raised, and Python
        then ends with the exit code 1.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        flags, left = take_shared_flags(given)
        with (
            _terminated_like_interrupted(),
            open_messages(*flags) as messages,
            recorded_as([PROGRAM, *given]),
        ):
            messages.log(shlex.join([PROGRAM, *given]))
            return _run(left, messages)
    except InputError as error:  # of the flags
        Messages().fail(error)
        return 2
    except KeyboardInterrupt as stop:  # before or after the command
        return _stop(stop, Messages())


def _run(arguments: Sequence[str], messages: Messages) -> int:
    """Runs a command. Prints its error, and returns the exit code."""
    try:
        app(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        messages.log("stopped: the reader of the output has gone")
        _discard_output()
        return 141
    except CycloptsError as error:
        command = " ".join([PROGRAM, *(error.command_chain or ())])
        messages.fail(f"{error} See {command} --help.")
    except (InputError, OSError) as error:
        messages.fail(error, error)
    except KeyboardInterrupt as stop:
        return _stop(stop, messages)
    except TooLittleMemoryError as error:
        messages.fail(error, error)
    except Exception as error:
        if not is_out_of_memory(error):
            messages.log("fault: ", traceback.format_exc())
            raise
        messages.fail(_TOO_LITTLE_MEMORY, error)
    else:
        return 0
    return 2


def _discard_output() -> None:
    """Sends what is still to be printed to nowhere, as Python prints the rest when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _stop(stop: KeyboardInterrupt, messages: Messages) -> int:
    is_terminated = isinstance(stop, _Terminated)
    messages.stop("terminated" if is_terminated else "interrupted")
    return 143 if is_terminated else 130


class _Terminated(KeyboardInterrupt):
    """Raised when ``kill`` or a batch system asks the process to end."""


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Makes SIGTERM end the program like Ctrl-C. This works only in the main thread.

    Python discards an exception that is raised in a finalizer or in the callback of a weak
    reference. If a signal arrives in such code, its exception is lost, so the signal is sent once
    more.
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
