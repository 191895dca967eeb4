"""Draws all pictures: labels over images, sheets of many images, graphs, curves and surfaces.

Figures are made without ``matplotlib.pyplot``. So no window opens, and figures need not be closed.
Write a figure to a file with :func:`save_figure`. A notebook shows a figure that is the last value
of a cell.
"""

from sp_graph_seg.extras import require
from sp_graph_seg.plot.comparison import comparison_grid
from sp_graph_seg.plot.curves import plot_history, plot_scores_against_beta
from sp_graph_seg.plot.files import save_figure
from sp_graph_seg.plot.graph import draw_graph
from sp_graph_seg.plot.ortho import orthogonal_slices
from sp_graph_seg.plot.overlay import overlay_labels
from sp_graph_seg.plot.panels import panel_grid
from sp_graph_seg.plot.sheets import contact_sheet, contact_sheet_of_frames

require("matplotlib")

__all__ = [
    "comparison_grid",
    "contact_sheet",
    "contact_sheet_of_frames",
    "draw_graph",
    "orthogonal_slices",
    "overlay_labels",
    "panel_grid",
    "plot_history",
    "plot_scores_against_beta",
    "save_figure",
]
