"""The relabelling of label maps: its description, and functions that apply the description."""

from sp_graph_seg.labels.relabel.description import Relabel
from sp_graph_seg.labels.relabel.proposal import propose_merges
from sp_graph_seg.labels.relabel.volumes import find_unlabelled, relabel_volume
from sp_graph_seg.labels.relabel.yaml_file import (
    read_relabel,
    relabel_to_yaml,
    starter_yaml,
)

__all__ = [
    "Relabel",
    "find_unlabelled",
    "propose_merges",
    "read_relabel",
    "relabel_to_yaml",
    "relabel_volume",
    "starter_yaml",
]
