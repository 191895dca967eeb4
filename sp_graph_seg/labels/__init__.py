"""Functions that change and measure label maps. They return label maps, tables and meshes."""

from sp_graph_seg.labels.components import split_regions
from sp_graph_seg.labels.decimate import simplify_surface
from sp_graph_seg.labels.relabel import Relabel, read_relabel
from sp_graph_seg.labels.sizes import size_distribution
from sp_graph_seg.labels.surfaces import Surface, extract_surface
from sp_graph_seg.labels.tables import LabelCounter, Table, component_table, label_table

__all__ = [
    "LabelCounter",
    "Relabel",
    "Surface",
    "Table",
    "component_table",
    "extract_surface",
    "label_table",
    "read_relabel",
    "simplify_surface",
    "size_distribution",
    "split_regions",
]
