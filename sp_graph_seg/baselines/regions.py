"""Regions of one image without any training: those of others, and what a score is to be above."""

import numpy as np

from sp_graph_seg.baselines.common import Labels, check_num_labels
from sp_graph_seg.regions import transfer_cut_regions
from sp_graph_seg.transforms import FelzenszwalbLevel, ToMultiscale, as_image, color_space
from sp_graph_seg.transforms.prepare import Image


def felzenszwalb_regions(image: Image, scale: float = 300.0) -> Labels:
    """The regions of Felzenszwalb & Huttenlocher (IJCV 2004), sigma 0.8, of 100 pixels or more.

    Args:
        image: ``(C, H, W)`` in [0, 1] or unsigned integers.
        scale: Larger makes larger regions.
    """
    return FelzenszwalbLevel("rgb", scale, 0.8, 100)(as_image(image))


def sas_regions(image: Image, num_regions: int = 12, seed: int = 0) -> Labels:
    """The regions of SAS (Li, Wu & Chang, CVPR 2012) on our six over-segmentations.

    Args:
        image: ``(C, H, W)`` in [0, 1] or unsigned integers.
        num_regions: Clusters; a cluster may be in several places.
        seed: Seed of K-means.
    """
    check_num_labels(num_regions)
    values = as_image(image)
    colors = color_space(values, "lab")
    return transfer_cut_regions(ToMultiscale()(values), colors, num_regions, seed)


def grid_regions(image: Image, num_regions: int = 12) -> Labels:
    """About so many equal rectangles, as square as may be: what an image without content gives."""
    check_num_labels(num_regions)
    height, width = as_image(image).shape[1:]
    rows = max(1, round(np.sqrt(num_regions * height / width)))
    columns = max(1, round(num_regions / rows))
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    return row[:, None] * columns + column


def one_label(image: Image) -> Labels:
    """The same label everywhere."""
    return np.zeros(as_image(image).shape[1:], dtype=np.int64)
