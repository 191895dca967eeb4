"""Labels blocks by supervoxels, so that the labels are consistent from slice to slice.

This is an addition to the method of the paper.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sp_graph_seg.config import Config
from sp_graph_seg.segmenter import Segmenter
from sp_graph_seg.segmenter.graphs import node_means
from sp_graph_seg.segmenter.network import cluster, encode, paint
from sp_graph_seg.transforms import ToRAG, add_hessian_features, compute_superpixels
from sp_graph_seg.transforms.prepare import scale_down, scale_mask
from sp_graph_seg.transforms.superpixels import MASKED


def label_supervoxels(
    segmenter: Segmenter, slices: Iterable[tuple[int, NDArray]]
) -> Iterator[tuple[int, NDArray]]:
    """Labels a block of slices by supervoxels.

    The 2D encoder computes the features of each slice. These features are averaged over each
    supervoxel. If the model has a head, the head refines the averages on the 3D region adjacency
    graph. Then each supervoxel gets one label. Supervoxels are about as deep as wide. Blocks are
    labelled separately, so no supervoxel extends into another block.

    Args:
        segmenter: A trained model.
        slices: Pairs of the number of a slice and the slice ``(C, H, W)``.

    Yields:
        Pairs of the number of a slice and its labels ``(H, W)``.
    """
    config, net = segmenter.config_, segmenter.paper_net
    numbers: list[int] = []
    images: list[NDArray] = []
    insides: list[NDArray[np.bool_]] = []
    seen: list[Tensor] = []
    for number, image in slices:
        values, inside = segmenter.normalize(image)
        size = values.shape[1], values.shape[2]
        numbers.append(number)
        images.append(scale_down(values, config.superpixel_size).numpy())
        insides.append(np.ones(size, bool) if inside is None else inside)
        seen.append(scale_down(values, config.max_size))
    if not numbers:
        return
    block = np.stack(images, axis=1)  # (C, D, h, w)
    used = np.stack([scale_mask(inside, block.shape[2:]).numpy() for inside in insides])
    if not used.any():
        yield from ((number, np.full(size, MASKED)) for number in numbers)
        return
    mask = None if used.all() else used
    options = {**config.superpixel_options(), "n_segments": _count(block.shape[1:], config)}
    nodes = compute_superpixels(block, **options, mask=mask)
    has_head = net.head is not None
    graph = ToRAG(superpixels=nodes, mask=mask)(block) if has_head else None
    # Slice by slice, because z has far more channels than the input of the network.
    features = (encode(net, add_hessian_features(s, config.hessian_scales)) for s in seen)
    labels = paint(cluster(net, _means(features, nodes), graph, config.tau_cut), nodes)
    for number, found, inside in zip(numbers, labels, insides, strict=True):
        yield number, segmenter.finish(found, size, None if inside.all() else inside)


def _count(shape: tuple[int, ...], config: Config) -> int:
    """Returns how many supervoxels a block of this shape is divided into.

    A supervoxel is as wide as a superpixel of a slice, and as deep as it is wide.
    """
    depth, height, width = shape
    side = (height * width / config.n_segments) ** 0.5
    return max(1, round(config.n_segments * max(1.0, depth / side)))


def _means(features: Iterable[Tensor], nodes: NDArray[np.int64]) -> Tensor:
    """Averages the features of the pixels over each of N supervoxels, ``(N, F)``.

    The slices are processed one by one to save memory.
    """
    sizes = np.bincount(nodes[nodes >= 0])
    total: Tensor | None = None
    for z, part in zip(features, nodes, strict=True):
        ids, local = np.unique(part[part >= 0], return_inverse=True)
        counts = np.bincount(local)
        numbered = np.full(part.shape, MASKED)
        numbered[part >= 0] = local
        sums = node_means(z, numbered.ravel(), part.shape)
        sums = sums * torch.from_numpy(counts)[:, None].to(z)
        if total is None:
            total = z.new_zeros(len(sizes), z.size(0))
        total.index_add_(0, torch.from_numpy(ids).to(z.device), sums)
    assert total is not None, "a block has a slice"
    return total / torch.from_numpy(sizes)[:, None].to(total)
