"""Between our graphs and others: label images, scipy matrices, networkx and scikit-image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from sp_graph_seg.errors import InputError

if TYPE_CHECKING:
    from skimage.graph import RAG


def to_label_image(labels: Tensor, data: Data, fill: int = -1) -> Tensor:
    """Paints the labels of nodes onto the image that a graph was made from.

    Args:
        labels: Label of each node, ``(N,)``.
        data: From :class:`~sp_graph_seg.transforms.ToRAG` or ``ToPixelGraph``; for one image of a
            batch use ``batch.get_example(i)``.
        fill: Label of the pixels outside the mask.

    Returns:
        ``(H, W)`` or ``(D, H, W)``, of the type of ``labels``.

    Raises:
        InputError: If there is not one label for each node, or the graph is a batch.
    """
    if labels.shape != (data.num_nodes,):
        raise InputError(f"labels: shape {tuple(labels.shape)} must be ({data.num_nodes},).")
    if data.image_size.size(0) != 1:
        raise InputError("data: is a batch of images; take one with batch.get_example(i).")
    if data.pixel_index.numel() and data.pixel_index.max() >= data.num_nodes:
        raise InputError(
            "data: pixel_index names nodes that are gone, as after subgraph(); paint the labels "
            "of the whole graph."
        )
    painted = labels[data.pixel_index]
    if "pixel_mask" in data:
        image = labels.new_full(data.pixel_mask.shape, fill)
        image[data.pixel_mask] = painted
        painted = image
    return painted.view(*data.image_size[0].tolist())


def to_scipy(data: Data, edge_weight: Tensor | None = None) -> csr_array:
    """The weighted adjacency matrix: row I holds the weights of the edges that arrive at node I.

    Args:
        data: A graph.
        edge_weight: Weights ``(E,)``; by default ``data.edge_weight``.
    """
    weight = data.edge_weight if edge_weight is None else edge_weight
    source, target = data.edge_index.numpy()
    shape = (data.num_nodes, data.num_nodes)
    return csr_array((weight.detach().numpy(), (target, source)), shape=shape)


def from_scipy(matrix: csr_array) -> Data:
    """A graph with ``edge_index`` and ``edge_weight`` from a square matrix, row I its targets."""
    rows, columns = matrix.shape
    if rows != columns:
        raise InputError(f"matrix: {rows}x{columns} is no adjacency; give a square one.")
    matrix = csr_array(matrix, copy=True)
    matrix.sum_duplicates()
    target = np.repeat(np.arange(rows), np.diff(matrix.indptr))
    edge_index = torch.from_numpy(np.stack([matrix.indices.astype(np.int64), target]))
    return Data(edge_index=edge_index, edge_weight=torch.from_numpy(matrix.data), num_nodes=rows)


def to_networkx(data: Data, weight: Tensor | None = None) -> "RAG":
    """The graph as scikit-image knows it, a subclass of :class:`networkx.Graph`.

    So ``skimage.graph.merge_hierarchical``, ``cut_threshold`` and ``cut_normalized`` run on it,
    with :func:`to_label_image` of ``torch.arange(N)`` for their label image. A node carries
    ``labels`` and, as far as the graph has them, ``"mean color"``, ``"total color"`` and
    ``"pixel count"``, as theirs do, and every other node attribute under its own name; an edge
    carries ``weight``.

    Args:
        data: Any graph; both directions of every edge.
        weight: Weights ``(E,)``, equal in both directions; by default the colour distance
            ``edge_attr``, or ``edge_weight`` where there is none. For ``cut_normalized`` give
            affinities.

    Raises:
        InputError: If the weights differ between the two directions.
    """
    from skimage.graph import RAG

    if weight is None:
        weight = data.edge_weight if data.edge_attr is None else data.edge_attr[:, 0]
    matrix = to_scipy(data, weight)
    if abs(matrix - matrix.T).max() > 1e-6 * max(abs(matrix).max(), 1):
        raise InputError(
            "weight: differs between the directions of an edge, as softmax-tau weights do; "
            "give colour distances or affinities."
        )
    graph = RAG()
    for node in range(data.num_nodes):  # one by one, for scikit-image keeps count of the ids
        graph.add_node(node, labels=[node])
    for name, values in _node_columns(data).items():
        nx.set_node_attributes(graph, dict(enumerate(values)), name)
    source, target = data.edge_index.tolist()
    graph.add_weighted_edges_from(zip(source, target, weight.tolist(), strict=True))
    return graph


def from_networkx(graph: nx.Graph) -> Data:
    """A graph from networkx, such as scikit-image's ``rag_mean_color`` makes it.

    Nodes are numbered in the order of their ids, whatever order networkx holds them in.

    Args:
        graph: Undirected; the numbers that all its nodes have become node attributes,
            ``"mean color"`` becoming ``x``; ``weight`` of its edges becomes ``edge_weight`` (1
            where it is missing).

    Returns:
        A graph with both directions of every edge, sorted by target, and ``node_id (N,)``, the ids.

    Raises:
        InputError: If the graph is directed, or its ids are not integers.
    """
    if graph.is_directed():
        raise InputError("graph: is directed; convert it with graph.to_undirected().")
    if not all(isinstance(node, int | np.integer) for node in graph):
        raise InputError(
            "graph: node ids must be integers; see networkx.convert_node_labels_to_integers."
        )
    ids = sorted(graph)
    number = {node: k for k, node in enumerate(ids)}
    ends = [(number[a], number[b]) for a, b in graph.edges()]
    values = [float(value) for _, _, value in graph.edges(data="weight", default=1.0)]
    edges = torch.tensor(ends, dtype=torch.long).view(-1, 2).t()
    weight = torch.tensor(values)
    is_loop = edges[0] == edges[1]
    edge_index, edge_weight = coalesce(
        torch.cat([edges, edges[:, ~is_loop].flip(0)], dim=1),
        torch.cat([weight, weight[~is_loop]]),
        num_nodes=len(ids),
        sort_by_row=False,
    )
    data = Data(
        edge_index=edge_index,
        edge_weight=edge_weight,
        num_nodes=len(ids),
        node_id=torch.tensor(ids, dtype=torch.long),
    )
    shared = set.intersection(*(set(graph.nodes[node]) for node in ids)) if ids else set()
    for name in sorted(shared - {"labels", "total color", "pixel count"}):
        column = np.asarray([graph.nodes[node][name] for node in ids])
        if column.dtype.kind in "biuf":  # text is no tensor
            tensor = torch.from_numpy(column)
            is_real = tensor.is_floating_point()
            data["x" if name == "mean color" else name] = tensor.float() if is_real else tensor
    return data


def _node_columns(data: Data) -> dict[str, Sequence]:
    """The attributes of the nodes by the names that scikit-image has for them."""
    names = set(data.node_attrs()) - {"pixel_index", "pixel_mask"}
    columns: dict[str, Sequence] = {name: data[name].tolist() for name in names - {"x"}}
    if data.x is not None:
        colors = data.x.double().numpy()
        columns["mean color"] = list(colors)
        if "pixel_index" in data:
            count = torch.bincount(data.pixel_index, minlength=data.num_nodes).numpy()
            columns["total color"] = list(colors * count[:, None])
            columns["pixel count"] = count.tolist()
    return columns
