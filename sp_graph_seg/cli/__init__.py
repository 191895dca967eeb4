"""The command line: ``sp-graph-seg`` with the commands segment, train, predict and graph.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from sp_graph_seg.cli.commands import app
from sp_graph_seg.cli.terminal import main

__all__ = ["app", "main"]
