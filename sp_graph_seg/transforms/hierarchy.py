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
    num_nodes = len(cluster.unique())
    is_numbered = cluster.min() == 0 and cluster.max() == num_nodes - 1
    if cluster.shape != (graph.num_nodes,) or not is_numbered:
        raise InputError(
            f"cluster: is not one number from 0, without gaps, for each of the {graph.num_nodes} "
            "nodes; give the new node of each node."
        )
    size = torch.bincount(graph.pixel_index, minlength=graph.num_nodes).double()
    total = scatter(size, cluster, dim_size=num_nodes)

    def mean(values: Tensor) -> Tensor:
        """The mean over the pixels of each new node, of the means over the pixels of each node."""
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
        levels: For each coarser graph either a label map of the image's size, such as a cut of a
            :class:`~sp_graph_seg.regions.RegionTree` or a level of
            :func:`~sp_graph_seg.transforms.level_images`, or one id for each node of the graph
            before, ``(N,)``. A node of a label map goes where most of its pixels go. Ids may have
            gaps.
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
                    f"levels: shape {tuple(ids.shape)} fits neither the {fine.num_nodes} nodes of "
                    f"the graph before nor the image size {size}; give ids of the nodes or of the "
                    "pixels."
                )
            ids = majority_labels(ids, fine)
            if (ids < 0).any():
                raise InputError(
                    "levels: a node has no label in a label map; give a label to each pixel of the "
                    "graph."
                )
        fine.cluster = ids.unique(return_inverse=True)[1]
        graphs.append(merge_nodes(fine, fine.cluster, tau))
    return graphs
