"""Regions of one image without training: other methods, and trivial ones to score above."""

import numpy as np

from sp_graph_seg.baselines.common import Labels, check_num_labels
from sp_graph_seg.regions import transfer_cut_regions
from sp_graph_seg.transforms import FelzenszwalbLevel, ToMultiscale, as_image, color_space
from sp_graph_seg.transforms.prepare import Image


def felzenszwalb_regions(image: Image, scale: float = 300.0) -> Labels:
    """Finds regions by Felzenszwalb & Huttenlocher (IJCV 2004): sigma 0.8, at least 100 pixels.

    Args:
        image: ``(C, H, W)`` in [0, 1] or unsigned integers.
        scale: A larger scale makes larger regions.
    """
    return FelzenszwalbLevel("rgb", scale, 0.8, 100)(as_image(image))


def sas_regions(image: Image, num_regions: int = 12, seed: int = 0) -> Labels:
    """Finds regions by SAS (Li, Wu & Chang, CVPR 2012) from our six over-segmentations.

    Args:
        image: ``(C, H, W)`` in [0, 1] or unsigned integers.
        num_regions: Number of clusters; a cluster may consist of several parts.
        seed: Seed of K-means.
    """
    check_num_labels(num_regions)
    values = as_image(image)
    colors = color_space(values, "lab")
    return transfer_cut_regions(ToMultiscale()(values), colors, num_regions, seed)


def grid_regions(image: Image, num_regions: int = 12) -> Labels:
    """Divides any image into about ``num_regions`` equal rectangles, as square as possible."""
    check_num_labels(num_regions)
    height, width = as_image(image).shape[1:]
    rows = max(1, round(np.sqrt(num_regions * height / width)))
    columns = max(1, round(num_regions / rows))
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    return row[:, None] * columns + column


def one_label(image: Image) -> Labels:
    """Gives every pixel the same label."""
    return np.zeros(as_image(image).shape[1:], dtype=np.int64)
