"""Makes the page of a result: one HTML file with the input, its labels and their origin.

A page needs no network and no other file. It shows a part of the slices, so it has at most
a few megabytes, however large the volume.
"""

from sp_graph_seg.report.page import Page, Table, is_own_page, render_page
from sp_graph_seg.report.sample import Panel, Sample, sample_images, sample_volume

__all__ = [
    "Page",
    "Panel",
    "Sample",
    "Table",
    "is_own_page",
    "render_page",
    "sample_images",
    "sample_volume",
]
