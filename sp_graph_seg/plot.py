"""Every picture: labels over an image, the graph over an image, and the course of a training."""

import math
import os
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.inference.prepare import measure_intensity_range, normalize
from sp_graph_seg.io import atomic_write
from sp_graph_seg.transforms import as_array, as_image, to_label_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch_geometric.data import Data

    from sp_graph_seg.training import History

#: Number of colours of labels; further labels start again with the first.
_NUM_COLORS = 64

#: Longer side of a drawn image, in inches and in points.
_INCHES = 9.0
_POINTS = 72 * _INCHES

#: Columns of a history, their names and colours.
_TERMS = {
    "loss": ("loss (Eq. 9)", "black"),
    "rec": ("reconstruction", "tab:blue"),
    "cut": ("N-Cut", "tab:red"),
    "sim": ("similarity", "tab:orange"),
    "con": ("continuity", "tab:green"),
}


def overlay_labels(
    image: ArrayLike | Tensor, labels: ArrayLike | Tensor, alpha: float = 0.5
) -> NDArray[np.uint8]:
    """Tints an image with its labels and outlines their regions.

    The colour of a label depends on its number alone: it means the same in every picture.

    Args:
        image: ``(C, H, W)``, shown in grey, so that colours tell labels alone: the mean of the
            channels, from the 0.1 to the 99.9 percentile of the values.
        labels: ``(H, W)``, integers from 0.
        alpha: Weight of the tint, from 0 to 1. (default: :obj:`0.5`)

    Returns:
        ``(H, W, 3)``.

    Raises:
        InputError: If the image is not ``(C, H, W)``, the labels are not integers from 0 of its
            size, or alpha is not a share.
    """
    from skimage.segmentation import find_boundaries

    image, labels = _as_flat_image(image), as_array(labels)
    if labels.shape != image.shape[1:] or labels.dtype.kind not in "bui" or labels.min() < 0:
        raise InputError(
            f"labels: {labels.dtype} of shape {labels.shape} do not suit the image; "
            f"give integers from 0 of shape {image.shape[1:]}."
        )
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha={alpha} is a share: use 0 to 1.")
    picture = normalize(image, *measure_intensity_range([image])).mean(axis=0)[..., np.newaxis]
    picture = 0.25 + 0.75 * picture  # black would swallow the tint
    labels = labels.astype(np.int64)
    tint = _label_colors()[labels % _NUM_COLORS]
    tinted = (1 - alpha) * picture + alpha * tint
    outline = find_boundaries(labels, mode="inner", background=-1)
    return np.rint(255 * np.where(outline[..., np.newaxis], tint, tinted)).astype(np.uint8)


def draw_graph(image: ArrayLike | Tensor, data: "Data") -> "Figure":
    """Draws a region adjacency graph over its image.

    The image is dark grey, superpixels have faint outlines, nodes their mean colour, and edges the
    colour distance of their ends (``edge_attr``). The more nodes, the thinner the lines and dots.

    Args:
        image: ``(C, H, W)``, whose mean over the channels is shown.
        data: Its graph from :class:`~sp_graph_seg.transforms.ToRAG`.

    Raises:
        InputError: If the image is no ``(C, H, W)``, such as a volume, or not that of the graph.
    """
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    image = _as_flat_image(image)
    size = tuple(data.image_size[0].tolist())
    if size != image.shape[1:] or data.x.size(1) != image.shape[0]:
        raise InputError(
            f"data: is the graph of an image of size {size} with {data.x.size(1)} channels, not "
            f"of this one, {image.shape}; give the image that it was made of."
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
    spacing = _POINTS / max(size) * math.sqrt(height * width / data.num_nodes)  # of nodes, points
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
        c=_to_rgb(data.x.T[..., None].numpy(), *intensity)[:, 0],
        edgecolors="white",
        linewidths=np.clip(0.03 * spacing, 0.2, 1),
        zorder=3,
    )
    return figure


def plot_history(history: "History") -> "Figure":
    """Plots the loss and its terms over the steps, and below the number of labels.

    Args:
        history: From :func:`sp_graph_seg.training.fit`; a term without any finite value is left
            out.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8.5, 5), layout="constrained")
    losses, labels = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    steps = history["step"]
    for name, (title, color) in _TERMS.items():
        if np.isfinite(history[name]).any():
            losses.plot(steps, history[name], label=title, color=color, marker=".")
    losses.set_ylabel("loss")
    figure.legend(loc="outside right upper")
    labels.step(steps, history["num_labels"], where="mid", marker=".", color="black")
    labels.set(xlabel="step", ylabel="number of labels")
    labels.set_ylim(bottom=0)
    for axes in (losses, labels):
        axes.grid(alpha=0.3)
    labels.xaxis.set_major_locator(MaxNLocator(integer=True))
    labels.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def save_figure(path: str | os.PathLike[str], figure: "Figure") -> None:
    """Writes a figure, whole or not at all, in the format that the suffix of ``path`` names.

    Raises:
        InputError: If the file cannot be written.
    """
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=200)


def _as_flat_image(image: ArrayLike | Tensor) -> NDArray[np.float32]:
    array = as_image(image)
    if array.ndim != 3:
        raise InputError(f"image: shape {array.shape} is a volume; give one slice, (C, H, W).")
    return array


def _to_rgb(image: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """``(C, H, W)`` as ``(H, W, 3)`` in [0, 1]; ``low`` becomes black and ``high`` white."""
    channels = normalize(image, low, high)
    if len(channels) != 3:
        channels = np.broadcast_to(channels.mean(axis=0), (3, *channels.shape[1:]))
    return channels.transpose(1, 2, 0)


@cache
def _label_colors() -> NDArray[np.float64]:
    """Colours ``(_NUM_COLORS, 3)``, each the farthest in CIELAB from all before it."""
    from skimage.color import rgb2lab

    steps = np.linspace(0, 1, 16)
    rgb = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    lab = rgb2lab(rgb)
    lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    # Neither dark, pale or grey, nor glaring.
    usable = (lightness > 45) & (lightness < 92) & (chroma > 35) & (chroma < 95)
    rgb, lab = rgb[usable], lab[usable]
    lab[:, 0] *= 0.7  # the image shines through and blurs lightness more than hue

    blue = (0.0, 0.47, 0.87)
    chosen = [int(np.abs(rgb - blue).sum(axis=1).argmin())]
    distance = np.full(len(lab), np.inf)
    while len(chosen) < _NUM_COLORS:
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return rgb[chosen]


def _draw_outlines(axes: "Axes", data: "Data") -> None:
    """Draws the outlines of the superpixels between the pixels, half a pixel wide."""
    from skimage.segmentation import find_boundaries

    nodes = to_label_image(torch.arange(data.num_nodes), data).numpy()
    height, width = nodes.shape
    outline = find_boundaries(nodes, mode="subpixel", background=-2)
    veil = np.ones((*outline.shape, 4))
    veil[..., 3] = 0.2 * outline
    axes.imshow(veil, extent=(-0.25, width - 0.75, height - 0.75, -0.25), interpolation="nearest")
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
