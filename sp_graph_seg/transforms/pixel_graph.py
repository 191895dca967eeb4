"""ToPixelGraph: an image or a volume becomes a graph with one node a pixel."""

import itertools

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.arrays import as_image, as_mask
from sp_graph_seg.transforms.weights import color_distance, softmax_adjacency


@functional_transform("to_pixel_graph")
class ToPixelGraph(BaseTransform):
    r"""Converts an image to a graph with one node a pixel or voxel (functional name:
    :obj:`to_pixel_graph`), on which the sparse losses of `"Unsupervised Few-Shot Image Segmentation
    with Dense Feature Learning and Sparse Clustering"
    <https://doi.org/10.5220/0012380700003660>`_ are its dense ones (Eqs. 1 to 3).

    Called on an image ``(C, H, W)`` or a volume ``(C, D, H, W)``, it returns a
    :class:`~torch_geometric.data.Data` with the fields of :class:`~sp_graph_seg.transforms.ToRAG`.
    Pixels closer to each other than or as close as the radius are neighbours.

    Args:
        radius: Radius of the neighbourhood in pixels: 1 joins pixels that share a face, 1.5 also
            those that share a corner in 2D; Xia & Kulis 2017 take 5. (default: :obj:`1.0`)
        tau: Temperature of the edge weights, as in ``ToRAG``. (default: :obj:`1.0`)
        mask: True where there is something to segment, of the image's size; other pixels are no
            nodes. (default: :obj:`None`)

    Raises:
        InputError: For a parameter out of its range; when called, for an image that is not
            ``(C, H, W)`` or ``(C, D, H, W)``, is empty or holds NaN or Inf, or a mask of another
            size.

    Example:
        >>> ToPixelGraph()(torch.rand(3, 2, 2)).edge_index
        tensor([[1, 2, 0, 3, 0, 3, 1, 2],
                [0, 0, 1, 1, 2, 2, 3, 3]])
    """

    def __init__(
        self, radius: float = 1.0, tau: float = 1.0, mask: ArrayLike | Tensor | None = None
    ) -> None:
        if not (np.isfinite(radius) and radius >= 1):
            raise InputError(f"radius={radius} joins no pixels: use 1 or more.")
        if not np.isfinite(tau):
            raise InputError(f"tau={tau} must be finite.")
        self.radius = radius
        self.tau = tau
        self.mask = mask

    def forward(self, data: Tensor | ArrayLike) -> Data:
        """Makes the graph of an image ``(C, H, W)`` or of a volume ``(C, D, H, W)``."""
        image = as_image(data)
        size = image.shape[1:]
        mask = None if self.mask is None else as_mask(self.mask, size)
        inside = np.ones(size, dtype=bool) if mask is None else mask
        pixels = np.flatnonzero(inside)
        x = torch.from_numpy(image.reshape(image.shape[0], -1)[:, pixels].T.copy())
        edge_index = torch.from_numpy(_neighbors(inside, self.radius))
        distance = color_distance(x, edge_index)
        graph = Data(
            x=x,
            pos=torch.from_numpy(np.stack(np.unravel_index(pixels, size), axis=1)).float(),
            edge_index=edge_index,
            edge_attr=distance.unsqueeze(-1),
            edge_weight=softmax_adjacency(distance, edge_index, len(x), self.tau),
            pixel_index=torch.arange(len(x)),
            num_nodes=len(x),
            image_size=torch.tensor([size]),
        )
        if mask is not None:
            graph.pixel_mask = torch.from_numpy(mask.ravel())
        return graph

    def __repr__(self) -> str:
        return f"{type(self).__name__}(radius={self.radius}, tau={self.tau})"


def _neighbors(inside: NDArray[np.bool_], radius: float) -> NDArray[np.int64]:
    """The edges between pixels inside, ``(2, E)``, sorted by target and then by source."""
    reach = range(-int(radius), int(radius) + 1)
    offsets = np.array(list(itertools.product(reach, repeat=inside.ndim)))  # in C order
    length = np.linalg.norm(offsets, axis=1)
    offsets = offsets[(length > 0) & (length <= radius)]
    # A frame of outside pixels as wide as the radius makes every neighbour's flat index valid.
    framed = np.pad(inside, int(radius)).ravel()
    shape = np.asarray(inside.shape) + 2 * int(radius)
    strides = np.append(np.cumprod(shape[:0:-1])[::-1], 1)
    targets = np.flatnonzero(framed)  # (N,)
    sources = targets[:, None] + offsets @ strides  # (N, K), ascending in each row
    exists = framed[sources]
    node = np.cumsum(framed) - 1
    counts = exists.sum(axis=1)
    return np.stack([node[sources[exists]], np.repeat(np.arange(len(targets)), counts)])
