"""Further attributes of the nodes and edges of a region adjacency graph, made on request."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.utils import scatter

from sp_graph_seg.transforms.adjacency import Boundary, sum_over_edges
from sp_graph_seg.transforms.reduce import mean_over_nodes
from sp_graph_seg.transforms.superpixels import Labels


@dataclass(frozen=True)
class Regions:
    """What the attributes are computed from; pixels outside a mask have the label -1."""

    image: NDArray[np.float32]
    """``(C, *size)``"""
    labels: Labels
    """``size``"""
    num_nodes: int
    boundary: Boundary
    offsets: NDArray[np.int64]
    """Offsets of the boundary's pairs, ``(K, ndim)``."""
    spacing: NDArray[np.float64]
    """Size of a pixel along each axis, ``(ndim,)``."""

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
    """``(N, C)``: mean colour."""
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
    """``(N, C)``: variance of the colour over the region's pixels."""
    mean = mean_color(regions).numpy().T  # (C, N)
    squares = (regions.colors - mean[:, regions.nodes]) ** 2
    return mean_over_nodes(squares, regions.nodes, regions.num_nodes)


def bbox(regions: Regions) -> Tensor:
    """``(N, 2 * ndim)``: first pixel along each axis, then one past the last."""
    positions, nodes = torch.from_numpy(regions.positions), torch.from_numpy(regions.nodes)
    first = scatter(positions, nodes, dim=1, dim_size=regions.num_nodes, reduce="min")
    last = scatter(positions, nodes, dim=1, dim_size=regions.num_nodes, reduce="max")
    return torch.cat([first, last + 1]).t().contiguous()


def boundary_length(regions: Regions) -> Tensor:
    """``(E,)``: length of the shared boundary, or its area in 3D, in units of the spacing.

    Regions that touch at a corner only (``connectivity`` above 1) share a boundary of length 0.
    """
    is_face = np.abs(regions.offsets).sum(axis=1) == 1
    across = (np.abs(regions.offsets) * regions.spacing).sum(axis=1)
    face = np.where(is_face, regions.spacing.prod() / across, 0.0)
    return _sum_over_boundary(regions, face[regions.boundary.offset])


def boundary_gradient(regions: Regions) -> Tensor:
    """``(E,)``: mean over the boundary of the colour difference per unit of distance across it."""
    first, second, offset = regions.boundary
    colors = regions.image.reshape(regions.image.shape[0], -1)
    difference = np.sqrt(
        ((colors[:, first] - colors[:, second]) ** 2).sum(axis=0, dtype=np.float64)
    )
    distance = np.linalg.norm(regions.offsets * regions.spacing, axis=1)[offset]
    count = _sum_over_boundary(regions, np.ones(first.size))
    return _sum_over_boundary(regions, difference / distance) / count


def _sum_over_boundary(regions: Regions, values: NDArray[np.float64]) -> Tensor:
    sums = sum_over_edges(regions.labels, regions.boundary, values, regions.num_nodes)
    return torch.from_numpy(sums.data.astype(np.float32))


ATTRIBUTES: dict[str, Callable[[Regions], Tensor]] = {
    function.__name__: function
    for function in (area, variance, bbox, boundary_length, boundary_gradient)
}
"""The attributes that :class:`~sp_graph_seg.transforms.ToRAG` knows by name."""
