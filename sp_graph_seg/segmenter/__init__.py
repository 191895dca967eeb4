"""The Segmenter and its model file."""

from sp_graph_seg.segmenter.segmenter import Segmenter

__all__ = ["Segmenter"]
