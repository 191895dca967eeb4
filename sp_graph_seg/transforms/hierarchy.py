"""Hierarchies of graphs: the nodes of a graph are merged into the nodes of a coarser graph."""

from collections.abc import Iterable

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch_geometric.utils import coalesce, scatter

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.image_graph import ImageGraph
from sp_graph_seg.transforms.node_labels import majority_labels
from sp_graph_seg.transforms.weights import affinity, color_distance


def merge_nodes(graph: ImageGraph, cluster: Tensor, tau: float = -10.0) -> ImageGraph:
    """Merges nodes of the graph of an image. The result is the graph of the merged superpixels.

    If the merged superpixels are connected, it is the graph that
    :class:`~sp_graph_seg.transforms.ToRAG` makes of their label map, up to the order of the nodes.
    The result has the fields ``x``, ``pos``, ``edge_index``, ``edge_attr``, ``edge_weight``
    (affinities), ``pixel_index``, ``pixel_mask`` and ``image_size``. All other fields are left out.

    Args:
        graph: The graph of one image, from ``ToRAG``, ``ToPixelGraph`` or this function.
        cluster: The new node of each node, ``(N,)``, from 0, without gaps. Such a vector may come
            from the ``s.argmax(dim=1)`` of a pooling layer.
        tau: Temperature of the affinities, below 0.

    Raises:
        InputError: If ``graph`` is a batch, or ``cluster`` does not give a new node to each node.

    Example:
        >>> from sp_graph_seg.transforms import ToRAG
        >>> image = torch.tensor([[[0.0, 0.5, 1.0]]])
        >>> graph = ToRAG(superpixels=[[0, 1, 2]])(image)
        >>> merge_nodes(graph, torch.tensor([0, 0, 1])).x
        tensor([[0.2500],
                [1.0000]])
    """
    if graph.image_size.size(0) != 1:
        raise InputError(
            "graph: the graph is a batch of images; select one image with batch.get_example(i)."
        )
    if cluster.shape != (graph.num_nodes,):
        raise InputError(
            f"cluster: shape {tuple(cluster.shape)} must be ({graph.num_nodes},); give the number "
            "of the new node for each node."
        )
    if cluster.is_floating_point():
        raise InputError(
            f"cluster: the type {cluster.dtype} must be an integer; convert it with cluster.long()."
        )
    cluster = cluster.long()
    num_nodes = len(cluster.unique())
    if cluster.min() != 0 or cluster.max() != num_nodes - 1:
        raise InputError(
            "cluster: the new nodes are not numbered from 0 without gaps; renumber them with "
            "cluster.unique(return_inverse=True)[1]."
        )
    size = torch.bincount(graph.pixel_index, minlength=graph.num_nodes).double()
    total = scatter(size, cluster, dim_size=num_nodes)

    def mean(values: Tensor) -> Tensor:
        """Averages values over all nodes that become one new node, weighted by pixel count."""
        sums = scatter(values * size[:, None], cluster, dim_size=num_nodes)
        return (sums / total[:, None]).to(values.dtype)

    x = mean(graph.x)
    ends = cluster[graph.edge_index]
    edges = coalesce(ends[:, ends[0] != ends[1]], num_nodes=num_nodes, sort_by_row=False)
    distance = color_distance(x, edges)
    return ImageGraph(
        x=x,
        edge_index=edges,
        edge_attr=distance[:, None],
        pos=mean(graph.pos),
        edge_weight=affinity(distance, tau),
        pixel_index=cluster[graph.pixel_index],
        pixel_mask=graph.pixel_mask,
        num_nodes=num_nodes,
        image_size=graph.image_size,
    )


def graph_hierarchy(
    graph: ImageGraph, levels: Iterable[ArrayLike | Tensor], tau: float = -10.0
) -> list[ImageGraph]:
    """Merges the nodes of a graph level by level.

    Every graph but the last gets the field ``cluster (N,)``: the node of the next graph that each
    node belongs to. ``values[fine.cluster]`` copies values of coarse nodes to the fine ones.
    PyG's pooling functions, such as ``avg_pool``, take the same vectors.

    Args:
        graph: The finest graph.
        levels: One array of ids for each coarser graph. Nodes with the same id are merged. Ids may
            have gaps. The array may hold one id for each node of the graph before, ``(N,)``. It may
            also be a label map of the image's size, such as a cut of a
            :class:`~sp_graph_seg.regions.RegionTree` or a level of
            :func:`~sp_graph_seg.transforms.level_images`. Then the id of a node is the most
            frequent label of its pixels.
        tau: Temperature of the affinities, below 0.

    Returns:
        The graphs, the finest first.

    Raises:
        InputError: If a level does not fit the graph, or leaves a node without an id.
    """
    graphs = [graph.clone()]
    for level in levels:
        fine = graphs[-1]
        ids = torch.as_tensor(level)
        if ids.shape != (fine.num_nodes,):
            size = tuple(fine.image_size[0].tolist())
            if tuple(ids.shape) != size:
                raise InputError(
                    f"levels: an array of shape {tuple(ids.shape)} fits neither the next finer "
                    f"graph, which has {fine.num_nodes} nodes, nor the image of size {size}; give "
                    "one id for each node or for each pixel."
                )
            ids = majority_labels(ids, fine)
            if (ids < 0).any():
                raise InputError(
                    "levels: a node has no label, because a label map is negative at all its "
                    "pixels; set at least one pixel of each node to a label of 0 or more."
                )
        fine.cluster = ids.unique(return_inverse=True)[1]
        graphs.append(merge_nodes(fine, fine.cluster, tau))
    return graphs
