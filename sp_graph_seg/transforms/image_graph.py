"""The class :class:`ImageGraph`, a PyG ``Data`` with fields for the pixels of an image."""

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
    """The graph of an image, a :class:`~torch_geometric.data.Data` with fields for its pixels.

    PyG recognises the attributes of nodes and edges by their length. If an image has as many pixels
    as the graph has edges, PyG would treat ``pixel_index`` as an edge attribute and sort it. This
    class prevents that: ``pixel_index``, ``pixel_mask``, ``image_size`` and ``name`` are never
    treated as attributes of nodes or edges.

    If a graph has as many nodes as edges, PyG looks at the name of an attribute. The names of all
    edge attributes should therefore begin with ``edge_``, as they do in ``ToRAG``. One ambiguity
    remains. If a graph has one node, PyG cannot tell whether ``y (1,)`` is a label of the image or
    of the node.

    The method :meth:`subgraph` updates ``pixel_index`` and ``pixel_mask``.
    """

    pixel_index: Tensor
    pixel_mask: Tensor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mapping = self._store.to_dict()
        self.__dict__["_store"] = _ImageStorage(_parent=self)
        self._store._mapping.update(mapping)

    def subgraph(self, subset: Tensor) -> "ImageGraph":
        """Returns the subgraph that contains only the given nodes.

        In its ``pixel_mask``, the pixels of all other nodes are false.

        Args:
            subset: Ids of the nodes to keep, or a boolean for each node, ``(N,)``.
        """
        part = super().subgraph(subset)
        kept = subset.nonzero()[:, 0] if subset.dtype == torch.bool else subset
        number = kept.new_full((self.num_nodes,), -1)
        number[kept] = torch.arange(len(kept), device=kept.device)
        part.renumber_pixels(number)
        return part

    def renumber_pixels(self, number: Tensor) -> None:
        """Replaces the node of each pixel by its new id, in place.

        The pixels of removed nodes become false in ``pixel_mask``. A graph without ``pixel_index``
        stays unchanged.

        Args:
            number: The new id of each node, ``(N,)``. It is -1 for a removed node.
        """
        if "pixel_index" not in self:
            return
        nodes = number[self.pixel_index]
        inside = nodes >= 0
        if "pixel_mask" in self:
            inside = torch.zeros_like(self.pixel_mask).masked_scatter_(self.pixel_mask, inside)
        self.pixel_index, self.pixel_mask = nodes[nodes >= 0], inside

    def sorted_edge_index(self) -> EdgeIndex:
        """Returns ``edge_index`` as a PyG ``EdgeIndex`` that is marked as sorted.

        Many PyG layers are faster with such an ``EdgeIndex``.

        Raises:
            ValueError: If the edges are not sorted by target, or an edge is stored in one direction
                only.
        """
        size = (self.num_nodes, self.num_nodes)
        edges = EdgeIndex(self.edge_index, sparse_size=size, sort_order="col", is_undirected=True)
        return edges.validate()


# PyG loads only classes that are registered, such as its own.
torch.serialization.add_safe_globals([ImageGraph])
