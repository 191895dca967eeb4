"""Clustering heads: graph networks between the node means of z and the losses."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import APPNP, GATv2Conv, GCNConv, GraphConv, TransformerConv

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn.head_call import call_head

#: The function that makes a layer of F features, by name.
_LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "gcn": lambda size: GCNConv(size, size),
    "gat": lambda size: GATv2Conv(size, size, edge_dim=1),
    "graph": lambda size: GraphConv(size, size, aggr="mean"),
    "transformer": lambda size: TransformerConv(size, size, edge_dim=1),
}

#: Steps of APPNP and the share of its input in each; those of Klicpera et al. 2019.
_STEPS, _START = 10, 0.1


def make_head(name: str, num_features: int, num_layers: int = 2) -> nn.Module | None:
    r"""Makes a clustering head by its name, for :class:`~sp_graph_seg.nn.SuperpixelNet`.

    ``"appnp"`` has no weights: it smooths the features along the affinities (Klicpera et al. 2019),
    so that it cannot satisfy the losses by itself. It is the only one here that has been measured
    to improve the labels of photographs. The others are layers of ``num_features`` input and output
    channels in residual form,

    .. math::
        x' = x + g_L(\ldots g_1(x)), \qquad g_l(h) = \mathrm{conv}_l(\mathrm{ELU}(\mathrm{norm}(h)))

    without the ELU in the first layer.

    Args:
        name: ``"identity"`` (the paper: no head, ``None`` is returned), ``"appnp"`` (``APPNP``),
            ``"gcn"`` (``GCNConv``), ``"gat"`` (``GATv2Conv``), ``"graph"`` (``GraphConv``, mean:
            GraphSAGE with weights) or ``"transformer"`` (``TransformerConv``).
        num_features: Number of features F.
        num_layers: Number of graph convolutions; ``"appnp"`` always takes ten steps.

    Returns:
        A module that is called as ``head(x, edge_index, edge_weight)``.

    Raises:
        InputError: If the name is unknown or the number of layers is below 1.
    """
    if name == "identity":
        return None
    if name == "appnp" and num_layers >= 1:
        return APPNP(_STEPS, _START)
    if name not in _LAYERS or num_layers < 1:
        raise InputError(
            f"head={name!r} with {num_layers} layers is unknown; use identity, appnp, "
            f"{', '.join(_LAYERS)} and 1 layer or more."
        )
    return _Residual([_LAYERS[name](num_features) for _ in range(num_layers)], num_features)


class _Residual(nn.Module):
    """Graph convolutions one after the other, added to their input.

    PyG's ``Sequential`` is not used, because it draws from Python's global random state, which
    affects the rest of the user's program, and leaves a file behind.
    """

    def __init__(self, layers: list[nn.Module], num_features: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.LayerNorm(num_features) for _ in layers)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        h = x
        for number, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True)):
            h = norm(h) if number == 0 else F.elu(norm(h))
            h = call_head(layer, h, edge_index, edge_weight)
        return x + h
