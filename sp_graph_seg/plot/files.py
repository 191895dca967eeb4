"""Writes figures to files."""

import os
from typing import TYPE_CHECKING

from sp_graph_seg.io import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(path: str | os.PathLike[str], figure: "Figure") -> None:
    """Writes a figure to a file. The suffix of ``path`` sets the format.

    If this fails, no incomplete file remains.

    Raises:
        InputError: If the file cannot be written.
    """
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=200)
