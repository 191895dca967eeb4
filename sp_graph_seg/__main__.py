"""The program ``sp-graph-seg``, also as ``python -m sp_graph_seg``."""

import os
import sys

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require


def main() -> int:
    """Runs the command line, with threads that sleep while they wait."""
    # Read by OpenMP when torch is loaded. On a busy machine, threads that spin take the cores from
    # those for which they wait.
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
