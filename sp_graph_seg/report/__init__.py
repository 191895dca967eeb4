"""Makes the page of a result, an HTML file with the input, its labels and their provenance.

A page needs no network connection and no other file. It shows only some slices of a volume. Thus it
has at most a few megabytes, even for a large volume.
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
