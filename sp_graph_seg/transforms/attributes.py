"""Functions that compute further attributes of the nodes and edges of a graph.

:class:`~sp_graph_seg.transforms.ToRAG` and ``ToPixelGraph`` have a parameter ``attributes``. It is
a list of names in :data:`ATTRIBUTES` and of your own functions. Each function takes a
:class:`NodePixels` and returns a tensor. A function may also be a :func:`functools.partial`.

The tensor becomes a field of the graph with the name of the function. If the name begins with
``edge_``, the tensor must have one row for each edge, otherwise one row for each node.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.utils import scatter

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.adjacency import (
    Boundary,
    shifted_views,
    sum_over_edges,
)
from sp_graph_seg.transforms.reduce import mean_over_nodes
from sp_graph_seg.transforms.superpixels import Labels


@dataclass(frozen=True)
class NodePixels:
    """The input of attribute functions: the pixels of an image, and the node of each pixel.

    ``*size`` stands for ``H, W`` in an image and for ``D, H, W`` in a volume.
    """

    image: NDArray[np.float32]
    """``(C, *size)``; pixels outside a mask are 0."""
    labels: Labels
    """The node of each pixel, ``(*size)``; -1 outside a mask."""
    num_nodes: int
    offsets: NDArray[np.int64]
    """The offsets from a pixel to half of its neighbours, ``(K, ndim)``. Of two opposite offsets,
    only one is listed."""
    find_boundary: Callable[[], Boundary]
    find_edges: Callable[[], Tensor]
    spacing: NDArray[np.float64]
    """Size of a pixel along each axis, ``(ndim,)``."""
    edge_map: NDArray[np.float32] | None = None
    """How much each pixel looks like an edge of the image, ``(*size)``; ``None`` if not given."""

    @cached_property
    def boundary(self) -> Boundary:
        """All pairs of neighbouring pixels that belong to different nodes."""
        return self.find_boundary()

    @cached_property
    def edge_index(self) -> Tensor:
        """The edges ``(2, E)``, sorted by target, then by source."""
        return self.find_edges()

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """True for each pixel of the flattened image that belongs to a node."""
        return self.labels.ravel() >= 0

    @cached_property
    def pixel_index(self) -> NDArray[np.int64]:
        """The node of each of the P pixels that belong to a node, ``(P,)``."""
        return self._select(self.labels.reshape(1, -1))[0]

    @cached_property
    def num_pixels(self) -> NDArray[np.int64]:
        """The number of pixels of each node, ``(N,)``."""
        return np.bincount(self.pixel_index, minlength=self.num_nodes)

    @cached_property
    def colors(self) -> NDArray[np.float32]:
        """The colours of the P pixels that belong to a node, ``(C, P)``."""
        return self._select(self.image.reshape(self.image.shape[0], -1))

    @property
    def positions(self) -> NDArray[np.int64]:
        """The position of each of the P pixels that belong to a node, as indices ``(ndim, P)``."""
        return self._select(np.indices(self.labels.shape).reshape(self.labels.ndim, -1))

    def _select(self, values: NDArray) -> NDArray:
        """Selects the pixels that belong to a node. Nothing is copied if all pixels do."""
        return values if self._is_whole else values[:, self.inside]

    @cached_property
    def _is_whole(self) -> bool:
        return bool(self.inside.all())


def mean_color(nodes: NodePixels) -> Tensor:
    """Computes the mean colour of the pixels of each node, ``(N, C)``."""
    return mean_over_nodes(nodes.colors, nodes.pixel_index, nodes.num_pixels)


def centroid(nodes: NodePixels) -> Tensor:
    """Computes the mean position of the pixels of each node, ``(N, ndim)``.

    The coordinates are in the order of the image's axes. They are pixel indices multiplied by the
    spacing.
    """
    pixels = mean_over_nodes(nodes.positions, nodes.pixel_index, nodes.num_pixels)
    return pixels * torch.from_numpy(nodes.spacing).float()


def area(nodes: NodePixels) -> Tensor:
    """Computes the area of each node in an image, or its size in a volume, ``(N,)``.

    The area is in squared units of the spacing. The size in a volume is in cubed units.
    """
    return torch.from_numpy((nodes.num_pixels * nodes.spacing.prod()).astype(np.float32))


def variance(nodes: NodePixels) -> Tensor:
    """Computes the variance of the pixels of each node in each channel, ``(N, C)``.

    It is the mean of the squared differences from the node's mean colour.
    """
    mean = mean_color(nodes).numpy().T  # (C, N)
    squares = (nodes.colors - mean[:, nodes.pixel_index]) ** 2
    return mean_over_nodes(squares, nodes.pixel_index, nodes.num_pixels)


def std(nodes: NodePixels) -> Tensor:
    """Computes the standard deviation of the pixels of each node in each channel, ``(N, C)``.

    It is the square root of :func:`variance`.
    """
    return variance(nodes).sqrt()


def minimum(nodes: NodePixels) -> Tensor:
    """Finds the smallest value of each node in each channel, ``(N, C)``."""
    return _extreme(nodes, nodes.colors, "min")


def maximum(nodes: NodePixels) -> Tensor:
    """Finds the largest value of each node in each channel, ``(N, C)``."""
    return _extreme(nodes, nodes.colors, "max")


def histogram(nodes: NodePixels, bins: int = 8) -> Tensor:
    """Computes a histogram of each node in each channel, ``(N, C * bins)``.

    The range [0, 1] is divided into ``bins`` bins of equal width. The histogram holds the share of
    the node's pixels in each bin. A value on the border of two bins counts in the upper bin. Values
    below 0 count in the first bin, and values above 1 count in the last bin. To use another number
    of bins, give ``functools.partial(histogram, bins=16)``, for example.

    Returns:
        One row for each node, with all bins of the first channel first.
    """
    bin_of = np.clip((nodes.colors * np.float32(bins)).astype(np.int64), 0, bins - 1)  # (C, P)
    cells = [
        np.bincount(nodes.pixel_index * bins + row, minlength=nodes.num_nodes * bins)
        for row in bin_of
    ]
    shares = [
        cell.reshape(-1, bins) / nodes.num_pixels[:, None] for cell in cells
    ]  # each (N, bins)
    return torch.from_numpy(np.concatenate(shares, axis=1).astype(np.float32))


def bbox(nodes: NodePixels) -> Tensor:
    """Finds the bounding box of each node in pixel indices, ``(N, 2 * ndim)``.

    The first half of a row is the smallest index along each axis. The second half is the largest
    index along each axis plus 1, like the end of a Python slice.
    """
    first, last = (_extreme(nodes, nodes.positions, kind) for kind in ("min", "max"))
    return torch.cat([first, last + 1], dim=1)


def perimeter(nodes: NodePixels) -> Tensor:
    """Computes the perimeter of each node in an image, or its surface in a volume, ``(N,)``.

    The perimeter is in units of the spacing. The surface area is in squared units. A face of a
    pixel counts if it borders on another node or on a pixel outside the mask, or if it lies on the
    border of the image.
    """
    labels = np.pad(nodes.labels, 1, constant_values=-1)
    total = np.zeros(nodes.num_nodes + 1)  # the last is what lies outside
    for axis, size in enumerate(nodes.spacing):
        here, there = shifted_views(labels, tuple(int(a == axis) for a in range(labels.ndim)))
        differs = here != there
        for side in (here[differs], there[differs]):
            count = np.bincount(side % len(total), minlength=len(total))  # -1 is the last
            total += count * nodes.spacing.prod() / size
    return torch.from_numpy(total[:-1].astype(np.float32))


def axis_lengths(nodes: NodePixels) -> Tensor:
    r"""Computes the lengths of the axes of each node, ``(N, ndim)``, longest first.

    They are the full axes of the ellipse (in a volume, the ellipsoid) that has the same second
    moments as the node. If :math:`\lambda` is an eigenvalue of the covariance matrix of the pixels'
    positions, an axis is :math:`4 \sqrt{\lambda}` long in an image and :math:`2 \sqrt{5 \lambda}`
    long in a volume.
    """
    ndim = len(nodes.spacing)
    position = nodes.positions * nodes.spacing[:, None]
    offset = position - centroid(nodes).double().numpy().T[:, nodes.pixel_index]  # (ndim, P)
    products = (offset[:, None] * offset[None]).reshape(ndim * ndim, -1)
    covariance = mean_over_nodes(products, nodes.pixel_index, nodes.num_pixels).view(-1, ndim, ndim)
    eigenvalues = torch.linalg.eigvalsh(covariance.double()).clamp(min=0).flip(1)
    return 2 * ((ndim + 2) * eigenvalues).sqrt().float()


def edge_boundary_length(nodes: NodePixels) -> Tensor:
    """Computes the length of the boundary between the two nodes of each edge, ``(E,)``.

    The length is in units of the spacing. In a volume, the result is an area in squared units. It
    is 0 if no pixel of one node shares a face with a pixel of the other node. This is possible in
    ``ToRAG`` with ``connectivity`` above 1, and in ``ToPixelGraph`` with a large radius.
    """
    is_face = np.abs(nodes.offsets).sum(axis=1) == 1
    across = (np.abs(nodes.offsets) * nodes.spacing).sum(axis=1)
    face = np.where(is_face, nodes.spacing.prod() / across, 0.0)
    return _sum_over_boundary(nodes, face[nodes.boundary.offset])


def edge_boundary_gradient(nodes: NodePixels) -> Tensor:
    """Computes the mean colour gradient between the two nodes of each edge, ``(E,)``.

    The gradient between two neighbouring pixels is the Euclidean distance of their colours, divided
    by the distance of the pixels in units of the spacing. The mean is taken over all pairs of
    neighbouring pixels with one pixel in each node of the edge.
    """
    first, second, offset = nodes.boundary
    colors = nodes.image.reshape(nodes.image.shape[0], -1)
    difference = np.sqrt(
        ((colors[:, first] - colors[:, second]) ** 2).sum(axis=0, dtype=np.float64)
    )
    distance = np.linalg.norm(nodes.offsets * nodes.spacing, axis=1)[offset]
    count = _sum_over_boundary(nodes, np.ones(first.size))
    return _sum_over_boundary(nodes, difference / distance) / count


def edge_strength(nodes: NodePixels) -> Tensor:
    """Computes the mean of an edge map along the boundary of the two nodes of each edge, ``(E,)``.

    The edge map has one value for each pixel. Give it as ``Data(image=..., edge_map=...)``. The
    boundary consists of all pairs of neighbouring pixels with one pixel in each node. The result
    equals the weight in ``skimage.graph.rag_boundary``, except where a third node is near.

    Raises:
        InputError: If no edge map was given.
    """
    if nodes.edge_map is None:
        raise InputError(
            "edge_map: the field is missing, but the attribute edge_strength needs it; give "
            "Data(image=..., edge_map=...)."
        )
    first, second, _ = nodes.boundary
    flat = nodes.edge_map.ravel().astype(np.float64)
    count = _sum_over_boundary(nodes, np.ones(first.size))
    return _sum_over_boundary(nodes, (flat[first] + flat[second]) / 2) / count


def edge_color_difference(nodes: NodePixels) -> Tensor:
    """Computes the absolute difference of the two nodes' mean colours for each edge, ``(E, C)``.

    The channels are compared one by one. The result is the same for both directions of an edge.
    """
    source, target = nodes.edge_index
    x = mean_color(nodes)
    return (x[source] - x[target]).abs()


def _extreme(nodes: NodePixels, values: NDArray, kind: str) -> Tensor:
    """Finds the smallest or the largest of ``values (K, P)`` in each node, ``(N, K)``."""
    pixels, index = torch.from_numpy(values), torch.from_numpy(nodes.pixel_index)
    return scatter(pixels, index, dim=1, dim_size=nodes.num_nodes, reduce=kind).t().contiguous()


def _sum_over_boundary(nodes: NodePixels, values: NDArray[np.float64]) -> Tensor:
    sums = sum_over_edges(nodes.labels, nodes.boundary, values, nodes.num_nodes)
    return torch.from_numpy(sums.data.astype(np.float32))


Attribute = Callable[[NodePixels], Tensor]

ATTRIBUTES: dict[str, Attribute] = {
    function.__name__: function
    for function in (
        area,
        variance,
        std,
        minimum,
        maximum,
        histogram,
        bbox,
        perimeter,
        axis_lengths,
        edge_boundary_length,
        edge_boundary_gradient,
        edge_strength,
        edge_color_difference,
    )
}
"""The attributes that :class:`~sp_graph_seg.transforms.ToRAG` knows by name."""


def attribute_name(attribute: str | Attribute) -> str:
    """Returns the name of the graph's field that stores an attribute.

    It is the name of the function that computes the attribute.

    Raises:
        InputError: If ``attribute`` is a name that is not in :data:`ATTRIBUTES`, or a function
            without a valid name, such as a lambda.
    """
    if isinstance(attribute, str):
        if attribute in ATTRIBUTES:
            return attribute
        known = ", ".join(ATTRIBUTES)
        raise InputError(f"attributes: {attribute!r} is unknown; use one of {known}.")
    function = attribute.func if isinstance(attribute, partial) else attribute
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise InputError(f"attributes: {attribute!r} has no name; use a function defined with def.")
    return name


def compute_attribute(attribute: str | Attribute, nodes: NodePixels, num_edges: int) -> Tensor:
    """Computes an attribute and checks its number of rows.

    Raises:
        InputError: If the result is not a tensor with one row for each node. The result of an edge
            attribute must have one row for each edge.
    """
    name = attribute_name(attribute)
    values = (ATTRIBUTES[attribute] if isinstance(attribute, str) else attribute)(nodes)
    kind, count = ("edge", num_edges) if name.startswith("edge_") else ("node", nodes.num_nodes)
    if not isinstance(values, Tensor) or values.shape[:1] != (count,):
        is_tensor, other = isinstance(values, Tensor), "nodes" if kind == "edge" else "edges"
        found = f"shape {tuple(values.shape)}" if is_tensor else f"type {type(values).__name__}"
        raise InputError(
            f"attributes: the result of {name} has {found}, but must be a tensor with {count} "
            f"rows, one for each {kind}; correct the function, or rename it if it is for "
            f"{other} (a name that begins with edge_ is for edges, any other for nodes)."
        )
    return values
