"""From images to graphs: superpixels, region adjacency graphs, edge weights, reductions."""

from sp_graph_seg.transforms.arrays import as_array, as_image
from sp_graph_seg.transforms.rag import ToRAG
from sp_graph_seg.transforms.reduce import scatter_mean
from sp_graph_seg.transforms.superpixels import compute_superpixels, connected_regions
from sp_graph_seg.transforms.weights import affinity, color_distance, softmax_adjacency

__all__ = [
    "ToRAG",
    "affinity",
    "as_array",
    "as_image",
    "color_distance",
    "compute_superpixels",
    "connected_regions",
    "scatter_mean",
    "softmax_adjacency",
]
