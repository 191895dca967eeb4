"""Conversions between graphs and label images, scipy matrices, networkx and scikit-image."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.image_graph import OF_THE_IMAGE, ImageGraph

if TYPE_CHECKING:
    from skimage.graph import RAG

Edge = tuple[int, int]


def to_label_image(labels: Tensor, data: Data, fill: int = -1) -> Tensor:
    """Makes a label map: each pixel gets the label of its node.

    Args:
        labels: Label of each node, ``(N,)``.
        data: From :class:`~sp_graph_seg.transforms.ToRAG` or ``ToPixelGraph``; for one image of a
            batch use ``batch.get_example(i)``.
        fill: Label of the pixels outside the mask.

    Returns:
        ``(H, W)`` or ``(D, H, W)``, of the type of ``labels``.

    Raises:
        InputError: If there is not one label for each node, or the graph is not the whole graph of
            one image.
    """
    if labels.shape != (data.num_nodes,):
        raise InputError(f"labels: shape {tuple(labels.shape)} must be ({data.num_nodes},).")
    if data.image_size.size(0) != 1:
        raise InputError("data: is a batch of images; take one with batch.get_example(i).")
    if data.pixel_index.numel() and data.pixel_index.max() >= data.num_nodes:
        raise InputError(
            "data: pixel_index has nodes that were removed; paint the labels of the whole graph."
        )
    if "n_id" in data:
        raise InputError(
            "data: is a part of a graph that a loader made; collect the labels of all parts by "
            "data.n_id and paint the whole graph."
        )
    painted = labels[data.pixel_index]
    if "pixel_mask" in data:
        image = labels.new_full(data.pixel_mask.shape, fill)
        image[data.pixel_mask] = painted
        painted = image
    return painted.view(*data.image_size[0].tolist())


def to_scipy(data: Data, edge_weight: Tensor | None = None) -> csr_array:
    """Makes the weighted adjacency matrix: row I holds the weights of the edges into node I.

    Args:
        data: A graph.
        edge_weight: Weights ``(E,)``; by default ``data.edge_weight``.
    """
    weight = data.edge_weight if edge_weight is None else edge_weight
    source, target = data.edge_index.numpy()
    shape = (data.num_nodes, data.num_nodes)
    return csr_array((weight.detach().numpy(), (target, source)), shape=shape)


def from_scipy(matrix: csr_array) -> Data:
    """Makes a graph from a square matrix whose rows are targets; sets ``edge_weight``."""
    rows, columns = matrix.shape
    if rows != columns:
        raise InputError(f"matrix: {rows}x{columns} is not square; give a square adjacency matrix.")
    matrix = csr_array(matrix, copy=True)
    matrix.sum_duplicates()
    target = np.repeat(np.arange(rows), np.diff(matrix.indptr))
    edge_index = torch.from_numpy(np.stack([matrix.indices.astype(np.int64), target]))
    return Data(edge_index=edge_index, edge_weight=torch.from_numpy(matrix.data), num_nodes=rows)


def to_networkx(data: Data, weight: Tensor | None = None) -> "RAG":
    """Converts a graph to the RAG of scikit-image, a subclass of :class:`networkx.Graph`.

    ``skimage.graph.merge_hierarchical``, ``cut_threshold`` and ``cut_normalized`` take the result;
    the label image that they need is :func:`to_label_image` of ``torch.arange(N)``. As in
    scikit-image, a node has ``labels``. It also has ``"mean color"`` if the graph has ``x``, and
    ``"total color"`` and ``"pixel count"`` if the graph has ``pixel_index`` too. It has every other
    node attribute under its own name. An edge has ``weight``, and every edge attribute under its
    own name; if the values of the two directions differ, they are stored as
    ``{(source, target): value}``. All other fields become attributes of the networkx graph.

    Args:
        data: Any graph that stores both directions of every edge.
        weight: Weights ``(E,)``, equal in both directions. The default is the colour distance
            ``edge_attr``, or ``edge_weight`` if the graph has no ``edge_attr``. For
            ``cut_normalized`` give affinities.

    Raises:
        InputError: If the weights differ between the two directions.
    """
    from skimage.graph import RAG

    if weight is None:
        weight = data.edge_weight if data.edge_attr is None else data.edge_attr[:, 0]
    matrix = to_scipy(data, weight)
    if abs(matrix - matrix.T).max() > 1e-6 * max(abs(matrix).max(), 1):
        raise InputError(
            "weight: the two directions of an edge differ, as with softmax-tau weights; "
            "give colour distances or affinities."
        )
    graph = RAG()
    for node in range(data.num_nodes):  # one by one, because scikit-image counts the ids
        graph.add_node(node, labels=[node])
    nodes, edges = _node_columns(data), _edge_columns(data)
    for name, values in nodes.items():
        nx.set_node_attributes(graph, dict(enumerate(values)), name)
    source, target = data.edge_index.tolist()
    graph.add_weighted_edges_from(zip(source, target, weight.tolist(), strict=True))
    for name, by_edge in edges.items():
        nx.set_edge_attributes(graph, by_edge, name)
    others = set(data.keys()) - {*nodes, *edges, "x", "edge_index", "num_nodes"}
    graph.graph.update({name: data[name] for name in sorted(others)})
    return graph


def from_networkx(graph: nx.Graph) -> Data:
    """Converts a graph of networkx, such as one from :func:`to_networkx` or ``rag_mean_color``.

    Nodes are numbered in the order of their ids, not in the order in which networkx stores them.
    If nodes were merged, as ``merge_hierarchical`` does, the pixels get the numbers of the merged
    nodes.

    Args:
        graph: An undirected graph. Numbers that all nodes have become node attributes
            (``"mean color"`` becomes ``x``); those that all edges have become edge attributes
            named ``edge_...``. ``weight``, or 1 where it is missing, becomes ``edge_weight``,
            unless the edges have an ``edge_weight`` of their own. Parallel edges are added up.

    Returns:
        A graph with both directions of every edge, sorted by target. ``node_id (N,)`` holds the
        ids that the nodes had. It is an :class:`~sp_graph_seg.transforms.ImageGraph` if ``graph``
        was made from one.

    Raises:
        InputError: If the graph is directed, or its ids are not integers.
    """
    if graph.is_directed():
        raise InputError("graph: is directed; convert it with graph.to_undirected().")
    if not all(isinstance(node, int | np.integer) for node in graph):
        raise InputError(
            "graph: node ids must be integers; use networkx.convert_node_labels_to_integers."
        )
    ids = sorted(graph)
    number = {node: k for k, node in enumerate(ids)}
    directed = [
        (a, b, fields)
        for one, other, fields in graph.edges(data=True)
        for a, b in dict.fromkeys([(one, other), (other, one)])  # a self-loop is one edge
    ]
    ends = torch.tensor([(number[a], number[b]) for a, b, _ in directed], dtype=torch.long)
    columns = {"edge_weight": torch.tensor([float(f.get("weight", 1.0)) for *_, f in directed])}
    for name in _shared(fields for *_, fields in directed) - {"weight"}:
        column = _as_tensor([_one_way(fields[name], (a, b)) for a, b, fields in directed])
        if column is not None:
            columns[name if name.startswith("edge_") else f"edge_{name}"] = column
    edge_index, values = coalesce(
        ends.view(-1, 2).t(), list(columns.values()), num_nodes=len(ids), sort_by_row=False
    )
    kind = ImageGraph if "image_size" in graph.graph else Data
    data = kind(
        edge_index=edge_index,
        num_nodes=len(ids),
        node_id=torch.tensor(ids, dtype=torch.long),
        **dict(zip(columns, values, strict=True)),
    )
    for name in sorted(_shared(graph.nodes[node] for node in ids) - _OF_SCIKIT_IMAGE):
        column = _as_tensor([graph.nodes[node][name] for node in ids])
        if column is not None:
            data["x" if name == "mean color" else name] = column
    if isinstance(data, ImageGraph):
        data.update(graph.graph)
        data.renumber_pixels(_new_numbers([graph.nodes[node]["labels"] for node in ids], data))
    return data


#: Attributes for scikit-image, which are not needed here.
_OF_SCIKIT_IMAGE = frozenset({"labels", "total color", "pixel count"})


def _node_columns(data: Data) -> dict[str, Sequence]:
    """Collects the attributes of the nodes under the names of scikit-image."""
    names = set(data.node_attrs()) - OF_THE_IMAGE
    columns: dict[str, Sequence] = {name: data[name].tolist() for name in names - {"x"}}
    if data.x is not None:
        colors = data.x.double().numpy()
        columns["mean color"] = list(colors)
        if "pixel_index" in data:
            count = torch.bincount(data.pixel_index, minlength=data.num_nodes).numpy()
            columns["total color"] = list(colors * count[:, None])
            columns["pixel count"] = count.tolist()
    return columns


def _edge_columns(data: Data) -> dict[str, dict[Edge, Any]]:
    """Collects the attributes of the edges: a value for each edge, or each of its directions."""
    edges = [(source, target) for source, target in data.edge_index.t().tolist()]
    columns = {}
    for name in set(data.edge_attrs()) - OF_THE_IMAGE - {"edge_index"}:
        there = dict(zip(edges, data[name].tolist(), strict=True))
        columns[name] = {edge: _both_ways(edge, there) for edge in edges}
    return columns


def _both_ways(edge: Edge, values: dict[Edge, Any]) -> Any:
    back = edge[::-1]
    one, other = values[edge], values.get(back, values[edge])
    return one if one == other else {edge: one, back: other}


def _one_way(value: Any, edge: Edge) -> Any:
    return value.get(edge) if isinstance(value, dict) else value


def _shared(fields: Iterable[dict]) -> set[str]:
    """Finds the names that all of them have."""
    names = [set(each) for each in fields]
    return set.intersection(*names) if names else set()


def _as_tensor(values: list) -> Tensor | None:
    """Converts numbers of one shape to a tensor; returns ``None`` for text and the like."""
    try:
        array = np.asarray(values)
    except ValueError:  # of several shapes
        return None
    if array.dtype.kind not in "biuf":
        return None
    tensor = torch.from_numpy(array)
    return tensor.float() if tensor.is_floating_point() else tensor


def _new_numbers(labels: Sequence[Sequence[int]], data: ImageGraph) -> Tensor:
    """Maps the old id of each node to its new id; ``labels`` are the old ids of each new node."""
    size = 1 + max((int(data.pixel_index.max()), *(max(old) for old in labels)))
    number = torch.full((size,), -1)
    for new, old in enumerate(labels):
        number[torch.tensor(old, dtype=torch.long)] = new
    return number
