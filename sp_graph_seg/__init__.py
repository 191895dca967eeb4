r"""Unsupervised few-shot image segmentation on superpixel graphs, for PyTorch Geometric.

This package implements the method of Leng et al., "Unsupervised Few-Shot Image Segmentation with
Dense Feature Learning and Sparse Clustering", VISAPP 2024, doi 10.5220/0012380700003660.

These are the public names. Each is loaded on first use, because importing torch takes seconds.

* :class:`Segmenter`: train on a few images without labels, then label similar images.
* :class:`Config`: all hyperparameters.
* :class:`ToRAG`: a PyG transform that makes the region adjacency graph of an image.
* :func:`scatter_mean`: averages the features of pixels to features of nodes.
* :class:`WNet`: the network.
* :func:`ncut_loss`, :func:`similarity_loss`, :func:`continuity_loss`: the losses on graphs.

The notation is the same in code and documentation:

=================  ==================================================================
C, H, W (D)        number of channels, height, width (depth) of an image
F, p               number of features; index of a feature, from 0 to F - 1
N, I, J            number of nodes (superpixels); indices of nodes
E                  number of directed edges; both directions are stored
P                  number of pixels that belong to a node
x ``(N, C)``       mean colours of the nodes; in the losses, their features ``(N, F)``
pos ``(N, 2)``     centroids of the nodes: row, column (``(N, 3)`` in a volume)
z ``(F, H, W)``    features of the pixels: output of the encoder; f is their softmax
``edge_index``     ``(2, E)``: row 0 holds the sources J of the edges, row 1 the targets I
``pixel_index``    ``(P,)``: the node of each of these P pixels
``pixel_mask``     ``(H*W,)``: true for the pixels that belong to a node
=================  ==================================================================
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sp_graph_seg._version import __version__

if TYPE_CHECKING:
    from sp_graph_seg.config import Config
    from sp_graph_seg.nn import WNet, continuity_loss, ncut_loss, similarity_loss
    from sp_graph_seg.segmenter import Segmenter
    from sp_graph_seg.transforms import ToRAG, scatter_mean

_HOME = {
    "Config": "config",
    "Segmenter": "segmenter",
    "ToRAG": "transforms",
    "WNet": "nn",
    "continuity_loss": "nn",
    "ncut_loss": "nn",
    "scatter_mean": "transforms",
    "similarity_loss": "nn",
}

_MODULES = (
    *("errors", "presets", "config", "parallel", "progress", "io", "volumes", "label_jobs"),
    *("transforms", "labels", "regions", "datasets", "nn", "training", "prototypes", "segmenter"),
    *("streaming", "evaluation", "baselines", "experiments", "plot", "cli"),
)

__all__ = [
    "Config",
    "Segmenter",
    "ToRAG",
    "WNet",
    "__version__",
    "continuity_loss",
    "ncut_loss",
    "scatter_mean",
    "similarity_loss",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
