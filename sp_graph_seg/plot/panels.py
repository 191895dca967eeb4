"""Draws pictures side by side, each with a title."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sp_graph_seg.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Width of a figure, and height of a title, in inches.
_WIDTH, _TITLE = 12.0, 0.4


def panel_grid(panels: Mapping[str, ArrayLike], columns: int = 3) -> "Figure":
    """Shows pictures in rows, each below its title.

    Args:
        panels: The title and the picture of each panel. A picture is ``(H, W)``, which is shown in
            grey, or colours ``(H, W, 3)``, such as the result of
            :func:`~sp_graph_seg.plot.overlay_labels`.
        columns: Number of panels in a row.

    Raises:
        InputError: If ``panels`` is empty, or ``columns`` is below 1.
    """
    from matplotlib.figure import Figure

    if not panels:
        raise InputError("panels: the mapping is empty; give at least one picture.")
    if columns < 1:
        raise InputError(f"columns={columns}: must be 1 or more; use a number above 0.")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    height, width = np.shape(next(iter(panels.values())))[:2]
    row_height = _WIDTH / columns * height / width + _TITLE
    figure = Figure(figsize=(_WIDTH, rows * row_height), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.axis("off")
    for axes, (title, picture) in zip(grid, panels.items(), strict=False):
        axes.imshow(picture, cmap="gray")
        axes.set_title(title)
    return figure
