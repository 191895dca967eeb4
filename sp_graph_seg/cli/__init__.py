"""The command line: ``sp-graph-seg`` and its commands.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

import sp_graph_seg.cli.benchmark
import sp_graph_seg.cli.evaluate
import sp_graph_seg.cli.inspect
import sp_graph_seg.cli.relabel
import sp_graph_seg.cli.tune  # noqa: F401, each registers its command
from sp_graph_seg.cli.commands import app
from sp_graph_seg.cli.terminal import main

__all__ = ["app", "main"]
