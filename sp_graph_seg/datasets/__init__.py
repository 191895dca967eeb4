"""PyG datasets of region adjacency graphs, made from images, from BSDS300 or from volumes."""

from sp_graph_seg.datasets.base import Example, GraphDataset, Options, Source
from sp_graph_seg.datasets.bsds300 import BSDS300, find_bsds300, read_seg, read_truth
from sp_graph_seg.datasets.class_folder import ClassFolderRAG
from sp_graph_seg.datasets.image_folder import ImageFolderRAG
from sp_graph_seg.datasets.pairs import PairsRAG
from sp_graph_seg.datasets.volume import VolumeRAG
from sp_graph_seg.transforms import majority_labels

__all__ = [
    "BSDS300",
    "ClassFolderRAG",
    "Example",
    "GraphDataset",
    "ImageFolderRAG",
    "Options",
    "PairsRAG",
    "Source",
    "VolumeRAG",
    "find_bsds300",
    "majority_labels",
    "read_seg",
    "read_truth",
]
