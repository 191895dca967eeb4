"""Draws three slices through a volume, perpendicular to its axes, in true proportions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot.layout import Picture, show_image, show_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Width of a figure, and space for the numbers and names of the axes of a panel, in inches.
_WIDTH = 10.0
_FREE = 0.7

#: The axes of an array ``(D, H, W)``.
_AXES = "zyx"


class _Panel(NamedTuple):
    """The slice perpendicular to one axis."""

    axis: int
    rows: int
    """The axis that runs down."""
    columns: int
    """The axis that runs to the right."""


_PANELS = (_Panel(0, 1, 2), _Panel(1, 0, 2), _Panel(2, 0, 1))


def orthogonal_slices(
    volume: Any,
    labels: Any = None,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    unit: str = "voxels",
    position: Sequence[int] | None = None,
    alpha: float = 0.5,
) -> "Figure":
    """Shows the three slices through one voxel of a volume and, below, these slices with labels.

    The panels are perpendicular to z, y and x and have the same physical scale. Thin lines show the
    positions of the other two panels. The 0.1 percentile of the values of each slice is black, and
    the 99.9 percentile is white.

    Args:
        volume: A grey volume ``(D, H, W)``: an array, a memory map, or an array of Zarr or HDF5.
            Only three slices are read.
        labels: Labels of the voxels, an array of the same shape. (default: :obj:`None`, which draws
            no second row)
        spacing: Size of a voxel along z, y and x, such as ``Volume.spacing``.
        unit: Unit of ``spacing``, to be written at the axes.
        position: Indices z, y, x of the voxel that all three slices contain. (default: the middle)
        alpha: Weight of the colours of labels against the image, from 0 to 1. (default: :obj:`0.5`)

    Raises:
        InputError: If the volume does not have three axes, the labels do not fit it, a spacing is
            not positive, or the position lies outside of the volume.
    """
    from matplotlib.figure import Figure

    shape = _check_shapes(volume, labels)
    voxel = _check_position(position, shape)
    if len(spacing) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing):
        raise InputError(
            f"spacing={spacing} is invalid; give three positive numbers, for z, y and x."
        )
    slices = [_cut(volume, panel.axis, voxel)[np.newaxis].astype(np.float32) for panel in _PANELS]
    rows = [[show_image(image) for image in slices]]
    if labels is not None:
        cuts = [_cut(labels, panel.axis, voxel) for panel in _PANELS]
        rows.append(
            [
                show_labels([image], [cut], alpha, f"labels at {_AXES[panel.axis]}")[0]
                for image, cut, panel in zip(slices, cuts, _PANELS, strict=True)
            ]
        )

    extent = [n * s for n, s in zip(shape, spacing, strict=True)]
    widths = [extent[panel.columns] for panel in _PANELS]
    scale = (_WIDTH - 3 * _FREE) / sum(widths)
    height = len(rows) * (scale * max(extent[panel.rows] for panel in _PANELS) + _FREE)
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    grid = figure.subplots(len(rows), 3, squeeze=False, width_ratios=widths)
    for axes_of_row, pictures in zip(grid, rows, strict=True):
        for axes, picture, panel in zip(axes_of_row, pictures, _PANELS, strict=True):
            _draw_panel(axes, picture, panel, extent, unit)
            _draw_cuts(axes, panel, [(v + 0.5) * s for v, s in zip(voxel, spacing, strict=True)])
    for axes, panel in zip(grid[0], _PANELS, strict=True):
        axes.set_title(f"{_AXES[panel.axis]} = {voxel[panel.axis]}")
    return figure


def _draw_panel(
    axes: "Axes", picture: Picture, panel: _Panel, extent: Sequence[float], unit: str
) -> None:
    width, height = extent[panel.columns], extent[panel.rows]
    axes.imshow(picture, extent=(0, width, height, 0), aspect="equal", interpolation="nearest")
    axes.set_xlabel(f"{_AXES[panel.columns]} ({unit})")
    axes.set_ylabel(f"{_AXES[panel.rows]} ({unit})")
    axes.locator_params(nbins=4)


def _draw_cuts(axes: "Axes", panel: _Panel, place: Sequence[float]) -> None:
    style: dict[str, Any] = {
        "color": "white",
        "linewidth": 0.6,
        "alpha": 0.7,
        "linestyle": (0, (6, 6)),
    }
    axes.axhline(place[panel.rows], **style)
    axes.axvline(place[panel.columns], **style)


def _cut(array: Any, axis: int, voxel: Sequence[int]) -> NDArray:
    """Reads the slice ``(rows, columns)`` that is perpendicular to an axis."""
    index = [slice(None)] * 3
    index[axis] = voxel[axis]  # type: ignore[call-overload]
    return np.asarray(array[tuple(index)])


def _check_shapes(volume: Any, labels: Any) -> tuple[int, ...]:
    shape = tuple(getattr(volume, "shape", ()))
    if len(shape) != 3 or 0 in shape:
        raise InputError(
            f"volume: has shape {shape}, but must have three axes; give a grey volume (D, H, W)."
        )
    if labels is not None and tuple(getattr(labels, "shape", ())) != shape:
        raise InputError(
            f"labels: have shape {tuple(getattr(labels, 'shape', ()))}, but the volume has shape "
            f"{shape}; give one label for each voxel."
        )
    return shape


def _check_position(position: Sequence[int] | None, shape: Sequence[int]) -> list[int]:
    if position is None:
        return [n // 2 for n in shape]
    if len(position) != 3 or not all(0 <= p < n for p, n in zip(position, shape, strict=True)):
        last = ", ".join(str(n - 1) for n in shape)
        raise InputError(
            f"position={position} lies outside of the volume; use z, y, x from 0, 0, 0 to {last}."
        )
    return [int(p) for p in position]
