"""Models that label pixels and nodes by prototypes of measured and learned features."""

from sp_graph_seg.prototypes.appearance import Appearance
from sp_graph_seg.prototypes.beside import agreement, are_related, average_beside, smallest_gap
from sp_graph_seg.prototypes.fit_appearance import fit_appearance
from sp_graph_seg.prototypes.fit_phases import fit_phases
from sp_graph_seg.prototypes.phases import Phases
from sp_graph_seg.prototypes.prototypes import Prototypes, fit_prototypes
from sp_graph_seg.prototypes.region_colors import RegionColors, fit_region_colors

__all__ = [
    "Appearance",
    "Phases",
    "Prototypes",
    "RegionColors",
    "agreement",
    "are_related",
    "average_beside",
    "fit_appearance",
    "fit_phases",
    "fit_prototypes",
    "fit_region_colors",
    "smallest_gap",
]
