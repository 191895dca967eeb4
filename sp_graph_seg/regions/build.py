"""Builds the region tree of an image or a volume."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from torch_geometric.data import HeteroData

from sp_graph_seg.errors import InputError
from sp_graph_seg.regions.altitude import describe_regions, log_odds
from sp_graph_seg.regions.merging import Difference, MergingRegions, merge_greedily
from sp_graph_seg.regions.tree import RegionTree
from sp_graph_seg.transforms.arrays import as_image, as_mask
from sp_graph_seg.transforms.color_spaces import color_space
from sp_graph_seg.transforms.multiscale import ToMultiscale
from sp_graph_seg.transforms.prepare import Image, Mask, scale_down, scale_labels, scale_mask
from sp_graph_seg.transforms.superpixels import Labels
from sp_graph_seg.transforms.touching import fill_nearest

#: Longest side in pixels: the weights and the levels are made for photographs of 481x321.
MAX_SIZE = 500


def build_region_tree(
    image: Image, mask: Image | None = None, max_size: int = MAX_SIZE
) -> RegionTree:
    """Builds the region tree of an image or a volume. It can be cut into any number of regions.

    First, several over-segmentations cut the image into cells, as in SAS (Li, Wu & Chang, CVPR
    2012). For an image, the method of Felzenszwalb & Huttenlocher (2004) makes them. For a volume,
    watersheds make them. Then the two most similar touching regions are merged, again and again.
    The similarity depends on gradients along the boundary, on the colours, textures and sizes of
    the two regions, and on the eigenvectors of the transfer cut. No random numbers are used.

    Nothing is trained on the image. However, the weights of the similarity were fitted to
    annotations of 40 colour photographs of the training set of BSDS300. See
    ``sp_graph_seg/regions/altitude.py``. In an image of one channel, grey values replace the
    lightness. In an image of two or more than three channels, three principal components replace
    CIELAB. For these images, the tree still shows which regions differ, but its altitudes are not
    probabilities.

    Args:
        image: ``(C, H, W)`` or ``(C, D, H, W)``, with values in [0, 1] or unsigned integers.
        mask: ``(H, W)`` or ``(D, H, W)``, true for the data pixels.
        max_size: Longest side in pixels at which regions are found. A larger image is scaled down,
            and its regions are scaled up again. 0 never scales. Volumes are never scaled.

    Raises:
        InputError: The image cannot be used, or has no data pixels.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((3, 32, 48))
        >>> image[0, 8:24, 8:24] = 1
        >>> build_region_tree(image).cut(num_regions=2).max()
        np.int64(1)
    """
    array, inside = _check(image, mask)
    if array.ndim == 4:
        return merge_cells(ToMultiscale(mask=inside)(array), array)
    small = scale_down(array, max_size).numpy()
    seen = None if inside is None else scale_mask(inside, small.shape[1:]).numpy()
    tree = merge_cells(ToMultiscale(mask=seen)(small), small)
    leaves = scale_labels(tree.leaves, array.shape[1:])
    if inside is not None:
        leaves = np.where(inside, leaves, -1)
    return RegionTree(tree.children, tree.altitude, leaves)


def merge_cells(graph: HeteroData, image: NDArray) -> RegionTree:
    """Merges the cells of a multi-scale graph into a tree of regions.

    :func:`build_region_tree` calls this function with a graph that has the default levels.

    Args:
        graph: The graph of the image, from :class:`~sp_graph_seg.transforms.ToMultiscale`.
        image: The image, ``(C, H, W)`` or ``(C, D, H, W)``, with values in [0, 1].
    """
    return merge_tree(*describe_regions(graph, color_space(image, "lab")), log_odds)


def merge_tree(regions: MergingRegions, leaves: Labels, difference: Difference) -> RegionTree:
    """Merges the leaves step by step into one region, and returns the tree.

    Each step has a probability that people separate its two regions. The altitude of the step is
    the largest of these probabilities up to this step.

    Args:
        regions: The statistics of the leaves. They are changed in place.
        leaves: The leaf of each pixel, ``(H, W)`` or ``(D, H, W)``, with -1 where there is no data.
        difference: Computes the log-odds that people separate a region from its neighbours.
    """
    num = regions.num_leaves
    mergers = list(merge_greedily(regions, difference))
    pairs = [[i, j] for i, j, _ in mergers]
    order = [value for *_, value in mergers]
    merged = {node for pair in pairs for node in pair}
    parts = [node for node in range(num + len(pairs)) if node not in merged]
    while len(parts) > 1:  # what does not touch is joined last
        pairs.append(parts[:2])
        parts = [*parts[2:], num + len(pairs) - 1]
        order.append(np.inf)
    altitude = expit(np.maximum.accumulate(np.array(order, dtype=np.float64)))
    return RegionTree(np.array(pairs, dtype=np.int64).reshape(-1, 2), altitude, leaves)


def _check(image: Image, mask: Image | None) -> tuple[NDArray[np.float32], Mask | None]:
    array = as_image(image)
    if array.min() < 0 or array.max() > 1:
        raise InputError(
            f"image: the values range from {array.min():g} to {array.max():g}; "
            "scale them to [0, 1]."
        )
    inside = None if mask is None else as_mask(mask, array.shape[1:])
    if inside is None or inside.all():
        return array, None
    return fill_nearest(array, inside), inside
