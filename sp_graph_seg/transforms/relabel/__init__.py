"""Post-processing as data: a description of what happens to labels, and its application."""

from sp_graph_seg.transforms.relabel.description import Relabel
from sp_graph_seg.transforms.relabel.yaml_file import (
    read_relabel,
    relabel_to_yaml,
    starter_yaml,
)

__all__ = ["Relabel", "read_relabel", "relabel_to_yaml", "starter_yaml"]
