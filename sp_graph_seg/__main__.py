"""The program ``sp-graph-seg``, which also runs as ``python -m sp_graph_seg``."""

import os
import sys

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require


def main() -> int:
    """Runs the command line, and returns its exit code.

    Sets ``OMP_WAIT_POLICY`` to ``PASSIVE`` unless the user has set it. OpenMP threads that wait for
    other threads then sleep, and leave the cores to other work.
    """
    # OpenMP reads this when torch is loaded. On a busy machine, waiting threads that spin take the
    # cores from the threads that they wait for.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        require("cyclopts")
    except InputError as error:
        print(f"sp-graph-seg: error: {error}", file=sys.stderr)
        return 2
    from sp_graph_seg.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
