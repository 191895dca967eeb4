"""What can be refused of an output before anything is read or trained."""

import os
from collections.abc import Iterable

from sp_graph_seg.io.label_stores.finished import exists, refuse_replacing
from sp_graph_seg.io.label_stores.outputs import parse_output, refuse_inputs


def check_label_output(
    output: str | os.PathLike[str],
    inputs: Iterable[str | os.PathLike[str]] = (),
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> None:
    """Refuses an output that :func:`open_label_job` would refuse for its name alone.

    Raises:
        InputError: The format is unknown, it touches an input, or it is there already.
    """
    target = parse_output(output)
    refuse_inputs(target, inputs)
    if exists(target) and not resume:
        refuse_replacing(target, overwrite)
