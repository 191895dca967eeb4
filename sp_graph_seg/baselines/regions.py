"""Functions that find regions of one image without training.

Some are published methods. The others are trivial methods for comparison.
"""

import numpy as np

from sp_graph_seg.baselines.common import Labels, check_num_labels
from sp_graph_seg.regions import transfer_cut_regions
from sp_graph_seg.transforms import FelzenszwalbLevel, ToMultiscale, as_image, color_space
from sp_graph_seg.transforms.prepare import Image


def felzenszwalb_regions(image: Image, scale: float = 300.0) -> Labels:
    """Finds regions by the method of Felzenszwalb & Huttenlocher (IJCV 2004).

    The image is smoothed by a Gaussian with a standard deviation of 0.8 pixels. A region has at
    least 100 pixels.

    Args:
        image: ``(C, H, W)``, values in [0, 1] or unsigned integers.
        scale: The parameter k of the paper, for colours from 0 to 255. A larger scale gives larger
            regions.
    """
    return FelzenszwalbLevel("rgb", scale, 0.8, 100)(as_image(image))


def sas_regions(image: Image, num_regions: int = 12, seed: int = 0) -> Labels:
    """Finds regions by SAS (segmentation by aggregating superpixels).

    The method of Li, Wu & Chang (CVPR 2012) is applied to the six over-segmentations that
    :class:`~sp_graph_seg.transforms.ToMultiscale` makes by default.

    Args:
        image: ``(C, H, W)``, values in [0, 1] or unsigned integers.
        num_regions: Number of clusters. A cluster may have several components.
        seed: Seed of K-means.
    """
    check_num_labels(num_regions)
    values = as_image(image)
    colors = color_space(values, "lab")
    return transfer_cut_regions(ToMultiscale()(values), colors, num_regions, seed)


def grid_regions(image: Image, num_regions: int = 12) -> Labels:
    """Divides an image into a grid of about ``num_regions`` equal, nearly square rectangles."""
    check_num_labels(num_regions)
    height, width = as_image(image).shape[1:]
    rows = max(1, round(np.sqrt(num_regions * height / width)))
    columns = max(1, round(num_regions / rows))
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    return row[:, None] * columns + column


def one_label(image: Image) -> Labels:
    """Makes a label map in which every pixel of the image has the label 0."""
    return np.zeros(as_image(image).shape[1:], dtype=np.int64)
