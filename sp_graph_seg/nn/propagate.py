"""One step of message passing over a weighted graph. All losses that depend on edges use it."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.utils import is_sparse, to_edge_index

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn.checks import refuse

#: Messages in memory at one time: as many as fit into a core's cache, or keep a GPU busy.
_EDGES_AT_ONCE = {"cpu": 1 << 13}
_EDGES_AT_ONCE_ELSEWHERE = 1 << 18
#: Devices that multiply sparse matrices by rows; others add up the edges one by one.
_WITH_SPARSE_ROWS = ("cpu", "cuda")

with warnings.catch_warnings():
    # torch says once in a process that sparse rows are in beta and that their checks are off;
    # sort_edges makes those checks, and a user of the losses can do nothing about either.
    warnings.simplefilter("ignore", UserWarning)
    torch.eye(1).to_sparse_csr()
    torch.eye(1).to_sparse_csc()
    torch.sparse_csr_tensor([0, 1], [0], [1.0], size=(1, 1))


def sort_edges(
    edge_index: Tensor,
    num_nodes: int,
    edge_weight: Tensor | None = None,
    *,
    validate: bool = True,
) -> tuple[EdgeIndex, Tensor | None]:
    """Checks a graph once and prepares it for :func:`propagate`.

    If the same graph is used many times, as in training, pass the result to the losses instead of
    the plain tensor. The losses do not check it again. They also do not check any other
    ``EdgeIndex`` that is marked as undirected and sorted by target.

    Args:
        edge_index: Edges, ``(2, E)``, in any order, both directions of each edge. Self-loops and
            repeated edges are kept. PyG's ``adj_t`` can be given instead: a sparse tensor
            ``(N, N)`` of the weights, whose rows are the targets of the edges.
        num_nodes: Number of nodes N.
        edge_weight: Weights in the order of the edges, ``(E,)``.
        validate: Whether to check for nodes out of range and for missing reverse edges.

    Returns:
        The edges and the weights, both sorted by target and then by source. The edges are an
        ``EdgeIndex``, which caches its row pointers.

    Raises:
        InputError: If the edges are not integers ``(2, E)``, a node is out of range, an edge has no
            reverse edge, or there is not one weight for each edge.
    """
    edge_index, edge_weight = as_edges(edge_index, num_nodes, edge_weight)
    if _is_prepared(edge_index, num_nodes):
        return edge_index, edge_weight
    plain = edge_index.as_tensor() if isinstance(edge_index, EdgeIndex) else edge_index
    if validate and plain.numel():
        refuse(
            (
                (plain.min() < 0) | (plain.max() >= num_nodes),
                lambda: (
                    f"edge_index names nodes {int(plain.min())} to {int(plain.max())} but x has "
                    f"{num_nodes} rows; make both from the same graph."
                ),
            )
        )
    key = plain[1] * num_nodes + plain[0]
    if (key[1:] < key[:-1]).any():
        order = key.argsort(stable=True)
        plain = plain[:, order]
        edge_weight = edge_weight if edge_weight is None else edge_weight[order]
    ready = EdgeIndex(
        plain.contiguous(),  # which the transpose of a list of pairs is not
        sparse_size=(num_nodes, num_nodes),
        sort_order="col",
        is_undirected=True,
    )
    if validate:
        _check_reverses(ready)
    return ready, edge_weight


def as_edges(
    edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Converts edges to ``(2, E)`` and weights to ``(E,)``, and checks their shapes and types.

    Args:
        edge_index: Edges, ``(2, E)``, or PyG's ``adj_t``, ``(N, N)``: a ``SparseTensor`` or a
            sparse tensor of PyTorch.
        num_nodes: Number of nodes N.
        edge_weight: Weights, ``(E,)``. Must be ``None`` with ``adj_t``, which already has weights.

    Raises:
        InputError: If a shape or a type is wrong, or ``edge_weight`` is given with ``adj_t``.
    """
    if is_sparse(edge_index):
        edge_index, edge_weight = _from_adj_t(edge_index, num_nodes, edge_weight)
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or edge_index.dtype != torch.long:
        raise InputError(
            f"edge_index: shape {tuple(edge_index.shape)} of type {edge_index.dtype} does not hold "
            "edges; give a tensor (2, E) of type int64, with one column for each edge."
        )
    if num_nodes < 1:
        raise InputError("x: has no rows; give the features of at least one node.")
    if edge_weight is not None and edge_weight.shape != edge_index.shape[1:]:
        raise InputError(
            f"edge_weight: shape {tuple(edge_weight.shape)} does not fit {edge_index.size(1)} "
            "edges; give one number for each edge, such as one column of edge_attr."
        )
    return edge_index, edge_weight


def propagate(x: Tensor, edges: Tensor, edge_weight: Tensor) -> Tensor:
    r"""Sums the features of the neighbours of each node: row I is :math:`\sum_J w_{IJ} x_J`.

    First and second gradients take O(N F + E) memory. PyG's own product would store all messages,
    ``(E, F)``, for the gradient of the weights. ``torch.func`` and ``torch.compile`` are supported.
    Compiled code does not store the messages either.

    Args:
        x: Node features, ``(N, F)``, float32 or float64.
        edges: Edges from :func:`sort_edges`, or a tensor ``(2, E)`` in any order, which is slower.
        edge_weight: Weights, ``(E,)``, of the same type as ``x``.

    Returns:
        The sums, ``(N, F)``. They are zero for a node without neighbours.
    """
    if torch.compiler.is_compiling():
        source, target = plain_edges(edges)
        messages = edge_weight.unsqueeze(-1) * x[source]
        return torch.zeros_like(x).index_add(0, target, messages)
    return _Product.apply(x, edge_weight, _Matrix(edges, x.size(0)))


def in_degree(edges: Tensor, edge_weight: Tensor, num_nodes: int) -> Tensor:
    r"""Sums the weights of all edges that end at a node, :math:`d_I = \sum_J w_{IJ}`, ``(N,)``."""
    return edge_weight.new_zeros(num_nodes).index_add(0, plain_edges(edges)[1], edge_weight)


def has_neighbors(edges: Tensor, num_nodes: int) -> Tensor:
    """Returns a boolean tensor ``(N,)`` that is true for each node with a neighbour."""
    target = plain_edges(edges)[1]
    return torch.zeros(num_nodes, dtype=torch.bool, device=target.device).index_fill(
        0, target, True
    )


def plain_edges(edges: Tensor) -> Tensor:
    """Returns the edges as a plain tensor, ``(2, E)``."""
    return edges.as_tensor() if isinstance(edges, EdgeIndex) else edges


@dataclass(frozen=True)
class _Matrix:
    """The positions of edge weights in the matrix with targets as rows, or in its transpose."""

    edges: Tensor
    num_nodes: int
    is_transposed: bool = False

    def t(self) -> "_Matrix":
        return replace(self, is_transposed=not self.is_transposed)

    def entries(self) -> tuple[Tensor, Tensor]:
        """Returns the row ``(E,)`` and the column ``(E,)`` of each weight in this matrix."""
        source, target = plain_edges(self.edges)
        return (source, target) if self.is_transposed else (target, source)

    def rows(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns this matrix in CSR format: row pointers ``(N + 1,)``, columns, values."""
        assert isinstance(self.edges, EdgeIndex)
        compressed = self.edges.get_csr() if self.is_transposed else self.edges.get_csc()
        (pointers, columns), order = compressed
        return pointers, columns, weight if order is None else weight[order]


# Each of the two operations is the gradient of the other, so they can be differentiated any number
# of times without a tensor of size E F.


class _Product(torch.autograd.Function):
    """The product ``A x`` of a sparse matrix A and features x, with its derivatives."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, matrix: _Matrix) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = x.contiguous()  # the gradient of a sum is an expanded scalar
            if not _has_rows(matrix.edges):
                return _add_messages(x, weight, matrix)
            pointers, columns, values = matrix.rows(weight)
            is_cpu = x.device.type == "cpu"
            if is_cpu and x.dtype == torch.float32:
                # The same sums, at 10^4 to 10^5 nodes in 0.25 to 0.6 of the time of sparse.mm.
                options: dict[str, Any] = {"mode": "sum", "include_last_offset": True}
                return F.embedding_bag(columns, x, pointers, per_sample_weights=values, **options)
            size = (matrix.num_nodes,) * 2
            rows = torch.sparse_csr_tensor(pointers, columns, values, size)
            # The sum by rows needs no MKL and is the same for any number of threads.
            return torch.sparse.mm(rows, x, *(("sum",) if is_cpu else ()))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, ctx.matrix = inputs
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, _ = ctx.needs_input_grad
        return (
            _Product.apply(grad, weight, ctx.matrix.t()) if of_x else None,
            _EdgeProducts.apply(grad, x, ctx.matrix) if of_weight else None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, x_tangent: Tensor | None, weight_tangent: Tensor | None, _: None) -> Tensor:
        x, weight = ctx.saved_tensors
        return _add(
            None if x_tangent is None else _Product.apply(x_tangent, weight, ctx.matrix),
            None if weight_tangent is None else _Product.apply(x, weight_tangent, ctx.matrix),
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
        return _one_by_one(_Product.apply, info.batch_size, in_dims, inputs)


class _EdgeProducts(torch.autograd.Function):
    """The scalar product of ``a[i]`` and ``b[j]`` for each entry (i, j) of a matrix, ``(E,)``."""

    @staticmethod
    def forward(a: Tensor, b: Tensor, matrix: _Matrix) -> Tensor:
        return torch.cat([(a[i] * b[j]).sum(dim=-1) for i, j in _in_parts(*matrix.entries())])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        a, b, ctx.matrix = inputs
        ctx.save_for_backward(a, b)
        ctx.save_for_forward(a, b)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, b = ctx.saved_tensors
        of_a, of_b, _ = ctx.needs_input_grad
        return (
            _Product.apply(b, grad, ctx.matrix) if of_a else None,
            _Product.apply(a, grad, ctx.matrix.t()) if of_b else None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, a_tangent: Tensor | None, b_tangent: Tensor | None, _: None) -> Tensor:
        a, b = ctx.saved_tensors
        return _add(
            None if a_tangent is None else _EdgeProducts.apply(a_tangent, b, ctx.matrix),
            None if b_tangent is None else _EdgeProducts.apply(a, b_tangent, ctx.matrix),
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
        return _one_by_one(_EdgeProducts.apply, info.batch_size, in_dims, inputs)


def _add_messages(x: Tensor, weight: Tensor, matrix: _Matrix) -> Tensor:
    result = torch.zeros_like(x)
    for i, j, w in _in_parts(*matrix.entries(), weight):
        result.index_add_(0, i, x.index_select(0, j).mul_(w.unsqueeze(-1)))
    return result


def _in_parts(*of_edges: Tensor) -> Iterator[tuple[Tensor, ...]]:
    size = _EDGES_AT_ONCE.get(of_edges[0].device.type, _EDGES_AT_ONCE_ELSEWHERE)
    return zip(*(values.split(size) for values in of_edges), strict=True)


def _add(one: Tensor | None, other: Tensor | None) -> Tensor:
    parts = [part for part in (one, other) if part is not None]
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _one_by_one(
    function: Callable[..., Tensor], size: int, in_dims: tuple[Any, ...], inputs: tuple[Any, ...]
) -> tuple[Tensor, int]:
    """Implements ``torch.vmap`` by a loop, as a sparse product takes only one graph and ``x``."""
    results = [
        function(
            *(
                value if dim is None else value.select(dim, item)
                for value, dim in zip(inputs, in_dims, strict=True)
            )
        )
        for item in range(size)
    ]
    return torch.stack(results), 0


def _from_adj_t(adj_t: Any, num_nodes: int, edge_weight: Tensor | None) -> tuple[Tensor, Tensor]:
    if edge_weight is not None:
        raise InputError("edge_weight: adj_t already holds the weights; leave edge_weight out.")
    sizes = tuple(adj_t.sizes()) if callable(getattr(adj_t, "sizes", None)) else tuple(adj_t.shape)
    if sizes != (num_nodes, num_nodes):
        raise InputError(
            f"edge_index: adj_t has shape {sizes}, but x has {num_nodes} rows; "
            "make both from the same graph."
        )
    if isinstance(adj_t, Tensor) and adj_t.layout == torch.sparse_coo:
        adj_t = adj_t.coalesce()  # to_edge_index has no gradient for this layout
        edges, weight = adj_t.indices(), adj_t.values()
    else:
        edges, weight = to_edge_index(adj_t)
    return edges.flip(0), weight  # its rows are targets


def _has_rows(edges: Tensor) -> bool:
    return isinstance(edges, EdgeIndex) and edges.device.type in _WITH_SPARSE_ROWS


def _is_prepared(edge_index: Tensor, num_nodes: int) -> bool:
    return (
        isinstance(edge_index, EdgeIndex)
        and edge_index.is_undirected
        and edge_index.is_sorted_by_col
        and edge_index.sparse_size() == (num_nodes, num_nodes)
    )


def _check_reverses(edges: EdgeIndex) -> None:
    """Raises an error if an edge has no reverse edge. The edges must be sorted by target."""
    source, target = edges.as_tensor()
    if _has_rows(edges):  # by the order that gradients need anyway
        (_, other_target), order = edges.get_csr()
        if not ((source[order] != target) | (other_target != source)).any():
            return
    n = edges.num_rows  # PyG's sort may have left equal sources in any order
    if not torch.equal((source * n + target).sort().values, target * n + source):
        raise InputError(
            "edge_index: an edge has no reverse edge; add the reverse edges first with "
            "torch_geometric.utils.to_undirected(edge_index, edge_weight)."
        )
