"""Labels superpixels by their colour and place, and by features that a network learns."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering, KMeans
from torch import Tensor
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.errors import FewLabelsWarning
from sp_graph_seg.nn import SuperpixelNet, WNet
from sp_graph_seg.prototypes.descriptors import (
    Array,
    Described,
    describe_nodes,
    diffuse,
    links,
    node_colors,
    noise_whitening,
)
from sp_graph_seg.prototypes.memory import Memory, recall
from sp_graph_seg.prototypes.merging import Merger, TouchingLabels, apply_order, count_visible
from sp_graph_seg.prototypes.painting import paint, sharpen_boundaries
from sp_graph_seg.training import (
    Follow,
    History,
    TrainingImage,
    as_it_is,
    each_step,
    fit,
    seeded,
)
from sp_graph_seg.transforms import ToRAG, compute_superpixels, scatter_mean
from sp_graph_seg.transforms.prepare import scale_down, scale_mask, scale_to
from sp_graph_seg.transforms.superpixels import SLIC_ITERATIONS

Mask = NDArray[np.bool_]
Picture = NDArray[np.float32]

#: Number of prototypes, before those that touch without an edge are merged into labels; and the
#: largest number, if so many labels are wanted that fewer prototypes do not make them.
_PROTOTYPES = 32
_MOST_PROTOTYPES = 256

#: Scale, in squared units of colour (CIELAB), of the fall of a probability with the distance.
_TEMPERATURE = 30.0

_STEPS_OF_Z = 4

#: Iterations of SLIC in prediction; training, which makes few superpixels, keeps the default.
_QUICK_ITERATIONS = 3

#: Number of channels of z that are scaled up at once, to limit memory.
_CHANNELS_AT_ONCE = 4


@dataclass
class Appearance:
    """A model that labels superpixels by prototypes and by a network, in three steps.

    1. Superpixels are described by their place and their whitened colours. Whitening makes
       neighbours differ equally in all directions of colour. Place and colours are then averaged
       over neighbours, except where the colour changes strongly.
    2. Ward's method and K-means find 32 prototypes. Prototypes that touch without a visible
       boundary are merged into one label. If fewer labels remain than wanted, this step is
       repeated with twice as many prototypes. Steps 1 and 2 use no random numbers.
    3. A W-Net is trained with these labels as y in the similarity loss (Eq. 6), and with the
       reconstruction and continuity losses. The probability of a label is computed twice: from the
       distances to the prototypes, and from the features of the network. A superpixel gets the
       label for which the product of the two probabilities is largest.

    Attributes:
        config: Settings of the superpixels, the network and its training.
        whitening: Matrix that whitens colours, ``(C, C)``. Its columns are directions of colour.
        centers: Centres of the P prototypes, ``(P, C + 2)``: whitened colours, row and column.
        label_of: The label of each prototype, ``(P,)``. Labels are numbered by mean lightness.
        order: The order in which :meth:`merge` merges the labels, see
            :meth:`~sp_graph_seg.prototypes.merging.TouchingLabels.merge_order`.
        net: The network; ``None`` before it is trained.
    """

    config: Config
    whitening: Array
    centers: Array
    label_of: NDArray[np.int64]
    order: list[Merger] = field(default_factory=list, repr=False)
    net: SuperpixelNet | None = field(default=None, repr=False)

    @property
    def num_labels(self) -> int:
        """Number of labels K."""
        return int(self.label_of.max()) + 1

    @property
    def networks(self) -> list[SuperpixelNet]:
        """The networks, which may be moved to a GPU."""
        return [] if self.net is None else [self.net]

    def predict(
        self, image: Picture, mask: Mask | None = None
    ) -> tuple[NDArray[np.int64], Picture]:
        """Computes labels and margins, both ``(H, W)``, of an image ``(C, H, W)`` in [0, 1].

        A margin is the probability of the label minus the probability of the second most probable
        label. Pixels outside the mask have label -1 and margin 0.
        """
        return self.predict_after(None, image, mask)[:2]

    def predict_after(
        self, before: Memory | None, image: Picture, mask: Mask | None = None
    ) -> tuple[NDArray[np.int64], Picture, Memory | None]:
        """Computes labels and margins of a frame, and the memory for the next frame.

        ``before`` is the memory of the previous frame, or ``None`` for the first frame.
        """
        return self.label_after(before, self.describe(image, mask))

    def describe(self, image: Picture, mask: Mask | None = None) -> Described:
        """Describes a frame by itself. Several threads may describe different frames."""
        small = scale_down(image, self.config.superpixel_size).numpy()
        inside = None if mask is None else scale_mask(mask, small.shape[1:]).numpy()
        graph, nodes = make_graph(small, inside, self.config, _QUICK_ITERATIONS)
        colors = node_colors(small, nodes)
        probabilities = self.probabilities(small, graph, nodes, colors)
        return Described(image, mask, graph, nodes, colors, probabilities)

    def label_after(
        self, before: Memory | None, frame: Described
    ) -> tuple[NDArray[np.int64], Picture, Memory | None]:
        """Does the same as :meth:`predict_after` for a frame that is described already."""
        image, mask, graph, nodes, colors, probabilities = frame
        if self.config.memory:
            side = math.sqrt(nodes.size / self.config.n_segments)
            share = self.config.memory
            probabilities, before = recall(probabilities, graph, colors, before, share, side)
        nodes = sharpen_boundaries(nodes, probabilities.argmax(axis=1), colors, image)
        labels, margins = paint(probabilities, nodes)
        if mask is not None:
            labels, margins = np.where(mask, labels, -1), np.where(mask, margins, 0)
        return labels, margins, before

    def probabilities(
        self, image: Picture, graph: Data, nodes: NDArray[np.int64], colors: Array
    ) -> Array:
        """Computes the probability of each label at each node, ``(N, K)``."""
        descriptors = describe_nodes(graph, colors, self.whitening, self.config.position_weight)
        measured = self._measured(descriptors)
        if self.net is None:
            return measured
        learned = diffuse(self._learned(image, nodes), links(graph, descriptors), _STEPS_OF_Z)
        both = np.sqrt(measured * learned)
        return both / np.maximum(both.sum(axis=1, keepdims=True), 1e-12)

    def _measured(self, descriptors: Array) -> Array:
        """Computes label probabilities from the distance to the nearest prototype of each label."""
        distance = squared_distances(descriptors, self.centers)
        each = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / (2 * _TEMPERATURE))
        best = np.stack(
            [each[:, self.label_of == label].max(axis=1) for label in range(self.num_labels)],
            axis=1,
        )
        return best / best.sum(axis=1, keepdims=True)

    def _learned(self, image: Picture, nodes: NDArray[np.int64]) -> Array:
        """Computes label probabilities as the softmax of the mean of z over each node."""
        index = torch.from_numpy(nodes.ravel() + 1)  # pixels without a node come first
        count = int(nodes.max()) + 2
        parts = [
            scatter_mean(scale_to(part, nodes.shape).flatten(1), index, count)[1:]
            for part in self.encode(image)[: self.num_labels].cpu().split(_CHANNELS_AT_ONCE)
        ]
        x = torch.cat(parts, dim=1)  # (N, K)
        return x.softmax(dim=-1).numpy().astype(np.float64)

    @torch.no_grad()
    def encode(self, image: Picture) -> Tensor:
        """Computes the features z ``(F, h, w)`` of an image, at the resolution of the network."""
        assert self.net is not None, "the network is trained"
        device = next(self.net.parameters()).device
        return self.net.encode(scale_down(image, self.config.max_size).to(device))

    def merge(self, num_labels: int) -> NDArray[np.int64]:
        """Merges the labels to ``num_labels``. Returns the new label of each label, ``(K,)``."""
        return apply_order(self.order, self.num_labels, num_labels)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Returns tensors and JSON values, from which :meth:`from_state` makes the same model."""
        tensors = {
            name: torch.from_numpy(getattr(self, name).copy())
            for name in ("whitening", "centers", "label_of")
        }
        if self.net is not None:
            weights = self.net.state_dict().items()
            tensors |= {f"net.{name}": weight for name, weight in weights}
        return tensors, {"order": [list(merger) for merger in self.order]}

    @classmethod
    def from_state(
        cls, tensors: dict[str, Tensor], values: dict[str, Any], config: Config, channels: int
    ) -> "Appearance":
        """Makes a model from the result of :meth:`state`."""
        weights = {n.removeprefix("net."): t for n, t in tensors.items() if n.startswith("net.")}
        net = make_net(channels, config, int(tensors["label_of"].max()) + 1)
        net.load_state_dict(weights)
        whitening, centers, label_of = (
            tensors[name].numpy() for name in ("whitening", "centers", "label_of")
        )
        order = [(int(one), int(other), float(cost)) for one, other, cost in values["order"]]
        return cls(config, whitening, centers, label_of, order, net.eval())


def make_net(channels: int, config: Config, num_labels: int) -> SuperpixelNet:
    """Makes a network with random weights, drawn with the seed of the configuration.

    It has at least as many features as there are labels.
    """
    num_features = max(config.num_features, num_labels)
    with seeded(config.seed):
        return SuperpixelNet(WNet(channels, num_features, config.width, config.depth))


def make_graph(
    image: Picture, mask: Mask | None, config: Config, slic_iterations: int = SLIC_ITERATIONS
) -> tuple[Data, NDArray[np.int64]]:
    """Makes the region adjacency graph of an image, and finds the node of each pixel, ``(H, W)``.

    Pixels outside the mask have node -1.
    """
    options = config.superpixel_options()
    nodes = compute_superpixels(image, **options, mask=mask, slic_iterations=slic_iterations)
    attributes = ("area", "edge_boundary_length")
    return ToRAG(superpixels=nodes, mask=mask, attributes=attributes)(image), nodes


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
    whitening = noise_whitening(colors, list(graphs))
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

    wanted = _PROTOTYPES
    while True:
        centers = _fit_centers(np.concatenate(descriptors), np.concatenate(areas), wanted)
        nearest = [squared_distances(part, centers).argmin(axis=1) for part in descriptors]
        order = order_of(nearest, len(centers))
        is_enough = count_visible(order) >= config.num_labels or len(centers) < wanted
        if is_enough or wanted >= _MOST_PROTOTYPES:
            break
        wanted *= 2
    label_of = apply_order(order, len(centers), config.num_labels)
    labels = [label_of[part] for part in nearest]
    rank = _by_brightness(labels, colors, areas)
    label_of, labels = rank[label_of], [rank[part] for part in labels]
    left = order_of(labels, int(label_of.max()) + 1)
    model = Appearance(config, whitening, centers, label_of, left)
    least = config.num_labels or 2
    if model.num_labels < least:
        is_full = len(centers) >= _MOST_PROTOTYPES and config.num_labels > len(centers)
        limit = f"a model has at most {_MOST_PROTOTYPES} labels"
        remedy = "use a smaller num_labels" if config.num_labels else "set num_labels to 2 or more"
        warnings.warn(
            f"images: only {model.num_labels} of {least} labels were found, because "
            f"{limit if is_full else 'too few superpixels differ'}; {remedy}.",
            FewLabelsWarning,
            stacklevel=2,
        )
    subjects = [
        TrainingImage(torch.from_numpy(image), graph, torch.from_numpy(part))
        for image, graph, part in zip(small, graphs, labels, strict=True)
    ]
    net = make_net(len(images[0]), config, model.num_labels)
    on_step = each_step(follow, lambda: replace(model, net=as_it_is(net)))
    history = fit(net, subjects, config, on_step)
    model.net = net
    return model, history


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


def _by_brightness(
    labels: list[NDArray[np.int64]], colors: list[Array], areas: list[Array]
) -> NDArray[np.int64]:
    """Ranks the labels by the mean of the first channel of their colours, such as lightness."""
    every, area = np.concatenate(labels), np.concatenate(areas)
    first = np.concatenate([color[:, 0] for color in colors])
    mean = np.bincount(every, first * area) / np.maximum(np.bincount(every, area), 1e-12)
    return mean.argsort(kind="stable").argsort()


def squared_distances(points: Array, centers: Array) -> Array:
    """Computes the squared distances ``(N, P)`` of points ``(N, D)`` to centres ``(P, D)``."""
    return ((points[:, None] - centers) ** 2).sum(axis=-1)
