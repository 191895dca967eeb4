"""The command line: ``sp-graph-seg`` and its commands.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from sp_graph_seg.cli import (  # noqa: F401, each registers its command
    benchmark,
    evaluate,
    graph,
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
