"""What can be refused of an output before anything is read or trained."""

import os
from collections.abc import Iterable

from sp_graph_seg.io.files import check_writable
from sp_graph_seg.label_jobs.finished import exists, refuse_replacing
from sp_graph_seg.label_jobs.outputs import parse_output, refuse_inputs
from sp_graph_seg.label_jobs.partial import assembled_path, read_state


def check_label_output(
    output: str | os.PathLike[str],
    inputs: Iterable[str | os.PathLike[str]] = (),
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> None:
    """Refuses an output that :func:`open_label_job` would refuse for its name alone.

    Raises:
        InputError: The format is unknown, it touches an input, it is there already, or its folder
            cannot be written to.
    """
    target = parse_output(output)
    refuse_inputs(target, inputs)
    state = read_state(target.partial)
    is_moved = state is not None and state.skipped is not None
    is_moved = is_moved and not assembled_path(target).exists()  # only its blocks are still there
    if exists(target) and not (resume or is_moved):
        refuse_replacing(target, overwrite)
    check_writable(target.path.parent)
