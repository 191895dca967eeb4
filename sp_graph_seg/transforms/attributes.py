r"""Further attributes of the nodes and edges of a graph, made on request, one function each.

:class:`~sp_graph_seg.transforms.ToRAG` and ``ToPixelGraph`` take in ``attributes=[...]`` the names
of functions of this module, and functions of your own that are called as these are, with
:class:`Regions`, perhaps in a :func:`functools.partial`. The result, one row a node, becomes the
field of the function's name; where that begins with ``edge_``, one row an edge.

Below, :math:`p \in I` are the pixels of node I, :math:`|I|` is their number, and
:math:`(p, q) \in IJ` are the pairs of neighbouring pixels on both sides of the boundary of I and J.
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
class Regions:
    """What the attributes are computed from."""

    image: NDArray[np.float32]
    """``(C, *size)``; pixels outside a mask are 0."""
    labels: Labels
    """Node of each pixel, ``size``; -1 outside a mask."""
    num_nodes: int
    offsets: NDArray[np.int64]
    """From a pixel to its neighbours, one of each two opposite ones, ``(K, ndim)``."""
    find_boundary: Callable[[], Boundary]
    spacing: NDArray[np.float64]
    """Size of a pixel along each axis, ``(ndim,)``."""

    @cached_property
    def boundary(self) -> Boundary:
        """The pairs of neighbouring pixels in two nodes, and which of ``offsets`` lies between."""
        return self.find_boundary()

    @cached_property
    def edge_index(self) -> Tensor:
        """``(2, E)``, sorted by target, then by source."""
        return to_edge_index(_sum_pairs(self, np.ones(self.boundary.first.size)))

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """True for the pixels that belong to a node, ``(size,)`` flattened."""
        return self.labels.ravel() >= 0

    @cached_property
    def nodes(self) -> NDArray[np.int64]:
        """Node of each pixel that belongs to one."""
        return self._select(self.labels.reshape(1, -1))[0]

    @cached_property
    def colors(self) -> NDArray[np.float32]:
        """Colours of the same pixels, ``(C, P)``."""
        return self._select(self.image.reshape(self.image.shape[0], -1))

    @property
    def positions(self) -> NDArray[np.int64]:
        """Indices of the same pixels along each axis, ``(ndim, P)``."""
        return self._select(np.indices(self.labels.shape).reshape(self.labels.ndim, -1))

    def _select(self, values: NDArray) -> NDArray:
        """Leaves out the pixels outside; without a mask nothing is copied."""
        return values if self._is_whole else values[:, self.inside]

    @cached_property
    def _is_whole(self) -> bool:
        return bool(self.inside.all())


def mean_color(regions: Regions) -> Tensor:
    r"""``(N, C)``: :math:`\bar x_I = \frac{1}{|I|} \sum_{p \in I} x_p`."""
    return mean_over_nodes(regions.colors, regions.nodes, regions.num_nodes)


def centroid(regions: Regions) -> Tensor:
    """``(N, ndim)``: mean position in the order of the image's axes, multiplied by the spacing."""
    pixels = mean_over_nodes(regions.positions, regions.nodes, regions.num_nodes)
    return pixels * torch.from_numpy(regions.spacing).float()


def area(regions: Regions) -> Tensor:
    """``(N,)``: area, or volume in 3D, in squared or cubed units of the spacing."""
    count = np.bincount(regions.nodes, minlength=regions.num_nodes)
    return torch.from_numpy((count * regions.spacing.prod()).astype(np.float32))


def variance(regions: Regions) -> Tensor:
    r"""``(N, C)``: :math:`\frac{1}{|I|} \sum_{p \in I} (x_p - \bar x_I)^2`."""
    mean = mean_color(regions).numpy().T  # (C, N)
    squares = (regions.colors - mean[:, regions.nodes]) ** 2
    return mean_over_nodes(squares, regions.nodes, regions.num_nodes)


def std(regions: Regions) -> Tensor:
    """``(N, C)``: square root of :func:`variance`."""
    return variance(regions).sqrt()


def minimum(regions: Regions) -> Tensor:
    r"""``(N, C)``: :math:`\min_{p \in I} x_p` in each channel."""
    return _extreme(regions, regions.colors, "min")


def maximum(regions: Regions) -> Tensor:
    r"""``(N, C)``: :math:`\max_{p \in I} x_p` in each channel."""
    return _extreme(regions, regions.colors, "max")


def histogram(regions: Regions, bins: int = 8) -> Tensor:
    r"""``(N, C * bins)``: share of the pixels in each of some equal bins from 0 to 1, by channels.

    A value on the border of two bins counts in the upper one, values beyond [0, 1] in the outermost
    ones. ``functools.partial(histogram, bins=16)`` makes other bins.
    """
    bin_of = np.clip((regions.colors * np.float32(bins)).astype(np.int64), 0, bins - 1)  # (C, P)
    cells = [
        np.bincount(regions.nodes * bins + row, minlength=regions.num_nodes * bins)
        for row in bin_of
    ]
    count = np.bincount(regions.nodes, minlength=regions.num_nodes)
    shares = [cell.reshape(-1, bins) / count[:, None] for cell in cells]  # each (N, bins)
    return torch.from_numpy(np.concatenate(shares, axis=1).astype(np.float32))


def bbox(regions: Regions) -> Tensor:
    """``(N, 2 * ndim)``: first pixel along each axis, then one past the last."""
    first, last = (_extreme(regions, regions.positions, kind) for kind in ("min", "max"))
    return torch.cat([first, last + 1], dim=1)


def perimeter(regions: Regions) -> Tensor:
    """``(N,)``: length of the region's outline, its surface in 3D, in units of the spacing.

    All faces of pixels count behind which there is another region, the mask or the image's end.
    """
    labels = np.pad(regions.labels, 1, constant_values=-1)
    total = np.zeros(regions.num_nodes + 1)  # the last is what lies outside
    for axis, size in enumerate(regions.spacing):
        here, there = shifted_views(labels, tuple(int(a == axis) for a in range(labels.ndim)))
        differs = here != there
        for side in (here[differs], there[differs]):
            count = np.bincount(side % len(total), minlength=len(total))  # -1 is the last
            total += count * regions.spacing.prod() / size
    return torch.from_numpy(total[:-1].astype(np.float32))


def axis_lengths(regions: Regions) -> Tensor:
    r"""``(N, ndim)``: axes of the ellipse, or ellipsoid, of equal second moments, descending.

    In 2D :math:`4 \sqrt{\lambda}`, in 3D :math:`2 \sqrt{5 \lambda}`, with the eigenvalues
    :math:`\lambda` of the covariance of the positions, so that a large ellipse has its own axes.
    """
    ndim = len(regions.spacing)
    position = regions.positions * regions.spacing[:, None]
    offset = position - centroid(regions).double().numpy().T[:, regions.nodes]  # (ndim, P)
    products = (offset[:, None] * offset[None]).reshape(ndim * ndim, -1)
    covariance = mean_over_nodes(products, regions.nodes, regions.num_nodes).view(-1, ndim, ndim)
    eigenvalues = torch.linalg.eigvalsh(covariance.double()).clamp(min=0).flip(1)
    return 2 * ((ndim + 2) * eigenvalues).sqrt().float()


def edge_boundary_length(regions: Regions) -> Tensor:
    """``(E,)``: length of the shared boundary, or its area in 3D, in units of the spacing.

    Regions that touch at a corner only (``connectivity`` above 1) share a boundary of length 0, as
    do pixels that are farther apart.
    """
    is_face = np.abs(regions.offsets).sum(axis=1) == 1
    across = (np.abs(regions.offsets) * regions.spacing).sum(axis=1)
    face = np.where(is_face, regions.spacing.prod() / across, 0.0)
    return _sum_over_boundary(regions, face[regions.boundary.offset])


def edge_boundary_gradient(regions: Regions) -> Tensor:
    r"""``(E,)``: mean of :math:`\|x_p - x_q\| / d(p, q)` over the pairs :math:`(p, q) \in IJ`.

    d is the distance of the pixels in units of the spacing.
    """
    first, second, offset = regions.boundary
    colors = regions.image.reshape(regions.image.shape[0], -1)
    difference = np.sqrt(
        ((colors[:, first] - colors[:, second]) ** 2).sum(axis=0, dtype=np.float64)
    )
    distance = np.linalg.norm(regions.offsets * regions.spacing, axis=1)[offset]
    count = _sum_over_boundary(regions, np.ones(first.size))
    return _sum_over_boundary(regions, difference / distance) / count


def edge_color_difference(regions: Regions) -> Tensor:
    r"""``(E, C)``: :math:`|\bar x_I - \bar x_J|` in each channel, the same in both directions."""
    source, target = regions.edge_index
    x = mean_color(regions)
    return (x[source] - x[target]).abs()


def _extreme(regions: Regions, values: NDArray, kind: str) -> Tensor:
    """The least or the largest of ``values (K, P)`` in each node, ``(N, K)``."""
    pixels, nodes = torch.from_numpy(values), torch.from_numpy(regions.nodes)
    return scatter(pixels, nodes, dim=1, dim_size=regions.num_nodes, reduce=kind).t().contiguous()


def _sum_pairs(regions: Regions, values: NDArray[np.float64]) -> csr_array:
    return sum_over_edges(regions.labels, regions.boundary, values, regions.num_nodes)


def _sum_over_boundary(regions: Regions, values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(_sum_pairs(regions, values).data.astype(np.float32))


Attribute = Callable[[Regions], Tensor]

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
        edge_color_difference,
    )
}
"""The attributes that :class:`~sp_graph_seg.transforms.ToRAG` knows by name."""


def attribute_name(attribute: str | Attribute) -> str:
    """The field that an attribute becomes: the name of the function.

    Raises:
        InputError: For a name that is not in :data:`ATTRIBUTES`, or what has no name of its own.
    """
    if isinstance(attribute, str):
        if attribute in ATTRIBUTES:
            return attribute
        known = ", ".join(ATTRIBUTES)
        raise InputError(f"attributes: {attribute!r} is unknown: use some of {known}.")
    function = attribute.func if isinstance(attribute, partial) else attribute
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise InputError(f"attributes: {attribute!r} has no name; use a function made by def.")
    return name


def compute_attribute(attribute: str | Attribute, regions: Regions, num_edges: int) -> Tensor:
    """The values of an attribute, checked to be as many as its name says.

    Raises:
        InputError: For another number of rows.
    """
    name = attribute_name(attribute)
    values = (ATTRIBUTES[attribute] if isinstance(attribute, str) else attribute)(regions)
    kind, count = ("edge", num_edges) if name.startswith("edge_") else ("node", regions.num_nodes)
    if not isinstance(values, Tensor) or values.shape[:1] != (count,):
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise InputError(
            f"attributes: {name} returns {found} where a tensor with one row for each of {count} "
            f"{kind}s is expected; call it edge_... where it speaks of edges, and only there."
        )
    return values
