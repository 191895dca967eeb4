"""Heads: graph networks that refine the mean features of the nodes for the losses."""

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

#: Number of steps of APPNP, and the share of its input in each, as in Klicpera et al. 2019.
_STEPS, _START = 10, 0.1


def make_head(name: str, num_features: int, num_layers: int = 2) -> nn.Module | None:
    r"""Makes a head by its name, for :class:`~sp_graph_seg.nn.SuperpixelNet`.

    ``"appnp"`` averages the features of neighbours, weighted by affinity (Klicpera et al. 2019). It
    has no weights to train, so training can lower the losses only by changing the encoder. In tests
    on photographs, it was the only head of this function that improved the labels. The other heads
    add the output of L graph convolutions to the input:

    .. math::
        x' = x + g_L(\ldots g_1(x)), \qquad g_l(h) = \mathrm{conv}_l(\mathrm{ELU}(\mathrm{norm}(h)))

    Here conv is a graph convolution with ``num_features`` input and output channels, and norm is a
    layer normalisation. The first layer has no ELU.

    Args:
        name: ``"identity"`` makes no head, as in the paper. The other names each use a layer of
            PyG: ``"appnp"`` (``APPNP``), ``"gcn"`` (``GCNConv``), ``"gat"`` (``GATv2Conv``),
            ``"graph"`` (``GraphConv`` with mean aggregation, which is GraphSAGE with edge weights)
            and ``"transformer"`` (``TransformerConv``).
        num_features: Number of features F.
        num_layers: Number of graph convolutions L. It has no effect on ``"appnp"``, which always
            takes ten steps.

    Returns:
        A module that is called as ``head(x, edge_index, edge_weight)``, or ``None`` if the name is
        ``"identity"``.

    Raises:
        InputError: If the name is unknown or the number of layers is below 1.
    """
    if name == "identity":
        return None
    if name == "appnp" and num_layers >= 1:
        return APPNP(_STEPS, _START)
    if name != "appnp" and name not in _LAYERS:
        known = ", ".join(["identity", "appnp", *_LAYERS])
        raise InputError(f"head={name!r} is unknown; use one of {known}.")
    if num_layers < 1:
        raise InputError(f"num_layers={num_layers} is too small for a head; use 1 or more.")
    return _Residual([_LAYERS[name](num_features) for _ in range(num_layers)], num_features)


class _Residual(nn.Module):
    """A chain of graph convolutions. The output of the chain is added to its input.

    PyG's ``Sequential`` is not used, because it leaves a temporary file behind. It also draws from
    Python's global random state, which changes later random numbers of the user's program.
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
