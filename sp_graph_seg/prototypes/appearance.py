"""Labels superpixels by their colour and place, and by features that a network learns."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.nn import SuperpixelNet, WNet
from sp_graph_seg.prototypes.descriptors import (
    Array,
    as_colors,
    describe_nodes,
    diffuse,
    links,
    mean_colors,
    mean_features,
)
from sp_graph_seg.prototypes.memory import Memory, recall
from sp_graph_seg.prototypes.merging import Merger, apply_order
from sp_graph_seg.prototypes.painting import margins_of, paint, sharpen_boundaries
from sp_graph_seg.prototypes.zones import find_zones, mean_over_zones
from sp_graph_seg.training import seeded
from sp_graph_seg.transforms import (
    NodePixels,
    ToRAG,
    compute_superpixels,
    connected_components,
)
from sp_graph_seg.transforms.adjacency import measure_edges
from sp_graph_seg.transforms.arrays import fill_outside
from sp_graph_seg.transforms.grid_slic import grid_slic
from sp_graph_seg.transforms.prepare import scale_down, scale_mask, scale_to

Mask = NDArray[np.bool_]
Picture = NDArray[np.float32]

#: Scale, in squared units of colour (CIELAB), of the fall of a probability with the distance.
_TEMPERATURE = 30.0

_STEPS_OF_Z = 4


class FrameNodes(NamedTuple):
    """The N superpixels of a frame, by themselves: nothing depends on the frames before."""

    graph: Data
    """Their graph."""
    nodes: NDArray[np.int64]
    """The node of each pixel at the resolution of the superpixels, ``(h, w)``."""
    colors: Array
    """The colour of each node, ``(N, C)``."""
    probabilities: Array
    """The probability of each label at each node, ``(N, K)``."""


class Described(NamedTuple):
    """A frame and its superpixels."""

    image: Picture
    """The frame, ``(C, H, W)``."""
    mask: Mask | None
    """Its mask, ``(H, W)``; ``None`` if all pixels have data."""
    own: FrameNodes
    """Its superpixels."""


@dataclass
class Appearance:
    """A model that labels superpixels by prototypes and by a network, in three steps.

    1. Superpixels are described by their place and their whitened colours. Whitening makes
       neighbours differ equally in all directions of colour. Place and colours are then averaged
       over neighbours, except where the colour changes strongly.
    2. Ward's method and K-means find 32 prototypes. Neighbouring superpixels without a visible
       boundary are joined into zones, which vote for a prototype. So place decides between whole
       zones, and draws no line through them. Prototypes that touch without a visible boundary are
       merged into one label. If fewer labels remain than wanted, this step is
       repeated with twice as many prototypes. Steps 1 and 2 use no random numbers.
    3. A W-Net is trained with these labels as y in the similarity loss (Eq. 6), and with the
       reconstruction and continuity losses. The probability of a label is computed twice: from the
       distances to the prototypes, and from the features of the network. A superpixel gets the
       label for which the product of the two probabilities, averaged over its zone, is largest.

    Attributes:
        config: Settings of the superpixels, the network and its training.
        whitening: Matrix that whitens colours, ``(C, C)``. Its columns are directions of colour.
        centers: Centres of the P prototypes, ``(P, C + 2)``: whitened colours, row and column.
        label_of: The label of each prototype, ``(P,)``. Labels are numbered by mean lightness.
        order: The order in which :meth:`merge` merges the labels, see
            :meth:`~sp_graph_seg.prototypes.merging.TouchingLabels.merge_order`.
        net: The network; ``None`` before it is trained.
        stability: Stability of each label, see :mod:`~sp_graph_seg.prototypes.stability`. It is
            empty if it is not known.
    """

    config: Config
    whitening: Array
    centers: Array
    label_of: NDArray[np.int64]
    order: list[Merger] = field(default_factory=list, repr=False)
    net: SuperpixelNet | None = field(default=None, repr=False)
    stability: tuple[float, ...] = ()

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
        labels, margins, _ = self.predict_after(None, image, mask)
        return labels.astype(np.int64), margins

    def predict_after(
        self, before: Memory | None, image: Picture, mask: Mask | None = None
    ) -> tuple[NDArray[np.int32], Picture, Memory | None]:
        """Computes labels and margins of a frame, and the memory for the next frame.

        ``before`` is the memory of the previous frame, or ``None`` for the first frame.
        """
        labels, margins, after = self.label_after(before, self.describe(image, mask))
        return labels, margins(), after

    def describe(self, image: Picture, mask: Mask | None = None) -> Described:
        """Describes a frame by itself. Several threads may describe different frames."""
        small = scale_down(image, self.config.superpixel_size).numpy()
        inside = None if mask is None else scale_mask(mask, small.shape[1:]).numpy()
        pixels = as_colors(small if inside is None else fill_outside(small, inside))
        nodes = find_nodes(small, pixels, inside, self.config)
        graph, colors = graph_of_nodes(nodes), mean_colors(pixels, nodes)
        probabilities = self.probabilities(small, graph, nodes, colors)
        return Described(image, mask, FrameNodes(graph, nodes, colors, probabilities))

    def remember(self, before: Memory | None, own: FrameNodes) -> tuple[Array, Memory | None]:
        """Computes label probabilities with the memory of the frame before, and the new memory."""
        if not self.config.memory:
            return own.probabilities, None
        side = math.sqrt(own.nodes.size / self.config.n_segments)
        share = self.config.memory
        return recall(own.probabilities, own.graph, own.colors, before, share, side)

    def label_after(
        self, before: Memory | None, frame: Described
    ) -> tuple[NDArray[np.int32], Callable[[], Picture], Memory | None]:
        """Does the same as :meth:`predict_after` for a frame that is described already.

        The margins are computed by a call of the second result, because few callers need them.
        """
        image, mask, (_, nodes, colors, _) = frame
        probabilities, after = self.remember(before, frame.own)
        own = probabilities.argmax(axis=1).astype(np.int32)
        corrected = sharpen_boundaries(nodes, own, colors, image)

        def painted(values: NDArray[Any], outside: float) -> NDArray[Any]:
            pixels = paint(values, nodes, image.shape[1:], corrected, outside)
            return pixels if mask is None else np.where(mask, pixels, pixels.dtype.type(outside))

        return painted(own, -1), lambda: painted(margins_of(probabilities), 0), after

    def probabilities(
        self, image: Picture, graph: Data, nodes: NDArray[np.int64], colors: Array
    ) -> Array:
        """Computes the probability of each label at each node, ``(N, K)``.

        It is the mean over the zone of the node, see
        :func:`~sp_graph_seg.prototypes.zones.find_zones`.
        """
        descriptors = describe_nodes(graph, colors, self.whitening, self.config.position_weight)
        each = self.node_probabilities(image, graph, nodes, descriptors)
        return mean_over_zones(each, find_zones(graph, descriptors[:, :-2]), graph.area.numpy())

    def node_probabilities(
        self, image: Picture, graph: Data, nodes: NDArray[np.int64], descriptors: Array
    ) -> Array:
        """Computes the probability of each label at each node by itself, ``(N, K)``."""
        measured = measured_probabilities(descriptors, self.centers, self.label_of)
        if self.net is None:
            return measured
        learned = diffuse(self._learned(image, nodes), links(graph, descriptors), _STEPS_OF_Z)
        both = np.sqrt(measured * learned)
        return both / np.maximum(both.sum(axis=1, keepdims=True), 1e-12)

    @torch.no_grad()
    def _learned(self, image: Picture, nodes: NDArray[np.int64]) -> Array:
        """Computes label probabilities as the softmax of the mean of z over each node.

        The last convolution of the encoder has one pixel, so it is applied to the means: the mean
        of its result is its result for the mean.
        """
        assert self.net is not None, "the network is trained"
        encoder = self.net.wnet.encoder
        features = encoder.features(self._seen(image)[None])[0].float().cpu()
        pixels = scale_to(features, nodes.shape).permute(1, 2, 0).flatten(0, 1)  # (P, width)
        means = torch.from_numpy(mean_features(pixels.numpy(), nodes.ravel()))  # (N, width)
        last = encoder.head
        z = encoder.head(means.T[None, :, :, None].to(last.weight.device))[0, :, :, 0].T
        return z[:, : self.num_labels].softmax(dim=-1).cpu().numpy().astype(np.float64)

    @torch.no_grad()
    def encode(self, image: Picture) -> Tensor:
        """Computes the features z ``(F, h, w)`` of an image, at the resolution of the network."""
        assert self.net is not None, "the network is trained"
        return self.net.encode(self._seen(image))

    def _seen(self, image: Picture) -> Tensor:
        """Scales an image down to the resolution of the network, and moves it to its device."""
        assert self.net is not None, "the network is trained"
        device = next(self.net.parameters()).device
        return scale_down(image, self.config.max_size).to(device)

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
        order = [list(merger) for merger in self.order]
        return tensors, {"order": order, "stability": list(self.stability)}

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
        stability = tuple(map(float, values.get("stability", ())))
        return cls(config, whitening, centers, label_of, order, net.eval(), stability)


def measured_probabilities(
    descriptors: Array, centers: Array, label_of: NDArray[np.int64]
) -> Array:
    """Computes label probabilities ``(N, K)`` from the nearest prototype of each label."""
    distance = squared_distances(descriptors, centers)
    by_label = label_of.argsort(kind="stable")
    first = np.searchsorted(label_of[by_label], np.arange(label_of.max() + 1))
    nearest = np.minimum.reduceat(distance[:, by_label], first, axis=1)  # (N, K)
    best = np.exp(-(nearest - nearest.min(axis=1, keepdims=True)) / (2 * _TEMPERATURE))
    return best / best.sum(axis=1, keepdims=True)


def make_net(channels: int, config: Config, num_labels: int) -> SuperpixelNet:
    """Makes a network with random weights, drawn with the seed of the configuration.

    It has at least as many features as there are labels.
    """
    num_features = max(config.num_features, num_labels)
    with seeded(config.seed):
        return SuperpixelNet(WNet(channels, num_features, config.width, config.depth))


def rim_length(nodes: NodePixels) -> Tensor:
    """Counts the pixels of each node on the outermost rows and columns of the image, ``(N,)``."""
    labels = nodes.labels
    rim = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    return torch.from_numpy(np.bincount(rim[rim >= 0], minlength=nodes.num_nodes)).float()


def make_graph(image: Picture, mask: Mask | None, config: Config) -> tuple[Data, NDArray[np.int64]]:
    """Makes the region adjacency graph of an image, and finds the node of each pixel, ``(H, W)``.

    Pixels outside the mask have node -1.
    """
    attributes = ("area", "edge_boundary_length", rim_length)
    graph = ToRAG(**config.superpixel_options(), mask=mask, attributes=attributes)(image)
    nodes = np.full(image.shape[1:], -1, np.int64)
    nodes.ravel()[graph.pixel_mask.numpy().ravel()] = graph.pixel_index.numpy()
    return graph, nodes


def find_nodes(
    image: Picture, colors: Picture, mask: Mask | None, config: Config
) -> NDArray[np.int64]:
    """Finds the node of each pixel, ``(H, W)``, faster than :func:`make_graph` if it can be.

    The method ``"slic"`` is replaced by one iteration of it. ``colors`` are those of the pixels,
    see :func:`~sp_graph_seg.prototypes.descriptors.as_colors`.
    """
    options = config.superpixel_options()
    if config.superpixel_method != "slic" or (mask is not None and not mask.any()):
        return compute_superpixels(image, **options, mask=mask)
    share = 1.0 if mask is None else float(mask.mean())
    cells = grid_slic(colors, config.n_segments / share, config.compactness)
    return connected_components(cells, mask)


def graph_of_nodes(nodes: NDArray[np.int64]) -> Data:
    """Makes the region adjacency graph of the nodes of pixels, ``(H, W)``.

    It has only those fields of :func:`make_graph` that do not depend on the image.
    """
    inside = np.flatnonzero(nodes.ravel() >= 0)
    index = nodes.ravel()[inside]
    area = np.bincount(index)
    places = np.divmod(inside, nodes.shape[1])
    pos = np.stack([np.bincount(index, place) / area for place in places], axis=1)
    edges, length = measure_edges(nodes, len(area))
    return Data(
        pos=torch.from_numpy(pos.astype(np.float32)),
        area=torch.from_numpy(area.astype(np.float32)),
        edge_index=edges,
        edge_boundary_length=torch.from_numpy(length.astype(np.float32)),
        num_nodes=len(area),
        image_size=torch.tensor([nodes.shape]),
    )


def squared_distances(points: Array, centers: Array) -> Array:
    """Computes the squared distances ``(N, P)`` of points ``(N, D)`` to centres ``(P, D)``."""
    return cdist(points, centers, "sqeuclidean")
