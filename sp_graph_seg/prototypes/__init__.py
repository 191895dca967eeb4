"""From what is measured and learned at a place to its label: prototypes in feature space."""

from sp_graph_seg.prototypes.phases import Phases, fit_phases
from sp_graph_seg.prototypes.prototypes import Prototypes, fit_prototypes

__all__ = ["Phases", "Prototypes", "fit_phases", "fit_prototypes"]
