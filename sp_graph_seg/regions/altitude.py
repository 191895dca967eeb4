"""Estimates from weighted cues how probable it is that people separate two touching regions.

**The weights were fitted to human annotations** of 40 training photographs of BSDS300, which are
every fifth of its 200 training photographs. The fit is a logistic regression. For two touching
regions, it predicts the share of pairs of their pixels that annotators separate. The weights of
gPb (Arbelaez et al., TPAMI 2011) were fitted to human annotations too. The script
``benchmarks/fit_region_tree.py`` fits the weights.
"""

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import HeteroData

from sp_graph_seg.regions.cues import HISTOGRAM_STARTS, boundary_maps, region_histograms
from sp_graph_seg.regions.merging import MergingRegions
from sp_graph_seg.regions.transfer_cut import spectral_embedding
from sp_graph_seg.transforms.multiscale import cell_image
from sp_graph_seg.transforms.superpixels import Labels, connected_components
from sp_graph_seg.transforms.touching import (
    absorb_small,
    find_touching,
    region_means,
    region_sizes,
)

Floats = NDArray[np.float64]

#: Leaves of fewer pixels are absorbed before anything is merged; as wide ones in volumes.
_MIN_SIZE = {2: 12, 3: 42}

#: Eigenvectors of the transfer cut; the first is constant.
_NUM_VECTORS = 16

#: What is known of two touching regions, and what it adds to the log-odds that they are parted.
WEIGHTS: dict[str, float] = {
    "edge_1": 5.59696290,  # root of the gradient along their boundary, at 1 pixel
    "edge_2": -0.48835557,  # at 2.5 pixels
    "color_gradient": 2.77567336,  # root of the change of local colours, at 6 pixels
    "texture_gradient": 2.48467101,  # root of the change of local texture, at 10 pixels
    "lightness": 0.50084167,  # root of the chi-squared distance of their histograms
    "a": 0.60634222,
    "b": 0.61064189,
    "texture": 0.66717966,
    "log_small": 0.28434430,  # logarithm of the smaller region's share of the image
    "log_large": 0.13265355,
    "rim": -0.09655593,  # length of their boundary over that of a square of the smaller region
    "spectral": 0.35038435,  # root of their distance in the space of the transfer cut
}
BIAS = -3.91204915

_WEIGHTS = np.array(list(WEIGHTS.values()))


def describe_regions(graph: HeteroData, lab: Floats) -> tuple[MergingRegions, Labels]:
    """Makes the leaves of a region tree, and computes their statistics.

    Each leaf is a connected part of a cell. It has at least 12 pixels, or 42 voxels in a volume. A
    smaller part is joined to its most similar neighbour.

    Args:
        graph: The graph of the image, from :class:`~sp_graph_seg.transforms.ToMultiscale`.
        lab: The colours of the image, ``(H, W, 3)`` or ``(D, H, W, 3)``, as
            :func:`~sp_graph_seg.transforms.color_space` returns them for ``"lab"``. For RGB, this
            is CIELAB divided by 100.

    Returns:
        The statistics of the leaves, and the leaf of each pixel. The leaves are an array of the
        size of the image, with -1 where there is no data.
    """
    cells = cell_image(graph)
    pieces = connected_components(cells, cells >= 0)
    leaves = absorb_small(pieces, lab, _MIN_SIZE[cells.ndim])
    embedding = spectral_embedding(graph, lab, _NUM_VECTORS)[cells]  # (*size, K - 1)
    blocks = [*region_histograms(lab, leaves), region_means(embedding, leaves)]
    touching = find_touching(leaves)
    first, second, num = touching.first, touching.second, len(touching.pairs)
    along = []
    for strength in boundary_maps(lab):
        root = np.sqrt(strength.ravel())
        along.append(np.bincount(touching.which, (root[first] + root[second]) / 2, num))
    regions = MergingRegions(
        region_sizes(leaves),
        np.concatenate(blocks, axis=1),
        touching.pairs,
        np.bincount(touching.which, minlength=num),
        np.stack(along, axis=1),
        leaves.ndim,
    )
    return regions, leaves


def pair_cues(regions: MergingRegions, i: int, others: Labels) -> Floats:
    """Computes the 12 cues of :data:`WEIGHTS` between region ``i`` and J of its neighbours.

    Args:
        regions: The statistics of the regions.
        i: The number of the region.
        others: The numbers of the neighbours, ``(J,)``.

    Returns:
        The cues, ``(J, 12)``.
    """
    length, along = regions.boundary(i, others)
    x, y = regions.mean[i], regions.mean[others]
    end = HISTOGRAM_STARTS[-1]
    parts = (y[:, :end] - x[:end]) ** 2 / (y[:, :end] + x[:end] + 1e-9)
    chi = 0.5 * np.add.reduceat(parts, HISTOGRAM_STARTS[:-1], axis=1)  # (J, 6)
    apart = np.linalg.norm(y[:, end:] - x[end:], axis=1)
    small = np.minimum(regions.size[i], regions.size[others])
    large = np.maximum(regions.size[i], regions.size[others])
    return np.column_stack(
        [
            along,
            np.sqrt(chi[:, :3]),
            np.sqrt(chi[:, 3:].mean(axis=1)),
            np.log(small / regions.total),
            np.log(large / regions.total),
            length / small ** (1 - 1 / regions.num_axes),
            np.sqrt(apart),
        ]
    )


def log_odds(regions: MergingRegions, i: int, others: Labels) -> Floats:
    """Computes the log-odds that people separate region ``i`` from each of J neighbours.

    Args:
        regions: The statistics of the regions.
        i: The number of the region.
        others: The numbers of the neighbours, ``(J,)``.

    Returns:
        The log-odds, ``(J,)``.
    """
    return pair_cues(regions, i, others) @ _WEIGHTS + BIAS
