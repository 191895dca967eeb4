"""Calls a head with the arguments that its signature names, so layers of PyG can be heads."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import Sequential

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn.propagate import plain_edges

#: The arguments that a head may name.
HEAD_INPUTS = ("x", "edge_index", "edge_weight", "edge_attr", "pos", "color", "batch", "data")


def call_head(
    head: nn.Module, x: Tensor, edge_index: Tensor, edge_weight: Tensor, **fields: Tensor | None
) -> Tensor:
    """Calls a head with the fields of a graph that are arguments of its ``forward`` method.

    Each argument gets the field of the same name. The first argument gets ``x`` if its name is not
    in :data:`HEAD_INPUTS`. An argument ``data`` gets all fields as a
    :class:`torch_geometric.data.Data`. An optional argument is passed only if the graph has the
    field. If the graph has no ``edge_attr``, the edge weights are passed as ``edge_attr``, in one
    column. An optional ``edge_attr`` is left out if the head contains layers with an attribute
    ``edge_dim`` and ``edge_dim`` is ``None`` in all of them.

    Args:
        head: A module, such as a layer or a model of PyG.
        x: Node features, ``(N, F)``.
        edge_index: Edges, ``(2, E)``.
        edge_weight: Edge weights, ``(E,)``.
        fields: Other fields of the graph: ``edge_attr (E, D)``, ``pos (N, 2)`` or ``(N, 3)``,
            ``color (N, C)`` and ``batch (N,)``. A field that is ``None`` counts as missing.

    Returns:
        The result of the head, ``(N, F')``.

    Raises:
        InputError: If the head requires an argument that the graph does not have, or takes
            arguments without names (``*args``).
    """
    graph = {"x": x, "edge_index": plain_edges(edge_index), "edge_weight": edge_weight, **fields}
    graph = {name: value for name, value in graph.items() if value is not None}
    graph.setdefault("edge_attr", edge_weight.unsqueeze(-1))
    wants_edge_attr = _wants_edge_attr(head)
    arguments: dict[str, Any] = {}
    for name, parameter, is_required in _parameters(head):
        if name == "data":
            arguments[parameter] = Data(**graph)
        elif is_required and name not in graph:
            raise InputError(
                f"head: {type(head).__name__} needs {name!r}, which the graph does not have; use "
                f"a head that needs only arguments from this list: {', '.join(graph)}."
            )
        elif name in graph and (is_required or name != "edge_attr" or wants_edge_attr):
            arguments[parameter] = graph[name]
    if isinstance(head, Sequential):
        return head(*arguments.values())  # a copy has lost the names
    return head(**arguments)


def check_head(
    head: nn.Module,
    num_features: int,
    *,
    edge_dim: int | None = None,
    pos_dim: int | None = None,
    color_dim: int | None = None,
    has_batch: bool = False,
) -> int:
    """Checks a head by calling it with :func:`call_head` on a graph of three nodes.

    Lazy layers get their sizes in this call. Nothing else in the head changes, and the global
    random state does not change.

    Args:
        head: A module, such as a layer or a model of PyG.
        num_features: Number of features F of a node.
        edge_dim: Number of columns of ``edge_attr``; ``None`` if the graphs will not have it.
        pos_dim: Number of columns of ``pos``; ``None`` if the graphs will not have it.
        color_dim: Number of columns of ``color``; ``None`` if the graphs will not have it.
        has_batch: Whether the graphs will have ``batch``.

    Returns:
        The number of features F' that the head returns for each node.

    Raises:
        InputError: If the head cannot be called, or does not return a floating-point tensor
            ``(N, F')``.
    """
    name = type(head).__name__
    some = next((p for p in head.parameters() if p.is_floating_point()), torch.empty(0))
    like = torch.empty(0, dtype=some.dtype, device=some.device)  # lazy weights have no size
    edge_index = torch.tensor([[1, 0, 2, 1], [0, 1, 1, 2]], device=some.device)
    x, weight = like.new_zeros(3, num_features), like.new_ones(4)
    fields = {
        "edge_attr": None if edge_dim is None else like.new_zeros(4, edge_dim),
        "pos": None if pos_dim is None else like.new_zeros(3, pos_dim),
        "color": None if color_dim is None else like.new_zeros(3, color_dim),
        "batch": like.new_zeros(3, dtype=torch.long) if has_batch else None,
    }
    with _as_it_is(head), torch.no_grad():
        try:
            out: Any = call_head(head, x, edge_index, weight, **fields)
        except InputError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"head: {name} cannot be called on nodes of {num_features} features ({reason}); "
                f"use a head for {num_features} features, or wrap this head in a module with "
                "the method forward(x, edge_index, edge_weight)."
            ) from error
    shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
    if len(shape) != 2 or shape[0] != 3 or not out.is_floating_point():
        raise InputError(
            f"head: {name} returned {shape} for 3 nodes; use a head that returns a floating-point "
            "tensor with one row of features for each node."
        )
    return out.size(1)


def _parameters(head: nn.Module) -> Iterator[tuple[str, str, bool]]:
    """Yields for each argument the field that it gets, its name, and whether it is required."""
    if isinstance(head, Sequential):  # the signature of its forward is lost when it is copied
        named = dict.fromkeys(head.signature.param_dict, True)
    else:
        parameters = inspect.signature(head.forward).parameters.values()
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            raise InputError(
                f"head: {type(head).__name__}.forward does not name its arguments; give them names "
                f"from this list: {', '.join(HEAD_INPUTS)}."
            )
        named = {p.name: p.default is p.empty for p in parameters if p.kind is not p.VAR_KEYWORD}
    for position, (name, is_required) in enumerate(named.items()):
        is_x = position == 0 and name not in HEAD_INPUTS
        yield "x" if is_x else name, name, is_required


def _wants_edge_attr(head: nn.Module) -> bool:
    """Returns false if layers of the head have an ``edge_dim`` that is ``None`` in all of them."""
    layers = [layer for layer in head.modules() if hasattr(layer, "edge_dim")]
    return not layers or any(layer.edge_dim is not None for layer in layers)


@contextmanager
def _as_it_is(head: nn.Module) -> Iterator[None]:
    """Sets evaluation mode. Restores the mode of every layer and the random state afterwards."""
    modes = {layer: layer.training for layer in head.modules()}
    state = torch.get_rng_state()
    head.eval()
    try:
        yield
    finally:
        torch.set_rng_state(state)
        for layer, mode in modes.items():
            layer.training = mode
