"""The transform ToRAG, which converts an image to the region adjacency graph of its superpixels."""

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor
from torch_geometric.data.datapipes import functional_transform

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.adjacency import find_boundary, find_edges, half_neighborhood
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
    """Converts an image to the region adjacency graph (RAG) of its superpixels (functional name:
    :obj:`to_rag`), after `"Unsupervised Few-Shot Image Segmentation with Dense Feature Learning and
    Sparse Clustering" <https://doi.org/10.5220/0012380700003660>`_ (Leng et al., VISAPP 2024).

    The input is an image ``(C, H, W)`` or a volume ``(C, D, H, W)``. It may be a tensor or an
    array. Its values must lie in [0, 1], or be unsigned integers, which are divided by the largest
    value of their type. The input may also be a :class:`~torch_geometric.data.Data` with such an
    ``image`` and optionally with ``mask``, ``superpixels`` and ``y``.

    The output is an :class:`~sp_graph_seg.transforms.ImageGraph` on the CPU with these fields:

    * ``x (N, C)``: the mean colour of each superpixel.
    * ``pos (N, ndim)``: the centroid of each superpixel. The coordinates are in the order of the
      image's axes, such as row and column, and are multiplied by the spacing.
    * ``edge_index (2, E)``: all pairs of superpixels that touch, in both directions. There are no
      self-loops and no duplicates. The edges are sorted by target (second row), then by source.
      ``EdgeIndex(edge_index, sort_order="col", is_undirected=True)`` therefore needs no sorting.
    * ``edge_attr (E, 1)``: the distance d of the colours of the two superpixels (Eq. 2).
    * ``edge_weight (E,)``: the affinity exp(tau d), or the softmax if the parameter ``edge_weight``
      is ``"softmax"``.
    * ``pixel_index (P,)``: the node of each pixel that belongs to a node. The pixels are in the
      order of the flattened image (C order). If several graphs are joined in a ``Batch``, PyG
      adds an offset to these node ids. It does so with every field whose name contains ``index``.
    * ``pixel_mask (H*W,)``: true for the P pixels that belong to a node. Without a mask, these are
      all pixels. (``pixel_index`` does not use -1 for the other pixels, because the offset of a
      ``Batch`` would turn -1 into the id of a node.)
    * ``image_size (1, ndim)``: H and W, or D, H and W.
    * A field for each attribute in ``attributes``, under the name of the attribute.

    Args:
        n_segments: Wanted number of superpixels. (default: :obj:`4000`)
        compactness: Weight of distances in space against differences of colour. A larger value
            makes more compact superpixels. (default: :obj:`10.0`)
        tau: Temperature of the edge weights. For affinities, it must be below 0. The default for
            affinities is the value that the N-Cut loss uses. Neighbours whose colours differ by
            less than about 0.1 then get a large weight, and all others get a small weight. (The
            median distance of neighbours in a photograph is 0.03 to 0.16.) The default does not
            depend on the image, so the weights of different images are comparable. For the softmax,
            the most similar neighbours weigh most if tau is below 0. If tau is 0, all neighbours
            weigh the same. If tau is above 0, the most different neighbours weigh most.
            (default: :obj:`-10.0` for affinities, :obj:`1.0` for the softmax)
        superpixels: A label map of the image's size, with any non-negative integers, to use instead
            of computed superpixels. Each connected component of the label map becomes a node, so
            two components with the same id become two nodes. The nodes are numbered in scan order.
            (default: :obj:`None`)
        superpixel_method: Algorithm that makes the superpixels, one of
            :data:`~sp_graph_seg.transforms.SUPERPIXEL_METHODS`. (default: :obj:`"slic"`)
        connectivity: Which pixels are neighbours. With 1, neighbours share a face. With 2, they may
            share only a corner in an image, or only an edge in a volume. With 3, which is for
            volumes only, they may share only a corner. (default: :obj:`1`)
        edge_weight: ``"affinity"`` or ``"softmax"``. Affinities are symmetric and largest for
            similar neighbours, as PyG's layers expect. ``"softmax"`` is the softmax of tau times
            the colour distance over all neighbours of the target node (Eq. 8), as in the paper's
            continuity loss. (default: :obj:`"affinity"`)
        mask: True for the pixels that belong to nodes, of the image's size. The values of all other
            pixels are ignored. (default: :obj:`None`)
        spacing: Size of a pixel along each axis, for anisotropic volumes. (default: :obj:`None`)
        attributes: Further attributes: names of functions in
            :mod:`sp_graph_seg.transforms.attributes`, or your own functions.
            (default: :obj:`()`)

    Raises:
        InputError: If a parameter is out of its range. A call of the transform also raises it if
            the image has a wrong number of axes, is empty, or has NaN or Inf inside the mask, if
            the size of the label map or the mask differs from the size of the image, or if the
            image looks like a batch ``(B, C, H, W)``. It does if it has four axes, of which the
            second has length 1 or 3, and no ``spacing``, mask or label map says that it is a
            volume.

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
                f"connectivity={self.connectivity} does not fit this image; use a number from 1 to "
                f"{ndim}."
            )
        labels = self._label(given)
        num_nodes = int(labels.max()) + 1
        return NodePixels(
            image=given.image,
            labels=labels,
            num_nodes=num_nodes,
            offsets=np.asarray(half_neighborhood(ndim, self.connectivity)),
            find_boundary=partial(find_boundary, labels, self.connectivity),
            find_edges=partial(find_edges, labels, num_nodes, self.connectivity),
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
                f"superpixels: size {labels.shape} differs from the image size {image.shape[1:]}; "
                "resize the label map with nearest-neighbour interpolation."
            )
        return connected_components(labels, mask, self.connectivity)

    def _shown(self) -> list[str]:
        names = ["n_segments", "compactness", "superpixel_method"]
        if self.superpixels is not None:
            names = ["superpixels"]
        return names if self.connectivity == 1 else [*names, "connectivity"]
