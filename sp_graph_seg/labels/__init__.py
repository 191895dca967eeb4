"""A label map in; a label map, a table or a mesh out."""

from sp_graph_seg.labels.relabel import Relabel, read_relabel
from sp_graph_seg.labels.split import split_regions
from sp_graph_seg.labels.tables import RegionCounter, Table, component_table, region_table

__all__ = [
    "RegionCounter",
    "Relabel",
    "Table",
    "component_table",
    "read_relabel",
    "region_table",
    "split_regions",
]
