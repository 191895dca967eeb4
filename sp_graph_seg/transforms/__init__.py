"""Functions and classes that convert images to graphs, and graphs back to label maps."""

from sp_graph_seg.transforms.arrays import as_array, as_image
from sp_graph_seg.transforms.attributes import ATTRIBUTES, NodePixels
from sp_graph_seg.transforms.bridges import (
    from_networkx,
    from_scipy,
    to_label_image,
    to_networkx,
    to_scipy,
)
from sp_graph_seg.transforms.color_spaces import color_space
from sp_graph_seg.transforms.features import add_hessian_features
from sp_graph_seg.transforms.hierarchy import graph_hierarchy, merge_nodes
from sp_graph_seg.transforms.image_graph import ImageGraph
from sp_graph_seg.transforms.levels import (
    LEVELS,
    VOLUME_LEVELS,
    FelzenszwalbLevel,
    Level,
    WatershedLevel,
)
from sp_graph_seg.transforms.multiscale import (
    ToMultiscale,
    cell_image,
    level_images,
    superpixel_means,
)
from sp_graph_seg.transforms.node_labels import majority_labels
from sp_graph_seg.transforms.pixel_graph import ToPixelGraph
from sp_graph_seg.transforms.rag import ToRAG
from sp_graph_seg.transforms.reduce import scatter_mean
from sp_graph_seg.transforms.superpixels import (
    SUPERPIXEL_METHODS,
    compute_superpixels,
    connected_components,
)
from sp_graph_seg.transforms.weights import affinity, color_distance, softmax_adjacency

__all__ = [
    "ATTRIBUTES",
    "LEVELS",
    "SUPERPIXEL_METHODS",
    "VOLUME_LEVELS",
    "FelzenszwalbLevel",
    "ImageGraph",
    "Level",
    "NodePixels",
    "ToMultiscale",
    "ToPixelGraph",
    "ToRAG",
    "WatershedLevel",
    "add_hessian_features",
    "affinity",
    "as_array",
    "as_image",
    "cell_image",
    "color_distance",
    "color_space",
    "compute_superpixels",
    "connected_components",
    "from_networkx",
    "from_scipy",
    "graph_hierarchy",
    "level_images",
    "majority_labels",
    "merge_nodes",
    "scatter_mean",
    "softmax_adjacency",
    "superpixel_means",
    "to_label_image",
    "to_networkx",
    "to_scipy",
]
