"""Functions that convert graphs to label maps, SciPy matrices and networkx graphs, and back."""

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
    """Makes a label map in which each pixel has the label of its node.

    Args:
        labels: The label of each node, ``(N,)``.
        data: A graph from :class:`~sp_graph_seg.transforms.ToRAG` or ``ToPixelGraph``. To select
            one image of a batch, give ``batch.get_example(i)``.
        fill: Label of the pixels outside the mask.

    Returns:
        The label map, ``(H, W)`` or ``(D, H, W)``, with the same dtype as ``labels``.

    Raises:
        InputError: If the number of labels differs from the number of nodes, or if ``data`` is a
            batch of images or only a part of a graph.
    """
    if labels.shape != (data.num_nodes,):
        raise InputError(
            f"labels: shape {tuple(labels.shape)} must be ({data.num_nodes},); give one label for "
            "each node."
        )
    if data.image_size.size(0) != 1:
        raise InputError(
            "data: the graph is a batch of images; select one image with batch.get_example(i)."
        )
    if data.pixel_index.numel() and data.pixel_index.max() >= data.num_nodes:
        raise InputError(
            "data: pixel_index contains nodes that were removed from the graph; give the whole "
            "graph and the labels of all its nodes."
        )
    if "n_id" in data:
        raise InputError(
            "data: the graph is a part that a loader cut from a larger graph; write the labels of "
            "each part into one array at the positions data.n_id, and give that array together "
            "with the larger graph."
        )
    painted = labels[data.pixel_index]
    if "pixel_mask" in data:
        image = labels.new_full(data.pixel_mask.shape, fill)
        image[data.pixel_mask] = painted
        painted = image
    return painted.view(*data.image_size[0].tolist())


def to_scipy(data: Data, edge_weight: Tensor | None = None) -> csr_array:
    """Converts a graph to a sparse matrix of its edge weights, ``(N, N)``.

    The element in row I and column J is the weight of the edge from node J to node I.

    Args:
        data: A graph.
        edge_weight: The weights, ``(E,)``. The default is ``data.edge_weight``.
    """
    weight = data.edge_weight if edge_weight is None else edge_weight
    source, target = data.edge_index.numpy()
    shape = (data.num_nodes, data.num_nodes)
    return csr_array((weight.detach().numpy(), (target, source)), shape=shape)


def from_scipy(matrix: csr_array) -> Data:
    """Converts a square sparse matrix to a graph with the field ``edge_weight``.

    The element in row I and column J becomes the weight of the edge from node J to node I.
    """
    rows, columns = matrix.shape
    if rows != columns:
        raise InputError(
            f"matrix: the size {rows}x{columns} is not square; give a square adjacency matrix."
        )
    matrix = csr_array(matrix, copy=True)
    matrix.sum_duplicates()
    target = np.repeat(np.arange(rows), np.diff(matrix.indptr))
    edge_index = torch.from_numpy(np.stack([matrix.indices.astype(np.int64), target]))
    return Data(edge_index=edge_index, edge_weight=torch.from_numpy(matrix.data), num_nodes=rows)


def to_networkx(data: Data, weight: Tensor | None = None) -> "RAG":
    """Converts a graph to ``skimage.graph.RAG``, a subclass of :class:`networkx.Graph`.

    ``skimage.graph.merge_hierarchical``, ``cut_threshold`` and ``cut_normalized`` accept the
    result. They also need a label image: ``to_label_image(torch.arange(data.num_nodes), data)``.

    * Each node has ``labels``, a list of its own id, as in scikit-image. It also has
      ``"mean color"`` if the graph has ``x``. If the graph has ``pixel_index`` too, the node also
      has ``"total color"`` and ``"pixel count"``. All other node attributes keep their names.
    * Each edge has ``weight``. All edge attributes keep their names. If an attribute differs
      between the two directions of an edge, it is a dictionary ``{(source, target): value}``.
    * All other fields become attributes of the networkx graph.

    Args:
        data: Any graph that stores both directions of every edge.
        weight: The weights, ``(E,)``. They must be equal in both directions. The default is the
            colour distance ``edge_attr``. If the graph has no ``edge_attr``, the default is
            ``edge_weight``. The function ``cut_normalized`` needs affinities.

    Raises:
        InputError: If the weights differ between the two directions of an edge.
    """
    from skimage.graph import RAG

    if weight is None:
        weight = data.edge_weight if data.edge_attr is None else data.edge_attr[:, 0]
    matrix = to_scipy(data, weight)
    if abs(matrix - matrix.T).max() > 1e-6 * max(abs(matrix).max(), 1):
        raise InputError(
            "weight: the two directions of an edge have different weights; give symmetric "
            "weights, such as colour distances or affinities."
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
    """Converts a networkx graph to a PyG graph.

    The networkx graph may come from :func:`to_networkx` or ``skimage.graph.rag_mean_color``, for
    example. The nodes are numbered in ascending order of their ids. If nodes were merged, as
    ``merge_hierarchical`` does, each pixel gets the number of its merged node.

    Args:
        graph: An undirected graph. A numeric attribute that all nodes have becomes a node attribute
            of the same name, except that ``"mean color"`` becomes ``x``. A numeric attribute that
            all edges have becomes an edge attribute, with the prefix ``edge_`` if it lacks one. The
            ``weight`` of an edge becomes ``edge_weight``. An edge without a weight gets 1. If the
            edges have an attribute ``edge_weight`` already, it is used instead. The values of
            parallel edges are added up.

    Returns:
        A graph with both directions of every edge, sorted by target. ``node_id (N,)`` holds the
        ids of the nodes in networkx. The graph is an
        :class:`~sp_graph_seg.transforms.ImageGraph` if ``graph`` was made from one.

    Raises:
        InputError: If the graph is directed, or a node id is not an integer.
    """
    if graph.is_directed():
        raise InputError("graph: the graph is directed; convert it with graph.to_undirected().")
    if not all(isinstance(node, int | np.integer) for node in graph):
        raise InputError(
            "graph: some node ids are not integers; convert them with "
            "networkx.convert_node_labels_to_integers."
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
    """Collects the attributes of the nodes under the names that scikit-image uses."""
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
    """Collects the edge attributes by name. Each is a dictionary from edges to values.

    If the two directions of an edge have different values, both values are stored.
    """
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
    """Finds the keys that all dictionaries have."""
    names = [set(each) for each in fields]
    return set.intersection(*names) if names else set()


def _as_tensor(values: list) -> Tensor | None:
    """Converts numbers, or arrays of one shape, to a tensor. Returns ``None`` for other values."""
    try:
        array = np.asarray(values)
    except ValueError:  # of several shapes
        return None
    if array.dtype.kind not in "biuf":
        return None
    tensor = torch.from_numpy(array)
    return tensor.float() if tensor.is_floating_point() else tensor


def _new_numbers(labels: Sequence[Sequence[int]], data: ImageGraph) -> Tensor:
    """Returns the new id of each old node. ``labels[k]`` lists the old ids of the new node k."""
    size = 1 + max((int(data.pixel_index.max()), *(max(old) for old in labels)))
    number = torch.full((size,), -1)
    for new, old in enumerate(labels):
        number[torch.tensor(old, dtype=torch.long)] = new
    return number
