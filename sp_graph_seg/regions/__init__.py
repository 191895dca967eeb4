"""Finds coarse and fine regions of an image, in one tree, without training on the image."""

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
