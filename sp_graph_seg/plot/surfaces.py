"""Draws surfaces as a shaded picture. This needs no display and no graphics card."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.surfaces import Surface
from sp_graph_seg.plot.colors import numbered_colors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AMBIENT = 0.2  # share of the light that comes from everywhere
_HAZE = 0.25  # the farthest point is darker than the nearest by this share


def render_surfaces(
    surfaces: Mapping[int, Surface],
    names: Mapping[int, str] | None = None,
    colors: Mapping[int, str] | None = None,
    unit: str = "voxels",
    elevation: float = 25.0,
    azimuth: float = -60.0,
) -> "Figure":
    """Draws surfaces in one figure, opaque and shaded, in true proportions and without perspective.

    The axis z of the volume points upwards. The most distant triangles are drawn first. Thus a
    large triangle may wrongly hide part of a surface in front of it. Only the outside of a surface
    is drawn. To look inside, leave out a label or cut the volume.

    Args:
        surfaces: The surface for each label, see
            :func:`~sp_graph_seg.labels.surfaces.extract_surface`.
        names: Names of labels, for the legend.
        colors: Colours of labels, in any form that Matplotlib knows. (default: those of
            :func:`overlay_labels`)
        unit: Unit of the coordinates of the vertices.
        elevation: Angle of the viewer above the horizon, in degrees.
        azimuth: Angle of the viewer around the axis z, in degrees.

    Raises:
        InputError: If there are no triangles, or a colour is invalid.
    """
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]

    if not any(len(faces) for _, faces in surfaces.values()):
        raise InputError(
            "surfaces: have no triangles; give the surface of a label that occurs in the volume."
        )
    chosen = numbered_colors(max(surfaces) + 1, colors)
    rgb = {label: to_rgb(chosen[label]) for label in surfaces}
    vertices = np.concatenate([surface.vertices for surface in surfaces.values()])
    view = _view(elevation, azimuth)
    depth = vertices @ view[2]
    triangles, shades = [], []
    for label, surface in surfaces.items():
        normals = np.cross(*_sides(surface)) @ view.T  # (T, 3) as seen
        front = normals[:, 2] > 0
        seen = surface.vertices[surface.faces[front]]  # (T, 3, 3)
        nearness = np.interp(seen.mean(axis=1) @ view[2], (depth.min(), depth.max()), (0, 1))
        light = _brightness(normals, surface)[front] * (1 - _HAZE * (1 - nearness))
        triangles.append(seen)
        shades.append(light[:, np.newaxis] * rgb[label])

    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.add_subplot(projection="3d", elev=elevation, azim=azimuth, proj_type="ortho")
    # All triangles are in one collection, because they are sorted only inside of a collection.
    # Antialiased edges would let surfaces behind shine through.
    axes.add_collection3d(
        Poly3DCollection(
            np.concatenate(triangles), facecolors=np.concatenate(shades), antialiased=False
        )
    )
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    for i, axis in enumerate("xyz"):
        axes.set(**{f"{axis}lim": (low[i], high[i]), f"{axis}label": f"{axis} ({unit})"})
    axes.set_box_aspect(high - low, zoom=0.85)  # otherwise the label of z is cut off
    legend = [
        Patch(color=color, label=(names or {}).get(label, f"label {label}"))
        for label, color in rgb.items()
    ]
    figure.legend(handles=legend, loc="outside upper center", ncols=4, frameon=False)
    return figure


def _view(elevation: float, azimuth: float) -> NDArray[np.float64]:
    """Returns three directions as rows ``(3, 3)``: right, up, and towards the viewer."""
    height, around = math.radians(elevation), math.radians(azimuth)
    right = np.array([-math.sin(around), math.cos(around), 0])
    forth = np.array([math.cos(around), math.sin(around), 0])
    towards = math.cos(height) * forth + math.sin(height) * np.array([0, 0, 1])
    return np.stack([right, np.cross(towards, right), towards])


def _sides(surface: Surface) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns two sides of each triangle. The cross product of the two sides points outwards."""
    a, b, c = surface.vertices.astype(np.float64)[surface.faces].transpose(1, 0, 2)
    return b - a, c - a


def _brightness(normals: NDArray[np.float64], surface: Surface) -> NDArray[np.float64]:
    """Computes the brightness of each of T faces, ``(T,)``, from the normals at its vertices.

    The normals of the faces themselves would make the steps between voxels visible.
    """
    from matplotlib.colors import LightSource

    faces = surface.faces
    at_vertex = np.stack(
        [
            np.bincount(faces.ravel(), np.repeat(part, 3), minlength=len(surface.vertices))
            for part in normals.T
        ],
        axis=1,
    )
    smooth = at_vertex[faces].sum(axis=1)
    length = np.linalg.norm(smooth, axis=1)
    smooth /= np.where(length > 0, length, 1)[:, np.newaxis]
    # By default the light comes from the left, above and behind the viewer.
    return _AMBIENT + (1 - _AMBIENT) * LightSource().shade_normals(smooth)  # none is all black
