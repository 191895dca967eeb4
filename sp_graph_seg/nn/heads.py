"""Clustering heads: graph networks between the node means of z and the losses."""

from collections.abc import Callable

from torch import nn
from torch_geometric.nn import GATv2Conv, GCNConv, GraphConv, Sequential, TransformerConv

from sp_graph_seg.errors import InputError

_WEIGHTED = "x, edge_index, edge_weight -> x"
_UNWEIGHTED = "x, edge_index -> x"

_LAYERS: dict[str, tuple[Callable[[int], nn.Module], str]] = {
    "gcn": (lambda size: GCNConv(size, size), _WEIGHTED),
    "gat": (lambda size: GATv2Conv(size, size, edge_dim=1), _WEIGHTED),
    "graph": (lambda size: GraphConv(size, size, aggr="mean"), _WEIGHTED),
    "transformer": (lambda size: TransformerConv(size, size), _UNWEIGHTED),
}


def make_head(name: str, num_features: int, num_layers: int = 2) -> nn.Module | None:
    """A clustering head by its name, for :class:`~sp_graph_seg.nn.SuperpixelNet`.

    Layers have ``num_features`` channels in and out, with ELU and a normalisation over the nodes'
    features between them.

    Args:
        name: ``"identity"`` (the paper: no head, ``None`` is returned), ``"gcn"`` (``GCNConv``),
            ``"gat"`` (``GATv2Conv``), ``"graph"`` (``GraphConv``, mean) or ``"transformer"``
            (``TransformerConv``, which ignores the edge weights).
        num_features: Number of features F.
        num_layers: Number of graph convolutions.

    Returns:
        A module called as ``head(x, edge_index, edge_weight)``.

    Raises:
        InputError: If the name is unknown or there are no layers.
    """
    if name == "identity":
        return None
    if name not in _LAYERS or num_layers < 1:
        raise InputError(
            f"head={name!r} with {num_layers} layers is unknown: use identity, "
            f"{', '.join(_LAYERS)} and 1 layer or more."
        )
    make, signature = _LAYERS[name]
    layers: list[nn.Module | tuple[nn.Module, str]] = [(make(num_features), signature)]
    for _ in range(num_layers - 1):
        layers += [nn.LayerNorm(num_features), nn.ELU(), (make(num_features), signature)]
    return Sequential("x, edge_index, edge_weight", layers)
