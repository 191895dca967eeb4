"""Draws a region adjacency graph over its image."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot.colors import as_flat_image, to_rgb
from sp_graph_seg.transforms import to_label_image
from sp_graph_seg.transforms.prepare import measure_intensity_range, normalize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch_geometric.data import Data

#: Longer side of a drawn image, in inches and in points.
_INCHES = 9.0
_POINTS = 72 * _INCHES


def draw_graph(image: ArrayLike | Tensor, data: "Data") -> "Figure":
    """Draws a region adjacency graph over its image.

    The image is dark grey and the superpixels have faint outlines. The colour of a node is its
    mean colour. The colour of an edge shows the colour distance of its two nodes (``edge_attr``).
    Lines and dots are thinner if there are more nodes.

    Args:
        image: The image, ``(C, H, W)``. The mean over its channels is shown.
        data: The graph of the image, from :class:`~sp_graph_seg.transforms.ToRAG`.

    Raises:
        InputError: If the image is not ``(C, H, W)``, or the graph belongs to an image with another
            size or number of channels.
    """
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    image = as_flat_image(image)
    size = tuple(data.image_size[0].tolist())
    if size != image.shape[1:] or data.x.size(1) != image.shape[0]:
        raise InputError(
            f"data: the graph was made from an image of size {size} with {data.x.size(1)} "
            f"channels, but the given image has shape {image.shape}; give the image that the "
            "graph was made from."
        )
    intensity = measure_intensity_range([image])
    height, width = size
    scale = _INCHES / max(size)
    figure = Figure(figsize=(width * scale + 1, height * scale), layout="constrained")
    axes = figure.add_subplot(xticks=[], yticks=[], frame_on=False)
    axes.imshow(normalize(image, *intensity).mean(axis=0), cmap="gray", vmin=-0.2, vmax=2.2)
    _draw_outlines(axes, data)

    row, column = data.pos.T.numpy()
    position = np.stack([column, row], axis=1)  # (N, 2): x, y
    once = data.edge_index[0] < data.edge_index[1]
    spacing = _POINTS / max(size) * math.sqrt(height * width / data.num_nodes)  # in points
    edges = LineCollection(
        list(position[data.edge_index.T[once].numpy()]),
        array=data.edge_attr[once, 0].numpy(),
        cmap=ListedColormap(colormaps["plasma"](np.linspace(0.4, 1, 256))),  # no dark end
        linewidths=np.clip(0.1 * spacing, 0.6, 2.5),
    )
    axes.add_collection(edges, autolim=False)
    figure.colorbar(edges, ax=axes, label="colour distance (Eq. 2)", shrink=0.8, pad=0.02)
    axes.scatter(
        column,
        row,
        s=np.clip(0.3 * spacing, 1.5, 9) ** 2,
        c=to_rgb(data.x.T[..., None].numpy(), *intensity)[:, 0],
        edgecolors="white",
        linewidths=np.clip(0.03 * spacing, 0.2, 1),
        zorder=3,
    )
    return figure


def _draw_outlines(axes: "Axes", data: "Data") -> None:
    """Draws the outlines of the superpixels. They run between pixels and are half a pixel wide."""
    from skimage.segmentation import find_boundaries

    nodes = to_label_image(torch.arange(data.num_nodes), data).numpy()
    height, width = nodes.shape
    outline = find_boundaries(nodes, mode="subpixel", background=-2)
    veil = np.ones((*outline.shape, 4))
    veil[..., 3] = 0.2 * outline
    axes.imshow(veil, extent=(-0.25, width - 0.75, height - 0.75, -0.25), interpolation="nearest")
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
