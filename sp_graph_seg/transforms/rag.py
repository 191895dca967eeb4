"""ToRAG: converts an image or a volume to the region adjacency graph of its superpixels."""

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor
from torch_geometric.data.datapipes import functional_transform

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.adjacency import find_boundary, half_neighborhood
from sp_graph_seg.transforms.arrays import as_array
from sp_graph_seg.transforms.attributes import Attribute, NodePixels
from sp_graph_seg.transforms.image_transform import EdgeWeight, Given, ImageTransform
from sp_graph_seg.transforms.superpixels import (
    Labels,
    check_n_segments,
    check_superpixel_method,
    compute_superpixels,
    connected_components,
)


@functional_transform("to_rag")
class ToRAG(ImageTransform):
    r"""Converts an image to the region adjacency graph (RAG) of its superpixels (functional name:
    :obj:`to_rag`), after `"Unsupervised Few-Shot Image Segmentation with Dense Feature Learning and
    Sparse Clustering" <https://doi.org/10.5220/0012380700003660>`_ (Leng et al., VISAPP 2024).

    It takes an image ``(C, H, W)`` or a volume ``(C, D, H, W)``, a tensor or an array with values
    in [0, 1] (unsigned integers are divided by the largest value of their type), or a
    :class:`~torch_geometric.data.Data` with such an ``image`` and optionally ``mask``,
    ``superpixels`` and ``y``. It returns an :class:`~sp_graph_seg.transforms.ImageGraph` on the CPU
    with these fields:

    * ``x (N, C)``: mean colour of each superpixel;
    * ``pos (N, ndim)``: its centroid in the order of the image's axes (row, column), times spacing;
    * ``edge_index (2, E)``: pairs of superpixels that touch, both directions, no self-loops,
      coalesced, sorted by target (second row), then by source, so that
      ``EdgeIndex(edge_index, sort_order="col", is_undirected=True)`` needs no further work;
    * ``edge_attr (E, 1)``: distance d of the colours of both ends (Eq. 2);
    * ``edge_weight (E,)``: affinity exp(tau d), or the weight that the parameter ``edge_weight``
      selects;
    * ``pixel_index (P,)``: node of each pixel, the image flattened in C order. ``Batch`` shifts it
      to the nodes of the batch, as it does with every key that contains ``index``;
    * ``pixel_mask (H*W,)``: true for the P pixels of ``pixel_index``; without a mask, for all.
      (Masked pixels are not -1 in ``pixel_index``, because ``Batch`` would shift it to a node.)
    * ``image_size (1, ndim)``: H, W, or D, H, W;
    * every requested attribute under its own name.

    Args:
        n_segments: Wanted number of superpixels. (default: :obj:`4000`)
        compactness: Weight of space against colour in the superpixels. (default: :obj:`10.0`)
        tau: Temperature of the edge weights. For affinities it must be below 0. The default is the
            one of the N-Cut loss: it separates neighbours that differ by less than about 0.1 from
            others (the median distance over the edges of a photograph is 0.03 to 0.16). It is the
            same for all images, so that their weights are comparable. For the softmax: below 0 the
            most similar neighbours weigh most, at 0 all weigh the same, above 0 the most different
            weigh most.
            (default: :obj:`-10.0` for affinities, :obj:`1.0` for the softmax)
        superpixels: A label map of the image's size, with any non-negative integers, to use instead
            of computed superpixels. Nodes are its connected components, numbered in scan order:
            two components with the same id become two nodes. (default: :obj:`None`)
        superpixel_method: Algorithm that makes the superpixels, one of
            :data:`~sp_graph_seg.transforms.SUPERPIXEL_METHODS`. (default: :obj:`"slic"`)
        connectivity: Which pixels are neighbours: those that share a face (1), at least an edge (2)
            or at least a corner (3; 2 in an image). (default: :obj:`1`)
        edge_weight: ``"affinity"``, symmetric and largest for similar neighbours, as PyG's layers
            expect, or ``"softmax"``, the softmax of tau times the distance over the neighbours of
            the target (Eq. 8), as in the paper's continuity loss.
            (default: :obj:`"affinity"`)
        mask: True for the pixels that belong to nodes, of the image's size; the values of the
            others are ignored. (default: :obj:`None`)
        spacing: Size of a pixel along each axis, for anisotropic volumes. (default: :obj:`None`)
        attributes: Further attributes: names of functions in
            :mod:`sp_graph_seg.transforms.attributes`, or functions of your own.
            (default: :obj:`()`)

    Raises:
        InputError: If a parameter is out of its range. When called, if the image has another number
            of axes, is empty, looks like a batch or has NaN or Inf inside the mask, or if the size
            of the label map or the mask differs from that of the image.

    Example:
        >>> import torch
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
        tau: float | None = None,
        superpixels: ArrayLike | Tensor | None = None,
        *,
        superpixel_method: str = "slic",
        connectivity: int = 1,
        edge_weight: EdgeWeight = "affinity",
        mask: ArrayLike | Tensor | None = None,
        spacing: Sequence[float] | None = None,
        attributes: Iterable[str | Attribute] = (),
    ) -> None:
        check_n_segments(n_segments)
        if not (np.isfinite(compactness) and compactness > 0):
            raise InputError(f"compactness={compactness} is not positive; use a number above 0.")
        check_superpixel_method(superpixel_method)
        super().__init__(edge_weight, tau, mask, spacing, attributes)
        self.n_segments = n_segments
        self.compactness = compactness
        self.superpixels = superpixels
        self.superpixel_method = superpixel_method
        self.connectivity = connectivity

    def _node_pixels(self, given: Given) -> NodePixels:
        ndim = given.image.ndim - 1
        if not 1 <= self.connectivity <= ndim:
            raise InputError(
                f"connectivity={self.connectivity} does not fit this image; use 1 to {ndim}."
            )
        labels = self._label(given)
        return NodePixels(
            image=given.image,
            labels=labels,
            num_nodes=int(labels.max()) + 1,
            offsets=np.asarray(half_neighborhood(ndim, self.connectivity)),
            find_boundary=partial(find_boundary, labels, self.connectivity),
            spacing=self._spacing_of(given),
            edge_map=given.edge_map,
        )

    def _label(self, given: Given) -> Labels:
        image, mask, superpixels, _ = given
        if superpixels is None:
            return compute_superpixels(
                image, self.n_segments, self.compactness, self.superpixel_method, self.spacing, mask
            )
        labels = as_array(superpixels, "superpixels")
        if labels.shape != image.shape[1:]:
            raise InputError(
                f"superpixels: size {labels.shape} differs from that of the image, "
                f"{image.shape[1:]}; resize the label map with nearest-neighbour interpolation."
            )
        return connected_components(labels, mask, self.connectivity)

    def _shown(self) -> list[str]:
        names = ["n_segments", "compactness", "superpixel_method"]
        if self.superpixels is not None:
            names = ["superpixels"]
        return names if self.connectivity == 1 else [*names, "connectivity"]
