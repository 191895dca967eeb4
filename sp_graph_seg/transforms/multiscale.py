"""The transform ToMultiscale, which converts an image to a graph of several over-segmentations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms.arrays import as_image, as_mask
from sp_graph_seg.transforms.levels import LEVELS, VOLUME_LEVELS, Level
from sp_graph_seg.transforms.reduce import majority_over_nodes, mean_over_nodes
from sp_graph_seg.transforms.superpixels import Labels
from sp_graph_seg.transforms.touching import fill_nearest, find_touching, number_regions
from sp_graph_seg.transforms.weights import affinity, color_distance

#: The three types of edges.
PIXEL_IN_CELL = ("pixel", "lies_in", "cell")
CELL_IN_SUPERPIXEL = ("cell", "lies_in", "superpixel")
TOUCHES = ("superpixel", "touches", "superpixel")

#: Beta of SAS for CIELAB / 100 (Li, Wu & Chang, Eq. 1), as an exponent.
_TAU = -20.0

#: Fields of a ``Data`` that the transform uses and does not copy to the graph.
_INPUTS = frozenset({"image", "mask", "y"})


@functional_transform("to_multiscale")
class ToMultiscale(BaseTransform):
    """Converts an image to a graph of pixels and superpixels of several scales (functional name:
    :obj:`to_multiscale`), after `"Segmentation Using Superpixels: A Bipartite Graph Partitioning
    Approach" <https://doi.org/10.1109/CVPR.2012.6247750>`_ (SAS; Li, Wu & Chang, CVPR 2012).

    Every level is an over-segmentation of the whole image. Pixels that lie in the same superpixel
    of every level form a *cell*. A photograph has 1000 to 4000 cells.

    The input is an image ``(C, H, W)`` or a volume ``(C, D, H, W)``. It may be a tensor or an
    array. Its values must lie in [0, 1], or be unsigned integers, which are divided by the largest
    value of their type. The input may also be a :class:`~torch_geometric.data.Data` with such an
    ``image`` and optionally with ``mask`` and ``y``.

    The output is a :class:`~torch_geometric.data.HeteroData` on the CPU. It has P pixels, N cells,
    and S superpixels of M levels:

    * ``["pixel"].x (P, C)``: the colours.
    * ``["cell"].x (N, C)`` and ``["superpixel"].x (S, C)``: the mean colours.
    * ``["cell"].pos (N, ndim)`` and ``["superpixel"].pos (S, ndim)``: the centroids, with
      coordinates in the order of the image's axes.
    * ``["cell"].num_pixels (N,)`` and ``["superpixel"].num_pixels (S,)``: the numbers of pixels.
    * ``["superpixel"].level (S,)``: the level of each superpixel, from 0. The superpixels are
      sorted by level.
    * ``["pixel", "lies_in", "cell"].edge_index (2, P)``: the cell of each pixel, sorted by pixel.
    * ``["cell", "lies_in", "superpixel"].edge_index (2, N * M)``: the superpixel of each cell in
      each level, sorted by cell, then by level.
    * ``["superpixel", "touches", "superpixel"].edge_index (2, E)``: all pairs of superpixels of
      the same level that share a pixel face. Both directions are stored. The edges are sorted by
      target, then by source. ``edge_attr (E, 1)`` is the distance d of the two colours, and
      ``edge_weight (E,)`` is the affinity exp(tau d).
    * ``pixel_mask (H*W,)``: true for each pixel of the flattened image that is in the graph.
    * ``image_size (1, ndim)``: H and W, or D, H and W.

    If ``y`` has the size of the image, each cell and each superpixel gets the most frequent label
    of its pixels as ``y``. A cell or superpixel without a labelled pixel gets -1, and its
    ``train_mask`` is false. All other fields are copied.

    Args:
        levels: One function for each level, in any order. A function takes an image ``(C, H, W)``
            or a volume ``(C, D, H, W)``. It returns the superpixel of each pixel as an id from 0.
            (default: six over-segmentations by Felzenszwalb & Huttenlocher for images, four
            watersheds for volumes)
        tau: Temperature of the affinities, below 0. (default: :obj:`-20.0`)
        mask: True for the pixels that belong to the graph, of the image's size. The values of all
            other pixels are ignored. (default: :obj:`None`)

    Raises:
        InputError: If there is no level, or tau is not negative. A call of the transform also
            raises it if the image or the mask is invalid, or if a level does not return one id for
            each pixel.

    Example:
        >>> image = torch.zeros(3, 32, 48)
        >>> image[:, :, 20:] = 1
        >>> graph = ToMultiscale()(image)
        >>> graph["cell"].num_nodes, graph["superpixel"].level.tolist()
        (2, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    """

    def __init__(
        self,
        levels: Sequence[Level] | None = None,
        tau: float = _TAU,
        mask: ArrayLike | Tensor | None = None,
    ) -> None:
        if levels is not None and len(levels) == 0:
            raise InputError(
                "levels: the sequence is empty; give at least one level, or None for the default "
                "levels."
            )
        if not (np.isfinite(tau) and tau < 0):
            raise InputError(f"tau={tau} does not give affinities; use a negative number.")
        self.levels = None if levels is None else tuple(levels)
        self.tau = tau
        self.mask = mask

    def __call__(self, data: Tensor | ArrayLike | Data) -> HeteroData:
        """Calls ``forward`` without a copy of the input, because ``forward`` does not change it."""
        return self.forward(data)

    def forward(self, data: Tensor | ArrayLike | Data) -> HeteroData:
        """Converts an image ``(C, H, W)`` or a volume ``(C, D, H, W)`` to a graph."""
        fields: dict[str, Any] = data.to_dict() if isinstance(data, Data) else {"image": data}
        if fields.get("image") is None:
            raise InputError(
                "data: the field image is missing; give Data(image=...) with an image (C, H, W) or "
                "a volume (C, D, H, W)."
            )
        mask = self.mask if fields.get("mask") is None else fields["mask"]
        image = as_image(fields["image"], mask=mask)
        inside = None if mask is None else as_mask(mask, image.shape[1:])
        graph = _join_levels(image, self._segment(image, inside), self.tau)
        for name, value in fields.items():
            if name not in _INPUTS:
                graph[name] = value
        _add_labels(graph, fields.get("y"), image.shape[1:])
        return graph

    def _segment(self, image: NDArray[np.float32], inside: NDArray[np.bool_] | None) -> Labels:
        """Returns the superpixel of each pixel in each of the M levels, ``(M, *size)``.

        ``*size`` is the size of the image. The ids of each level start at 0. Pixels outside the
        mask have -1.
        """
        levels = self.levels or (LEVELS if image.ndim == 3 else VOLUME_LEVELS)
        seen = image if inside is None else fill_nearest(image, inside)
        maps = [np.asarray(level(seen)) for level in levels]
        for level, ids in zip(levels, maps, strict=True):
            if ids.shape != image.shape[1:]:
                raise InputError(
                    f"levels: {level} returned ids of shape {ids.shape} for an image of size "
                    f"{image.shape[1:]}; return one id for each pixel."
                )
        kept = maps if inside is None else [np.where(inside, ids, -1) for ids in maps]
        return np.stack([number_regions(ids) for ids in kept])

    def __repr__(self) -> str:
        names = ["tau"] + [name for name in ("levels", "mask") if getattr(self, name) is not None]
        shown = [f"{n}={self.tau}" if n == "tau" else f"{n}=..." for n in names]
        return f"{type(self).__name__}({', '.join(shown)})"


def cell_image(graph: HeteroData) -> Labels:
    """Returns an array of the image's size with the cell of each pixel.

    Pixels outside the mask have -1.
    """
    return _paint(graph, graph[PIXEL_IN_CELL].edge_index[1])


def level_images(graph: HeteroData) -> Labels:
    """Returns the superpixel of each pixel in each of the M levels, ``(M, *size)``.

    ``*size`` is the size of the image. Pixels outside the mask have -1. The ids are the node ids of
    the graph, so superpixels of different levels have different ids.
    """
    of_cell = _superpixels_of_cells(graph)[graph[PIXEL_IN_CELL].edge_index[1]]  # (P, M)
    return np.stack([_paint(graph, ids) for ids in of_cell.T])


def superpixel_means(graph: HeteroData, values: NDArray) -> NDArray[np.float64]:
    """Computes the mean of F values over the pixels of each superpixel of all levels, ``(S, F)``.

    There are S superpixels. ``values`` has F numbers for each pixel, such as its colours or its
    features. Its shape is ``(H, W, F)``, or ``(D, H, W, F)`` in a volume.
    """
    cells = cell_image(graph)
    inside = cells >= 0
    count = graph["cell"].num_nodes
    sums = [np.bincount(cells[inside], channel, count) for channel in values[inside].T]
    cell, superpixel = graph[CELL_IN_SUPERPIXEL].edge_index.numpy()
    size = graph["superpixel"].num_pixels.numpy()
    return np.stack([np.bincount(superpixel, s[cell], len(size)) / size for s in sums], axis=1)


def _join_levels(image: NDArray[np.float32], levels: Labels, tau: float) -> HeteroData:
    """Makes the graph from the superpixel of each pixel in each of the M levels.

    The first axis of ``levels`` is the level. The ids must be negative at the same pixels in all
    levels.
    """
    inside = levels[0] >= 0
    counts = [int(level.max()) + 1 for level in levels]
    start = np.cumsum([0, *counts])
    cell_of, member = _common_cells(levels[:, inside])
    member = member + start[:-1]  # (N, M)
    position = np.indices(inside.shape)[:, inside]  # (ndim, P)
    size = np.bincount(cell_of)
    graph = HeteroData()
    colors = image[:, inside]
    graph["pixel"].x = torch.from_numpy(colors.T.copy())
    values = np.concatenate([colors, position])  # (C + ndim, P)
    x, pos = mean_over_nodes(values, cell_of, size).split([len(image), len(position)], dim=1)
    graph["cell"].x, graph["cell"].pos, graph["cell"].num_pixels = x, pos, torch.from_numpy(size)
    sizes = [np.bincount(level[inside]) for level in levels]
    means = [
        mean_over_nodes(values, level[inside], num_pixels)
        for level, num_pixels in zip(levels, sizes, strict=True)
    ]
    x, pos = torch.cat(means).split([len(image), len(position)], dim=1)
    graph["superpixel"].x, graph["superpixel"].pos = x, pos
    graph["superpixel"].num_pixels = torch.from_numpy(np.concatenate(sizes))
    graph["superpixel"].level = torch.from_numpy(np.repeat(np.arange(len(levels)), counts))
    graph[PIXEL_IN_CELL].edge_index = torch.from_numpy(np.stack([np.arange(cell_of.size), cell_of]))
    cells = np.repeat(np.arange(size.size), len(levels))
    graph[CELL_IN_SUPERPIXEL].edge_index = torch.from_numpy(np.stack([cells, member.ravel()]))
    pairs = [
        find_touching(level).pairs + first for level, first in zip(levels, start, strict=False)
    ]
    edge_index = torch.from_numpy(_both_directions(np.concatenate(pairs)))
    distance = color_distance(x, edge_index)
    graph[TOUCHES].edge_index = edge_index
    graph[TOUCHES].edge_attr = distance.unsqueeze(-1)
    graph[TOUCHES].edge_weight = affinity(distance, tau)
    graph.pixel_mask = torch.from_numpy(inside.ravel())
    graph.image_size = torch.tensor([inside.shape])
    return graph


def _common_cells(levels: Labels) -> tuple[Labels, Labels]:
    """Finds the cells. A cell is a set of pixels in the same superpixel of every level.

    ``levels (M, P)`` is the superpixel of each pixel in each level. Returns the cell of each pixel,
    ``(P,)``, and the superpixel of each cell in each level, ``(N, M)``.
    """
    code = np.zeros(levels.shape[1], dtype=np.int64)
    for level in levels:
        code = code * (int(level.max()) + 1) + level
        code = np.unique(code, return_inverse=True)[1]  # keeps the numbers small
    member = np.empty((int(code.max()) + 1, len(levels)), dtype=np.int64)
    member[code] = levels.T
    return code, member


def _both_directions(pairs: Labels) -> Labels:
    """Converts pairs ``(E / 2, 2)`` to edges ``(2, E)`` in both directions.

    The edges are sorted by the second row, then by the first row.
    """
    edges = np.concatenate([pairs, pairs[:, ::-1]]).T
    return edges[:, np.lexsort(edges)]


def _superpixels_of_cells(graph: HeteroData) -> Labels:
    """Returns the superpixel of each cell in each level, ``(N, M)``."""
    return graph[CELL_IN_SUPERPIXEL].edge_index[1].numpy().reshape(graph["cell"].num_nodes, -1)


def _paint(graph: HeteroData, ids: Tensor | Labels) -> Labels:
    """Makes an image from one id for each pixel of the graph. All other pixels get -1."""
    if graph.image_size.size(0) != 1:
        raise InputError(
            "graph: the graph is a batch of images; select one image with batch.get_example(i)."
        )
    painted = np.full(graph.pixel_mask.shape, -1)
    painted[graph.pixel_mask.numpy()] = ids
    return painted.reshape(graph.image_size[0].tolist())


def _add_labels(graph: HeteroData, y: Any, size: tuple[int, ...]) -> None:
    """Converts labels of pixels, ``y``, to labels of cells and superpixels.

    A ``y`` of another size than the image, such as one label of the image, is copied.
    """
    if not isinstance(y, Tensor | np.ndarray) or tuple(y.shape) != size:
        if y is not None:
            graph.y = y
        return
    labels = torch.as_tensor(np.asarray(y).ravel().astype(np.int64))[graph.pixel_mask]
    cells = graph[PIXEL_IN_CELL].edge_index[1]
    superpixels = torch.from_numpy(_superpixels_of_cells(graph))[cells]  # (P, M)
    num_levels = superpixels.size(1)
    nodes = {
        "cell": (labels, cells),
        "superpixel": (labels.repeat_interleave(num_levels), superpixels.ravel()),
    }
    for name, (own, index) in nodes.items():
        graph[name].y = majority_over_nodes(own, index, graph[name].num_nodes)
        graph[name].train_mask = graph[name].y >= 0
