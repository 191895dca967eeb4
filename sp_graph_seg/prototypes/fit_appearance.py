"""Fits the model :class:`~sp_graph_seg.prototypes.Appearance` to training images."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering, KMeans
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.errors import FewLabelsWarning
from sp_graph_seg.prototypes.appearance import (
    Appearance,
    Mask,
    Picture,
    make_graph,
    make_net,
    measured_probabilities,
)
from sp_graph_seg.prototypes.descriptors import (
    Array,
    describe_nodes,
    node_colors,
    noise_whitening,
)
from sp_graph_seg.prototypes.merging import Merger, TouchingLabels, apply_order, count_visible
from sp_graph_seg.prototypes.stability import label_stability
from sp_graph_seg.prototypes.zones import find_zones, mean_over_zones
from sp_graph_seg.training import Follow, History, TrainingImage, as_it_is, each_step, fit
from sp_graph_seg.transforms.prepare import scale_down, scale_mask

#: Number of prototypes before those that touch without an edge are merged into labels. It is
#: doubled up to the second number while fewer labels are found than are wanted.
_PROTOTYPES = 32
_MOST_PROTOTYPES = 256


def fit_appearance(
    images: Sequence[Picture],
    masks: Sequence[Mask | None],
    config: Config,
    follow: Follow | None = None,
) -> tuple[Appearance, History]:
    """Finds prototypes of the superpixels of images, and trains a network with their labels.

    Args:
        images: The training images, ``(C, H, W)`` each, with values in [0, 1].
        masks: The mask of each image, ``(H, W)``; ``None`` if all pixels have data.
        config: The hyperparameters. If ``num_labels`` is 0, labels are merged until they differ by
            5 units of colour (CIELAB) or more.
        follow: Function that is called after every step of the training.

    Returns:
        The model, and the history of its training.
    """
    small = [scale_down(image, config.max_size).numpy() for image in images]
    inside = [
        None if mask is None else scale_mask(mask, image.shape[1:]).numpy()
        for mask, image in zip(masks, small, strict=True)
    ]
    graphs, nodes = zip(
        *(make_graph(*pair, config) for pair in zip(small, inside, strict=True)), strict=True
    )
    colors = [node_colors(*pair) for pair in zip(small, nodes, strict=True)]
    model, labels = _find_labels(graphs, colors, config)
    _warn_of_few_labels(model, config.num_labels)
    model.stability = _measure_stability(model, labels, small, graphs, nodes, colors)
    subjects = [
        TrainingImage(torch.from_numpy(image), graph, torch.from_numpy(part))
        for image, graph, part in zip(small, graphs, labels, strict=True)
    ]
    net = make_net(len(images[0]), config, model.num_labels)
    on_step = each_step(follow, lambda: replace(model, net=as_it_is(net)))
    history = fit(net, subjects, config, on_step)
    model.net = net
    return model, history


def _find_labels(
    graphs: Sequence[Data], colors: Sequence[Array], config: Config
) -> tuple[Appearance, list[NDArray[np.int64]]]:
    """Finds prototypes of nodes and merges them into labels. No network is trained.

    Args:
        graphs: The region adjacency graph of each image, see :func:`make_graph`.
        colors: Colours of the nodes of each image, ``(N, C)``.
        config: The hyperparameters.

    Returns:
        The model without a network, and the labels of the nodes of each image, ``(N,)``.
    """
    whitening = noise_whitening(list(colors), list(graphs))
    descriptors = [
        describe_nodes(graph, color, whitening, config.position_weight)
        for graph, color in zip(graphs, colors, strict=True)
    ]
    areas = [graph.area.numpy().astype(np.float64) for graph in graphs]

    def order_of(labels: Sequence[NDArray[np.int64]], count: int) -> list[Merger]:
        touching = TouchingLabels(count, whitening)
        for graph, own, part, area in zip(graphs, labels, descriptors, areas, strict=True):
            touching.add(graph, own, part[:, :-2], area)
        return touching.merge_order()

    zones = [
        find_zones(graph, part[:, :-2]) for graph, part in zip(graphs, descriptors, strict=True)
    ]
    wanted = _PROTOTYPES
    while True:
        found = _fit_centers(np.concatenate(descriptors), np.concatenate(areas), wanted)
        centers, nearest = _vote(found, descriptors, zones, areas)
        order = order_of(nearest, len(centers))
        is_enough = count_visible(order) >= config.num_labels or len(found) < wanted
        if is_enough or wanted >= _MOST_PROTOTYPES:
            break
        wanted *= 2
    label_of = apply_order(order, len(centers), config.num_labels)
    labels = [label_of[part] for part in nearest]
    rank = _by_brightness(labels, colors, areas)
    label_of, labels = rank[label_of], [rank[part] for part in labels]
    left = order_of(labels, int(label_of.max()) + 1)
    model = Appearance(config, whitening, centers, label_of, left)
    return model, labels


def _measure_stability(
    model: Appearance,
    labels: Sequence[NDArray[np.int64]],
    images: Sequence[Picture],
    graphs: Sequence[Data],
    nodes: Sequence[NDArray[np.int64]],
    colors: Sequence[Array],
) -> tuple[float, ...]:
    """Compares the labels of nodes with those that are found in a part of the training data."""
    everything = list(zip(images, graphs, nodes, colors, strict=True))
    others = []
    for half in _halves(list(zip(graphs, colors, strict=True))):
        own_graphs, own_colors = zip(*half, strict=True)
        other, _ = _find_labels(own_graphs, own_colors, model.config)
        again = [other.probabilities(*each).argmax(axis=1) for each in everything]
        others.append(np.concatenate(again))
    areas = np.concatenate([graph.area.numpy().ravel() for graph in graphs])
    return label_stability(np.concatenate(labels), others, model.num_labels, areas)


def _halves(nodes: Sequence[tuple[Data, Array]]) -> Iterator[list[tuple[Data, Array]]]:
    """Yields both halves of graphs and the colours of their nodes: every other image.

    Of one image, the halves are the nodes above, below, left and right of its middle node.
    """
    if len(nodes) > 1:
        yield list(nodes[::2])
        yield list(nodes[1::2])
        return
    ((graph, colors),) = nodes
    for axis in (0, 1):
        place = graph.pos[:, axis]
        for half in (place <= place.median(), place > place.median()):
            if half.any():
                yield [(graph.subgraph(half), colors[half.numpy()])]


def _warn_of_few_labels(model: Appearance, num_labels: int) -> None:
    """Warns if fewer labels were found than ``num_labels``, or than two if that is 0."""
    least = num_labels or 2
    if model.num_labels < least:
        is_full = len(model.centers) >= _MOST_PROTOTYPES and num_labels > len(model.centers)
        limit = f"a model has at most {_MOST_PROTOTYPES} labels"
        remedy = "use a smaller num_labels" if num_labels else "set num_labels to 2 or more"
        warnings.warn(
            f"images: only {model.num_labels} of {least} labels were found, because "
            f"{limit if is_full else 'too few superpixels differ'}; {remedy}.",
            FewLabelsWarning,
            stacklevel=3,
        )


def _fit_centers(descriptors: Array, areas: Array, wanted: int) -> Array:
    """Finds centres by K-means, which starts at Ward's clusters. Nodes are weighted by area."""
    count = min(wanted, len(np.unique(descriptors.round(6), axis=0)))
    if count < 2:
        return descriptors[:1]
    group = AgglomerativeClustering(count, linkage="ward").fit_predict(descriptors)
    members = [group == number for number in range(count)]
    start = [np.average(descriptors[own], axis=0, weights=areas[own]) for own in members]
    kmeans = KMeans(count, init=np.stack(start), n_init=1)
    return kmeans.fit(descriptors, sample_weight=areas).cluster_centers_


def _vote(
    centers: Array,
    descriptors: Sequence[Array],
    zones: Sequence[NDArray[np.int64]],
    areas: Sequence[Array],
) -> tuple[Array, list[NDArray[np.int64]]]:
    """Chooses the prototype of each zone.

    Args:
        centers: Centres of the prototypes, ``(P, D)``.
        descriptors: Descriptors of the nodes of each image, ``(N, D)``.
        zones: Zones of the nodes of each image, ``(N,)``.
        areas: Areas of the nodes of each image, ``(N,)``.

    Returns:
        The centres of the prototypes that were chosen, and the prototype of each node of each
        image, ``(N,)``.
    """
    every = np.arange(len(centers))
    chosen = [
        mean_over_zones(measured_probabilities(part, centers, every), own, area).argmax(axis=1)
        for part, own, area in zip(descriptors, zones, areas, strict=True)
    ]
    used, nearest = np.unique(np.concatenate(chosen), return_inverse=True)
    return centers[used], np.split(nearest, np.cumsum([len(part) for part in chosen])[:-1])


def _by_brightness(
    labels: Sequence[NDArray[np.int64]], colors: Sequence[Array], areas: Sequence[Array]
) -> NDArray[np.int64]:
    """Ranks the labels by the mean of the first channel of their colours, such as lightness."""
    every, area = np.concatenate(labels), np.concatenate(areas)
    first = np.concatenate([color[:, 0] for color in colors])
    mean = np.bincount(every, first * area) / np.maximum(np.bincount(every, area), 1e-12)
    return mean.argsort(kind="stable").argsort()
