"""The transform ToPixelGraph, which converts an image to a graph with a node for each pixel."""

import itertools
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch_geometric.data.datapipes import functional_transform

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.adjacency import Boundary
from sp_graph_seg.transforms.attributes import Attribute, NodePixels
from sp_graph_seg.transforms.image_transform import EdgeWeight, Given, ImageTransform
from sp_graph_seg.transforms.superpixels import MASKED, Labels


@functional_transform("to_pixel_graph")
class ToPixelGraph(ImageTransform):
    """Converts an image to a graph with a node for each pixel or voxel (functional name:
    :obj:`to_pixel_graph`). On this graph, the sparse losses of `"Unsupervised Few-Shot Image
    Segmentation with Dense Feature Learning and Sparse Clustering"
    <https://doi.org/10.5220/0012380700003660>`_ equal the dense losses of that paper (Eqs. 1 to 3).

    The inputs are the same as in :class:`~sp_graph_seg.transforms.ToRAG`, except that superpixels
    cannot be given. The output is an :class:`~sp_graph_seg.transforms.ImageGraph` with the same
    fields. Two pixels are neighbours if the distance of their centres is at most the radius.

    Args:
        radius: Radius of the neighbourhood. With 1, the pixels that share a face are neighbours.
            With 1.5, pixels of an image that share only a corner are neighbours too. Xia & Kulis
            2017 use 5. The radius is in units of the spacing. Without a spacing, it is in pixels.
            (default: :obj:`1.0`)
        tau: Temperature of the edge weights, as in ``ToRAG``.
            (default: :obj:`-10.0` for affinities, :obj:`1.0` for the softmax)
        mask: True for the pixels that become nodes, of the image's size. The values of all other
            pixels are ignored. (default: :obj:`None`)
        edge_weight: ``"affinity"`` or ``"softmax"``, as in ``ToRAG``.
            (default: :obj:`"affinity"`)
        spacing: Size of a pixel along each axis. (default: :obj:`None`)
        attributes: Further attributes, as in ``ToRAG``. (default: :obj:`()`)

    Raises:
        InputError: If a parameter is out of its range. A call of the transform also raises it if
            the image or the mask is invalid, or if superpixels are given.

    Example:
        >>> ToPixelGraph()(torch.rand(3, 2, 2)).edge_index
        tensor([[1, 2, 0, 3, 0, 3, 1, 2],
                [0, 0, 1, 1, 2, 2, 3, 3]])
    """

    def __init__(
        self,
        radius: float = 1.0,
        tau: float | None = None,
        mask: ArrayLike | Tensor | None = None,
        *,
        edge_weight: EdgeWeight = "affinity",
        spacing: Sequence[float] | None = None,
        attributes: Iterable[str | Attribute] = (),
    ) -> None:
        super().__init__(edge_weight, tau, mask, spacing, attributes)
        if not (np.isfinite(radius) and radius >= min(self.spacing or (1.0,))):
            least = min(self.spacing or (1,))
            raise InputError(
                f"radius={radius} is too small to join two pixels; use {least:g} or more."
            )
        self.radius = radius

    def _node_pixels(self, given: Given) -> NodePixels:
        if given.superpixels is not None:
            raise InputError("superpixels: cannot be used with ToPixelGraph; use ToRAG.")
        size = given.image.shape[1:]
        inside = np.ones(size, dtype=bool) if given.mask is None else given.mask
        spacing = self._spacing_of(given)
        offsets = _half_ball(self.radius, spacing)
        labels = np.where(inside, np.cumsum(inside).reshape(size) - 1, MASKED)
        return NodePixels(
            image=given.image,
            labels=labels,
            num_nodes=int(inside.sum()),
            offsets=offsets,
            find_boundary=partial(_find_pairs, labels, offsets),
            find_edges=partial(_find_neighbors, labels, offsets),
            spacing=spacing,
            edge_map=given.edge_map,
        )

    def _shown(self) -> list[str]:
        return ["radius"]


def _half_ball(radius: float, spacing: NDArray[np.float64]) -> NDArray[np.int64]:
    """Finds the offsets ``(K, ndim)`` from a pixel to half of its neighbours within a radius.

    Of two opposite offsets, only the later one in C order is returned. The result is in C order.
    """
    radius *= 1 + 1e-9  # 0.3 is less than 3 times 0.1
    reach = [range(-int(radius / size), int(radius / size) + 1) for size in spacing]
    offsets = np.array(list(itertools.product(*reach)))  # in C order, 0 is in the middle
    later = offsets[len(offsets) // 2 + 1 :]
    return later[np.linalg.norm(later * spacing, axis=1) <= radius]


def _find_neighbors(labels: Labels, offsets: NDArray[np.int64]) -> Tensor:
    """Finds the edges between neighbouring pixels, ``(2, E)``, sorted by target, then by source."""
    framed, steps = _frame(labels, offsets)
    targets = np.flatnonzero(framed >= 0)  # (N,)
    both = np.concatenate([-steps[::-1], steps])  # ascending, as offsets are in C order
    sources = framed[targets[:, None] + both]  # (N, K)
    exists = sources >= 0
    ends = [sources[exists], np.repeat(np.arange(len(targets)), exists.sum(axis=1))]
    return torch.from_numpy(np.stack(ends))


def _find_pairs(labels: Labels, offsets: NDArray[np.int64]) -> Boundary:
    """Finds all pairs of neighbouring pixels. Each pair is returned in one direction only."""
    framed, steps = _frame(labels, offsets)
    pixels = np.flatnonzero(labels >= 0)  # (N,)
    others = framed[np.flatnonzero(framed >= 0)[:, None] + steps]  # (N, K)
    first, offset = np.nonzero(others >= 0)
    return Boundary(pixels[first], pixels[others[first, offset]], offset)


def _frame(labels: Labels, offsets: NDArray[np.int64]) -> tuple[Labels, NDArray[np.int64]]:
    """Pads a label map so that no offset from a pixel leads out of the array.

    Returns the padded map in flattened form, and each offset as a step in the flattened map.
    """
    width = np.abs(offsets).max(axis=0, initial=0)
    framed = np.pad(labels, [(w, w) for w in width], constant_values=MASKED)
    strides = np.append(np.cumprod(framed.shape[:0:-1])[::-1], 1)
    return framed.ravel(), offsets @ strides
