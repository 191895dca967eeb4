"""From labels, which mean the same everywhere, to regions, each in one piece."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.superpixels import connected_regions


def split_regions(labels: ArrayLike, min_share: float = 0.005) -> NDArray[np.int64]:
    """Makes every connected region of a label a segment of its own.

    Labels say what something is: two sheep have one label. Human segmentations, as those of the
    Berkeley dataset, say where one thing ends and the next begins. Regions smaller than the share
    go, pixel by pixel, to the larger one that is the fewest steps over faces away; the largest is
    always kept. Every segment is connected over faces.

    Args:
        labels: ``(H, W)`` or ``(D, H, W)``, integers from 0.
        min_share: The least share of the image that a region has, from 0 to 1.
            (default: :obj:`0.005`)

    Returns:
        Segments of the same shape, from 0 without gaps.

    Raises:
        InputError: If the labels are not such integers, or the share is out of its range.
    """
    from skimage.segmentation import watershed

    if not 0 <= min_share <= 1:
        raise InputError(f"min_share={min_share} is a share: use 0 to 1.")
    regions = connected_regions(labels)
    sizes = np.bincount(regions.ravel())
    is_small = sizes < min(min_share * regions.size, sizes.max())
    if is_small.any():
        # Flooding: what is nearest in a straight line may not be connected.
        seeds = np.where(is_small[regions], 0, regions + 1)
        regions = watershed(np.zeros(regions.shape), seeds)
    return np.unique(regions, return_inverse=True)[1].reshape(regions.shape)
