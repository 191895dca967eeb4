"""Inference: the Segmenter and its model file."""

from sp_graph_seg.inference.segmenter import Segmenter

__all__ = ["Segmenter"]
