"""The graphs of the configuration: for training, for prediction, of superpixels or of pixels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.inference.prepare import Array, Image, scale_down, scale_mask
from sp_graph_seg.training import TrainingImage
from sp_graph_seg.transforms import (
    ToPixelGraph,
    ToRAG,
    as_array,
    compute_superpixels,
    connected_regions,
)


def to_graph(superpixels: Image | None, config: Config) -> ToRAG | ToPixelGraph:
    """The transform that makes the graph of an image."""
    if config.nodes == "superpixels":
        return ToRAG(
            config.n_segments,
            config.compactness,
            config.tau_con,
            superpixels,
            method=config.superpixels,
        )
    _refuse_superpixels(superpixels)
    # Only the N-Cut loss looks further than to the next pixel.
    return ToPixelGraph(config.radius if config.beta_cut else 1.0, config.tau_con)


def find_regions(
    image: Array, superpixels: Image | None, config: Config
) -> NDArray[np.int64] | None:
    """The node of each pixel ``(H, W)`` in that graph; ``None`` where the nodes are pixels."""
    if config.nodes == "pixels":
        _refuse_superpixels(superpixels)
        return None
    if superpixels is None:
        return compute_superpixels(image, config.n_segments, config.compactness, config.superpixels)
    labels = as_array(superpixels)
    if labels.shape != image.shape[1:]:
        raise InputError(
            f"superpixels: size {labels.shape} is not that of the image, {image.shape[1:]}; resize "
            "the label map with nearest-neighbour interpolation."
        )
    return connected_regions(labels)


def training_image(
    image: Array, mask: Image | None, superpixels: Image | None, config: Config
) -> TrainingImage:
    """Image, label map and mask at the resolution of the network, and the graph there."""
    small = scale_down(image, config.max_size)
    size = small.shape[1:]
    labels = None if superpixels is None else _scale_labels(superpixels, size)
    inside = None if mask is None else scale_mask(mask, size)
    return TrainingImage(small, to_graph(labels, config)(small), inside)


def _refuse_superpixels(superpixels: Image | None) -> None:
    if superpixels is not None:
        raise InputError(
            "superpixels: cannot be used with nodes='pixels'; leave them out, or use "
            "nodes='superpixels'."
        )


def _scale_labels(values: Image, size: Sequence[int]) -> NDArray:
    """A label map at another size, by the nearest pixel."""
    array = as_array(values)
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(size, array.shape, strict=True)
    )
    return array[np.ix_(rows, columns)]
