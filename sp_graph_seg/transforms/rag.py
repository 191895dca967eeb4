"""ToRAG: an image or a volume becomes the region adjacency graph of its superpixels."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import attributes as attribute
from sp_graph_seg.transforms.adjacency import (
    find_boundary,
    half_neighborhood,
    sum_over_edges,
    to_edge_index,
)
from sp_graph_seg.transforms.arrays import as_array, as_image, as_mask
from sp_graph_seg.transforms.superpixels import (
    Labels,
    check_superpixel_method,
    compute_superpixels,
    connected_regions,
)
from sp_graph_seg.transforms.weights import color_distance, softmax_adjacency


@functional_transform("to_rag")
class ToRAG(BaseTransform):
    r"""Converts an image to the region adjacency graph (RAG) of its superpixels (functional name:
    :obj:`to_rag`), after `"Unsupervised Few-Shot Image Segmentation with Dense Feature Learning and
    Sparse Clustering" <https://doi.org/10.5220/0012380700003660>`_ (Leng et al., VISAPP 2024).

    Called on an image ``(C, H, W)`` or a volume ``(C, D, H, W)``, a tensor or an array with values
    in [0, 1] (unsigned integers are divided by the largest of their type), it returns a
    :class:`~torch_geometric.data.Data` on the CPU with

    * ``x (N, C)``: mean colour of each superpixel;
    * ``pos (N, ndim)``: its centroid in the order of the image's axes (row, column), times spacing;
    * ``edge_index (2, E)``: pairs of superpixels that touch, both directions, no self-loops,
      coalesced, sorted by target (second row), then by source, so that
      ``EdgeIndex(edge_index, sort_order="col", is_undirected=True)`` needs no further work;
    * ``edge_attr (E, 1)``: colour distance of both ends (Eq. 2);
    * ``edge_weight (E,)``: softmax-tau of that distance over the neighbours of the target (Eq. 8);
    * ``pixel_index (P,)``: node of each pixel, the image flattened in C order. ``Batch`` shifts it
      to the nodes of the batch, as it does with every key that contains ``index``;
    * ``pixel_mask (H*W,)``, with ``mask`` only: which pixels ``pixel_index`` speaks of. (A -1 there
      would be shifted onto a node of the image before.)
    * ``image_size (1, ndim)``: H, W, or D, H, W;
    * every attribute asked for, under its own name.

    Args:
        n_segments: Number of superpixels wanted. (default: :obj:`4000`)
        compactness: Weight of space against colour in the superpixels. (default: :obj:`10.0`)
        tau: Temperature of the edge weights: below 0 the most similar neighbours weigh most, at 0
            all alike, above 0 the most different. (default: :obj:`1.0`)
        superpixels: A label map of the image's size to use instead, any non-negative integers.
            Nodes are its connected regions, numbered in scan order: two regions that share an id
            become two nodes. (default: :obj:`None`)
        superpixel_method: Algorithm that makes the superpixels, one of
            :data:`~sp_graph_seg.transforms.SUPERPIXEL_METHODS`. (default: :obj:`"slic"`)
        connectivity: Pixels that share a face (1), an edge (2) or a corner (3) are neighbours.
            (default: :obj:`1`)
        mask: True where there is something to segment, of the image's size; other pixels belong to
            no node. (default: :obj:`None`)
        spacing: Size of a pixel along each axis, for anisotropic volumes. (default: :obj:`None`)
        attributes: More to compute: of nodes ``"area"``, ``"variance"``, ``"bbox"``, of edges
            ``"boundary_length"``, ``"boundary_gradient"``; see
            :mod:`sp_graph_seg.transforms.attributes`. (default: :obj:`()`)

    Raises:
        InputError: For a parameter out of its range; when called, if the image has another number
            of axes, is empty or holds NaN or Inf, or if label map or mask have another size.

    Example:
        >>> image = torch.zeros(3, 4, 6)
        >>> image[:, :, 3:] = 1.0
        >>> data = ToRAG(superpixels=image[0].long())(image)
        >>> data.edge_index
        tensor([[1, 0],
                [0, 1]])
        >>> data.edge_attr.squeeze()
        tensor([1.7321, 1.7321])
    """

    def __init__(
        self,
        n_segments: int = 4000,
        compactness: float = 10.0,
        tau: float = 1.0,
        superpixels: ArrayLike | Tensor | None = None,
        *,
        superpixel_method: str = "slic",
        connectivity: int = 1,
        mask: ArrayLike | Tensor | None = None,
        spacing: Sequence[float] | None = None,
        attributes: Sequence[str] = (),
    ) -> None:
        if n_segments < 1:
            raise InputError(f"n_segments={n_segments} must be 1 or more.")
        if not (np.isfinite(compactness) and compactness > 0):
            raise InputError(f"compactness={compactness} must be a positive number.")
        if not np.isfinite(tau):
            raise InputError(f"tau={tau} must be finite.")
        check_superpixel_method(superpixel_method)
        if spacing is not None and not all(np.isfinite(s) and s > 0 for s in spacing):
            raise InputError(f"spacing={tuple(spacing)} must be positive, one number an axis.")
        for name in attributes:
            if name not in attribute.ATTRIBUTES:
                known = ", ".join(attribute.ATTRIBUTES)
                raise InputError(f"attributes: {name!r} is unknown: use some of {known}.")
        self.n_segments = n_segments
        self.compactness = compactness
        self.tau = tau
        self.superpixels = superpixels
        self.superpixel_method = superpixel_method
        self.connectivity = connectivity
        self.mask = mask
        self.spacing = None if spacing is None else tuple(float(s) for s in spacing)
        self.attributes = tuple(attributes)

    def forward(self, data: Tensor | ArrayLike) -> Data:
        """Makes the graph of an image ``(C, H, W)`` or of a volume ``(C, D, H, W)``."""
        image = as_image(data)
        self._check_axes(image)
        labels = self._label(image)
        regions = self._find_regions(image, labels)

        x = attribute.mean_color(regions)
        counts = sum_over_edges(
            labels, regions.boundary, np.ones(regions.boundary.first.size), regions.num_nodes
        )
        edge_index = to_edge_index(counts)
        distance = color_distance(x, edge_index)
        graph = Data(
            x=x,
            pos=attribute.centroid(regions),
            edge_index=edge_index,
            edge_attr=distance.unsqueeze(-1),
            edge_weight=softmax_adjacency(distance, edge_index, regions.num_nodes, self.tau),
            pixel_index=torch.from_numpy(regions.nodes),
            num_nodes=regions.num_nodes,
            image_size=torch.tensor([labels.shape]),
        )
        if self.mask is not None:
            graph.pixel_mask = torch.from_numpy(regions.inside)
        for name in self.attributes:
            graph[name] = attribute.ATTRIBUTES[name](regions)
        return graph

    def _check_axes(self, image: NDArray[np.float32]) -> None:
        ndim = image.ndim - 1
        if not 1 <= self.connectivity <= ndim:
            raise InputError(
                f"connectivity={self.connectivity} must be 1 to {ndim} for this image."
            )
        if self.spacing is not None and len(self.spacing) != ndim:
            raise InputError(f"spacing={self.spacing} must have {ndim} numbers for this image.")

    def _label(self, image: NDArray[np.float32]) -> Labels:
        size = image.shape[1:]
        mask = None if self.mask is None else as_mask(self.mask, size)
        if self.superpixels is not None:
            labels = as_array(self.superpixels)
            if labels.shape != size:
                raise InputError(
                    f"superpixels: size {labels.shape} is not that of the image, {size}; resize "
                    "the label map with nearest-neighbour interpolation."
                )
            return connected_regions(labels, mask, self.connectivity)
        return compute_superpixels(
            image, self.n_segments, self.compactness, self.superpixel_method, self.spacing, mask
        )

    def _find_regions(self, image: NDArray[np.float32], labels: Labels) -> attribute.Regions:
        return attribute.Regions(
            image=image,
            labels=labels,
            num_nodes=int(labels.max()) + 1,
            boundary=find_boundary(labels, self.connectivity),
            offsets=np.asarray(half_neighborhood(labels.ndim, self.connectivity)),
            spacing=np.asarray(self.spacing or (1.0,) * labels.ndim),
        )

    def __repr__(self) -> str:
        names = ["n_segments", "compactness", "tau", "superpixel_method"]
        if self.superpixels is not None:
            names = ["superpixels", "tau"]
        defaults = {"connectivity": 1, "mask": None, "spacing": None, "attributes": ()}
        names += [name for name, value in defaults.items() if getattr(self, name) is not value]
        shown = ", ".join(
            f"{name}=..." if name in ("superpixels", "mask") else f"{name}={getattr(self, name)!r}"
            for name in names
        )
        return f"{type(self).__name__}({shown})"
