"""The W-Net, the heads, the pooling layers, message passing, and the losses on graphs."""

from sp_graph_seg.nn.blind_spot import BlindSpotNet
from sp_graph_seg.nn.head_call import call_head, check_head
from sp_graph_seg.nn.heads import make_head
from sp_graph_seg.nn.labels import argmax_labels, kmeans_labels, pixel_labels
from sp_graph_seg.nn.losses import (
    continuity_loss,
    dense_continuity_loss,
    ncut_loss,
    reconstruction_loss,
    similarity_loss,
    total_loss,
)
from sp_graph_seg.nn.pooling import DMoNPooling, MinCutPooling, NCutPooling, Pooled
from sp_graph_seg.nn.propagate import propagate, sort_edges
from sp_graph_seg.nn.superpixel_net import SuperpixelNet, check_image_head, graph_of_head
from sp_graph_seg.nn.wnet import UNet, WNet

__all__ = [
    "BlindSpotNet",
    "DMoNPooling",
    "MinCutPooling",
    "NCutPooling",
    "Pooled",
    "SuperpixelNet",
    "UNet",
    "WNet",
    "argmax_labels",
    "call_head",
    "check_head",
    "check_image_head",
    "continuity_loss",
    "dense_continuity_loss",
    "graph_of_head",
    "kmeans_labels",
    "make_head",
    "ncut_loss",
    "pixel_labels",
    "propagate",
    "reconstruction_loss",
    "similarity_loss",
    "sort_edges",
    "total_loss",
]
