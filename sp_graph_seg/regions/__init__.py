"""Finds coarse and fine regions of an image without training on the image.

All regions are in one tree, in which coarse regions consist of finer ones.
"""

from sp_graph_seg.regions.build import build_region_tree, merge_cells
from sp_graph_seg.regions.transfer_cut import transfer_cut, transfer_cut_regions
from sp_graph_seg.regions.tree import RegionTree

__all__ = [
    "RegionTree",
    "build_region_tree",
    "merge_cells",
    "transfer_cut",
    "transfer_cut_regions",
]
