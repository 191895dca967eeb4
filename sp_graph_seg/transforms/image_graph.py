"""ImageGraph: a PyG ``Data`` that knows which fields belong to the pixels or to the image."""

from typing import Any

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Data
from torch_geometric.data.storage import GlobalStorage

#: Fields that belong neither to the nodes nor to the edges, whatever their length.
OF_THE_IMAGE = frozenset({"image_size", "name", "pixel_index", "pixel_mask"})


class _ImageStorage(GlobalStorage):
    """Tells PyG's transforms and loaders which fields belong to the nodes and the edges."""

    def is_node_attr(self, key: str) -> bool:
        return key not in OF_THE_IMAGE and super().is_node_attr(key)

    def is_edge_attr(self, key: str) -> bool:
        return key not in OF_THE_IMAGE and super().is_edge_attr(key)


class ImageGraph(Data):
    """The graph of an image: a :class:`~torch_geometric.data.Data` that our transforms make.

    PyG recognises attributes of nodes and edges by their length. If an image had as many pixels as
    edges, PyG's transforms would sort ``pixel_index`` like an edge attribute. This class therefore
    treats ``pixel_index``, ``pixel_mask``, ``image_size`` and ``name`` as neither. If a graph has
    as many nodes as edges, PyG goes by the names, so every edge attribute here is named
    ``edge_...``; name yours likewise. One ambiguity remains: if a graph has one node, PyG cannot
    tell a label of the image, ``y (1,)``, from a label of the node.

    :meth:`subgraph` updates ``pixel_index`` and ``pixel_mask``.
    """

    pixel_index: Tensor
    pixel_mask: Tensor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mapping = self._store.to_dict()
        self.__dict__["_store"] = _ImageStorage(_parent=self)
        self._store._mapping.update(mapping)

    def subgraph(self, subset: Tensor) -> "ImageGraph":
        """Returns the subgraph of some nodes; the pixels of all other nodes leave ``pixel_mask``.

        Args:
            subset: Ids of the nodes to keep, or bool ``(N,)``.
        """
        part = super().subgraph(subset)
        kept = subset.nonzero()[:, 0] if subset.dtype == torch.bool else subset
        number = kept.new_full((self.num_nodes,), -1)
        number[kept] = torch.arange(len(kept), device=kept.device)
        part.renumber_pixels(number)
        return part

    def renumber_pixels(self, number: Tensor) -> None:
        """Gives the pixels the new ids of their nodes, in place; no-op without ``pixel_index``.

        Args:
            number: The new id of each node, ``(N,)``; -1 for a removed node.
        """
        if "pixel_index" not in self:
            return
        nodes = number[self.pixel_index]
        inside = nodes >= 0
        if "pixel_mask" in self:
            inside = torch.zeros_like(self.pixel_mask).masked_scatter_(self.pixel_mask, inside)
        self.pixel_index, self.pixel_mask = nodes[nodes >= 0], inside

    def sorted_edge_index(self) -> EdgeIndex:
        """Returns ``edge_index`` as an ``EdgeIndex`` marked as sorted, for faster PyG layers.

        Raises:
            ValueError: If the edges are not sorted by target, or not undirected.
        """
        size = (self.num_nodes, self.num_nodes)
        edges = EdgeIndex(self.edge_index, sparse_size=size, sort_order="col", is_undirected=True)
        return edges.validate()


# PyG loads only classes that are registered, such as its own.
torch.serialization.add_safe_globals([ImageGraph])
