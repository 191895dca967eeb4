"""Clustering heads: graph networks between the node means of z and the losses."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, GCNConv, GraphConv, TransformerConv

from sp_graph_seg.errors import InputError

#: The function that makes a layer, by name, and whether the layer takes edge weights.
_LAYERS: dict[str, tuple[Callable[[int], nn.Module], bool]] = {
    "gcn": (lambda size: GCNConv(size, size), True),
    "gat": (lambda size: GATv2Conv(size, size, edge_dim=1), True),
    "graph": (lambda size: GraphConv(size, size, aggr="mean"), True),
    "transformer": (lambda size: TransformerConv(size, size), False),
}


def make_head(name: str, num_features: int, num_layers: int = 2) -> nn.Module | None:
    """Makes a clustering head by its name, for :class:`~sp_graph_seg.nn.SuperpixelNet`.

    Layers have ``num_features`` input and output channels, with ELU and a normalisation of the node
    features between them.

    Args:
        name: ``"identity"`` (the paper: no head, ``None`` is returned), ``"gcn"`` (``GCNConv``),
            ``"gat"`` (``GATv2Conv``), ``"graph"`` (``GraphConv``, mean) or ``"transformer"``
            (``TransformerConv``, which ignores the edge weights).
        num_features: Number of features F.
        num_layers: Number of graph convolutions.

    Returns:
        A module that is called as ``head(x, edge_index, edge_weight)``.

    Raises:
        InputError: If the name is unknown or the number of layers is below 1.
    """
    if name == "identity":
        return None
    if name not in _LAYERS or num_layers < 1:
        raise InputError(
            f"head={name!r} with {num_layers} layers is unknown; use identity, "
            f"{', '.join(_LAYERS)} and 1 layer or more."
        )
    make, is_weighted = _LAYERS[name]
    return _Stack([make(num_features) for _ in range(num_layers)], num_features, is_weighted)


class _Stack(nn.Module):
    """Graph convolutions one after the other.

    PyG's ``Sequential`` is not used, because it draws from Python's global random state, which
    affects the rest of the user's program, and leaves a file behind.
    """

    def __init__(self, layers: Sequence[nn.Module], num_features: int, is_weighted: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.LayerNorm(num_features) for _ in layers[1:])
        self.is_weighted = is_weighted

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        graph = (edge_index, edge_weight) if self.is_weighted else (edge_index,)
        first, *others = self.layers
        x = first(x, *graph)
        for norm, layer in zip(self.norms, others, strict=True):
            x = layer(F.elu(norm(x)), *graph)
        return x
