r"""Further attributes of the nodes and edges of a graph; one function computes each, on request.

The parameter ``attributes=[...]`` of :class:`~sp_graph_seg.transforms.ToRAG` and ``ToPixelGraph``
takes the names of functions of this module, and your own functions of a :class:`NodePixels`, which
may be a :func:`functools.partial`. The result becomes a field with the name of the function. It has
one row for each node, or for each edge if the name begins with ``edge_``.

Below, :math:`p \in I` are the pixels of node I, :math:`|I|` is their number, and :math:`x_p` is
the colour of pixel p. :math:`(p, q) \in IJ` are the pairs of neighbouring pixels with p in I and q
in J.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor
from torch_geometric.utils import scatter

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.adjacency import (
    Boundary,
    shifted_views,
    sum_over_edges,
    to_edge_index,
)
from sp_graph_seg.transforms.reduce import mean_over_nodes
from sp_graph_seg.transforms.superpixels import Labels


@dataclass(frozen=True)
class NodePixels:
    """The nodes of a graph and their pixels, from which attributes are computed."""

    image: NDArray[np.float32]
    """``(C, *size)``; pixels outside a mask are 0."""
    labels: Labels
    """Node of each pixel, ``size``; -1 outside a mask."""
    num_nodes: int
    offsets: NDArray[np.int64]
    """Offsets from a pixel to its neighbours, one of each opposite pair, ``(K, ndim)``."""
    find_boundary: Callable[[], Boundary]
    spacing: NDArray[np.float64]
    """Size of a pixel along each axis, ``(ndim,)``."""
    edge_map: NDArray[np.float32] | None = None
    """How much each pixel looks like an edge of the image, ``size``, if it was given."""

    @cached_property
    def boundary(self) -> Boundary:
        """The pairs of neighbouring pixels that belong to different nodes."""
        return self.find_boundary()

    @cached_property
    def edge_index(self) -> Tensor:
        """The edges ``(2, E)``, sorted by target, then by source."""
        return to_edge_index(_sum_pairs(self, np.ones(self.boundary.first.size)))

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """True for the pixels that belong to a node, as a flat array."""
        return self.labels.ravel() >= 0

    @cached_property
    def pixel_index(self) -> NDArray[np.int64]:
        """Node of each of the P pixels that belong to one, ``(P,)``."""
        return self._select(self.labels.reshape(1, -1))[0]

    @cached_property
    def colors(self) -> NDArray[np.float32]:
        """Colours of the P pixels that belong to a node, ``(C, P)``."""
        return self._select(self.image.reshape(self.image.shape[0], -1))

    @property
    def positions(self) -> NDArray[np.int64]:
        """Indices along each axis of the P pixels that belong to a node, ``(ndim, P)``."""
        return self._select(np.indices(self.labels.shape).reshape(self.labels.ndim, -1))

    def _select(self, values: NDArray) -> NDArray:
        """Selects the pixels inside; copies nothing if all are."""
        return values if self._is_whole else values[:, self.inside]

    @cached_property
    def _is_whole(self) -> bool:
        return bool(self.inside.all())


def mean_color(nodes: NodePixels) -> Tensor:
    r"""``(N, C)``: :math:`\bar x_I = \frac{1}{|I|} \sum_{p \in I} x_p`."""
    return mean_over_nodes(nodes.colors, nodes.pixel_index, nodes.num_nodes)


def centroid(nodes: NodePixels) -> Tensor:
    """``(N, ndim)``: mean position in the order of the image's axes, multiplied by the spacing."""
    pixels = mean_over_nodes(nodes.positions, nodes.pixel_index, nodes.num_nodes)
    return pixels * torch.from_numpy(nodes.spacing).float()


def area(nodes: NodePixels) -> Tensor:
    """``(N,)``: area, or volume in 3D, in squared or cubed units of the spacing."""
    count = np.bincount(nodes.pixel_index, minlength=nodes.num_nodes)
    return torch.from_numpy((count * nodes.spacing.prod()).astype(np.float32))


def variance(nodes: NodePixels) -> Tensor:
    r"""``(N, C)``: :math:`\frac{1}{|I|} \sum_{p \in I} (x_p - \bar x_I)^2`."""
    mean = mean_color(nodes).numpy().T  # (C, N)
    squares = (nodes.colors - mean[:, nodes.pixel_index]) ** 2
    return mean_over_nodes(squares, nodes.pixel_index, nodes.num_nodes)


def std(nodes: NodePixels) -> Tensor:
    """``(N, C)``: square root of :func:`variance`."""
    return variance(nodes).sqrt()


def minimum(nodes: NodePixels) -> Tensor:
    r"""``(N, C)``: :math:`\min_{p \in I} x_p` in each channel."""
    return _extreme(nodes, nodes.colors, "min")


def maximum(nodes: NodePixels) -> Tensor:
    r"""``(N, C)``: :math:`\max_{p \in I} x_p` in each channel."""
    return _extreme(nodes, nodes.colors, "max")


def histogram(nodes: NodePixels, bins: int = 8) -> Tensor:
    r"""``(N, C * bins)``: share of the pixels in each of ``bins`` equal bins of [0, 1], by channel.

    A value on the border of two bins counts in the upper one. Values outside [0, 1] count in the
    outermost bins. Use ``functools.partial(histogram, bins=16)`` for another number of bins.
    """
    bin_of = np.clip((nodes.colors * np.float32(bins)).astype(np.int64), 0, bins - 1)  # (C, P)
    cells = [
        np.bincount(nodes.pixel_index * bins + row, minlength=nodes.num_nodes * bins)
        for row in bin_of
    ]
    count = np.bincount(nodes.pixel_index, minlength=nodes.num_nodes)
    shares = [cell.reshape(-1, bins) / count[:, None] for cell in cells]  # each (N, bins)
    return torch.from_numpy(np.concatenate(shares, axis=1).astype(np.float32))


def bbox(nodes: NodePixels) -> Tensor:
    """``(N, 2 * ndim)``: first index along each axis, then one past the last along each."""
    first, last = (_extreme(nodes, nodes.positions, kind) for kind in ("min", "max"))
    return torch.cat([first, last + 1], dim=1)


def perimeter(nodes: NodePixels) -> Tensor:
    """``(N,)``: perimeter of a node, or its surface area in 3D, in units of the spacing.

    A face of a pixel counts if it borders on another node, on the outside of the mask, or on the
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
    r"""``(N, ndim)``: axes of the ellipse (or ellipsoid) of equal second moments, longest first.

    They are :math:`4 \sqrt{\lambda}` in 2D and :math:`2 \sqrt{5 \lambda}` in 3D, where
    :math:`\lambda` are the eigenvalues of the covariance of the positions. For a node that is a
    large ellipse, they are its full axes.
    """
    ndim = len(nodes.spacing)
    position = nodes.positions * nodes.spacing[:, None]
    offset = position - centroid(nodes).double().numpy().T[:, nodes.pixel_index]  # (ndim, P)
    products = (offset[:, None] * offset[None]).reshape(ndim * ndim, -1)
    covariance = mean_over_nodes(products, nodes.pixel_index, nodes.num_nodes).view(-1, ndim, ndim)
    eigenvalues = torch.linalg.eigvalsh(covariance.double()).clamp(min=0).flip(1)
    return 2 * ((ndim + 2) * eigenvalues).sqrt().float()


def edge_boundary_length(nodes: NodePixels) -> Tensor:
    """``(E,)``: length of the shared boundary, or its area in 3D, in units of the spacing.

    It is 0 for superpixels that touch only at an edge or a corner (``connectivity`` above 1), and
    for neighbours of a pixel graph that do not share a face.
    """
    is_face = np.abs(nodes.offsets).sum(axis=1) == 1
    across = (np.abs(nodes.offsets) * nodes.spacing).sum(axis=1)
    face = np.where(is_face, nodes.spacing.prod() / across, 0.0)
    return _sum_over_boundary(nodes, face[nodes.boundary.offset])


def edge_boundary_gradient(nodes: NodePixels) -> Tensor:
    r"""``(E,)``: mean of :math:`\|x_p - x_q\| / d(p, q)` over the pairs :math:`(p, q) \in IJ`.

    d is the distance between the two pixels in units of the spacing.
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
    r"""``(E,)``: mean of :math:`(e_p + e_q) / 2` over :math:`(p, q) \in IJ`, for an edge map e.

    The map is given as ``Data(image=..., edge_map=...)``. The result equals the weight of
    scikit-image's ``rag_boundary``, except for boundaries near a third node.

    Raises:
        InputError: If no edge map was given.
    """
    if nodes.edge_map is None:
        raise InputError("edge_map: is missing; give Data(image=..., edge_map=...).")
    first, second, _ = nodes.boundary
    flat = nodes.edge_map.ravel().astype(np.float64)
    count = _sum_over_boundary(nodes, np.ones(first.size))
    return _sum_over_boundary(nodes, (flat[first] + flat[second]) / 2) / count


def edge_color_difference(nodes: NodePixels) -> Tensor:
    r"""``(E, C)``: :math:`|\bar x_I - \bar x_J|` in each channel, the same in both directions."""
    source, target = nodes.edge_index
    x = mean_color(nodes)
    return (x[source] - x[target]).abs()


def _extreme(nodes: NodePixels, values: NDArray, kind: str) -> Tensor:
    """Finds the smallest or the largest of ``values (K, P)`` in each node, ``(N, K)``."""
    pixels, index = torch.from_numpy(values), torch.from_numpy(nodes.pixel_index)
    return scatter(pixels, index, dim=1, dim_size=nodes.num_nodes, reduce=kind).t().contiguous()


def _sum_pairs(nodes: NodePixels, values: NDArray[np.float64]) -> csr_array:
    return sum_over_edges(nodes.labels, nodes.boundary, values, nodes.num_nodes)


def _sum_over_boundary(nodes: NodePixels, values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(_sum_pairs(nodes, values).data.astype(np.float32))


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
    """Returns the name of an attribute's field, which is the name of its function.

    Raises:
        InputError: If the name is not in :data:`ATTRIBUTES`, or the function has no name.
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
    """Computes an attribute, and checks that it has one row for each node or edge.

    Raises:
        InputError: If the result is not a tensor with that number of rows.
    """
    name = attribute_name(attribute)
    values = (ATTRIBUTES[attribute] if isinstance(attribute, str) else attribute)(nodes)
    kind, count = ("edge", num_edges) if name.startswith("edge_") else ("node", nodes.num_nodes)
    if not isinstance(values, Tensor) or values.shape[:1] != (count,):
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise InputError(
            f"attributes: {name} returned {found}, not a tensor with one row for each of {count} "
            f"{kind}s; return one, and begin names of edge attributes, and only those, with edge_."
        )
    return values
