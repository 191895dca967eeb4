"""The command line, which is the program ``sp-graph-seg`` with its commands.

Large packages are imported only when a command runs, so that ``--help`` is fast.
"""

from sp_graph_seg.cli import (  # noqa: F401, each registers its command
    benchmark,
    evaluate,
    graph,
    info,
    inspect,
    predict,
    regions,
    relabel,
    segment,
    train,
    tune,
)
from sp_graph_seg.cli.app import app
from sp_graph_seg.cli.terminal import main

__all__ = ["app", "main"]
