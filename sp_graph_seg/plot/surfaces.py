"""Surfaces of a volume as a shaded picture; neither a display nor a graphics card is needed.

Matplotlib's own 3D sorts whole triangles by distance, which shows wrong ones where surfaces are
close, and needs minutes for the surfaces of a tomogram. So here every pixel takes the nearest of
the triangles over it (a z-buffer; Catmull 1974), and Matplotlib only frames the picture.
"""

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.mesh import Surface
from sp_graph_seg.plot.pictures import NUM_COLORS, label_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = NDArray[np.float64]

#: Longer side of the picture in pixels, and samples a pixel along each side.
_PIXELS = 1000
_SAMPLES = 2

#: Points of triangles that are placed at once, to bound the memory.
_POINTS_AT_ONCE = 4_000_000

_AMBIENT = 0.3  # share of the light that comes from everywhere
_HAZE = 0.35  # how much darker the farthest point is than the nearest
_LIGHT = np.array([-0.35, 0.55, 0.76])  # where it comes from: left, above and behind the viewer

_NEAREST = 2**31 - 1  # the nearest depth as an integer
_LAYERS = 12  # in which triangles are filled, from near to far


def render_surfaces(
    surfaces: Mapping[int, Surface],
    names: Mapping[int, str] | None = None,
    colors: Mapping[int, str] | None = None,
    unit: str = "voxel",
    elevation: float = 25.0,
    azimuth: float = -60.0,
) -> "Figure":
    """Draws surfaces together, opaque and shaded, in a box with its sizes.

    The view is parallel, so that lengths in one direction compare; z, the depth of the volume,
    points upwards. Triangles are seen from their outside only. To look inside, leave a label out or
    cut the volume.

    Args:
        surfaces: For a label its surface, from :func:`~sp_graph_seg.io.mesh.extract_surface`.
        names: Names of labels, for the legend.
        colors: Colours of labels, any that Matplotlib knows. (default: those of
            :func:`overlay_labels`)
        unit: What the vertices are in.
        elevation: Height of the viewer above the horizon, in degrees.
        azimuth: Direction of the viewer around z, in degrees.

    Raises:
        InputError: If there is no triangle, or a colour is none.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    if not any(len(faces) for _, faces in surfaces.values()):
        raise InputError("surfaces: there is none; extract one with extract_surface.")
    rgb = {label: _color(label, colors or {}) for label in surfaces}
    vertices = np.concatenate([vertices for vertices, _ in surfaces.values()]).astype(np.float64)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    corners = np.array(list(itertools.product(*zip(low, high, strict=True))))  # (8, 3)
    view = _view(elevation, azimuth)
    box = corners @ view.T  # (8, 3): right, up, towards the viewer
    picture = _paint(surfaces, rgb, view, box)

    left, bottom, _ = box.min(axis=0)
    right, top, _ = box.max(axis=0)
    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.add_subplot(aspect="equal", frame_on=False, xticks=[], yticks=[])
    _draw_box(axes, box, high - low, unit)
    axes.imshow(picture, extent=(left, right, bottom, top), zorder=2)
    margin = 0.08 * max(right - left, top - bottom)
    axes.set(xlim=(left - margin, right + margin), ylim=(bottom - margin, top + margin))
    legend = [
        Patch(color=color, label=(names or {}).get(label, f"label {label}"))
        for label, color in rgb.items()
    ]
    figure.legend(handles=legend, loc="outside upper right", ncols=4, frameon=False)
    return figure


def _color(label: int, colors: Mapping[int, str]) -> tuple[float, float, float]:
    from matplotlib.colors import is_color_like, to_rgb

    if label not in colors:
        return to_rgb(tuple(label_colors()[label % NUM_COLORS]))
    if not is_color_like(colors[label]):
        raise InputError(
            f"colors: {colors[label]!r} of label {label} is none; write a name or '#ffa500'."
        )
    return to_rgb(colors[label])


def _view(elevation: float, azimuth: float) -> Points:
    """Three directions as rows ``(3, 3)``: right, up, and towards the viewer."""
    height, around = math.radians(elevation), math.radians(azimuth)
    right = np.array([-math.sin(around), math.cos(around), 0])
    towards = np.array(
        [
            math.cos(height) * math.cos(around),
            math.cos(height) * math.sin(around),
            math.sin(height),
        ]
    )
    return np.stack([right, np.cross(towards, right), towards])


def _paint(
    surfaces: Mapping[int, Surface],
    rgb: Mapping[int, tuple[float, float, float]],
    view: Points,
    box: Points,
) -> NDArray[np.float64]:
    """The picture ``(rows, columns, 4)`` of the box as seen, transparent where nothing is."""
    low, high = box.min(axis=0), box.max(axis=0)
    fine = _PIXELS * _SAMPLES / (high - low)[:2].max()  # samples a unit of length
    columns, rows = np.maximum(np.ceil((high - low)[:2] * fine / _SAMPLES), 1).astype(int)
    nearest = np.zeros(rows * columns * _SAMPLES**2)
    shown = np.zeros((nearest.size, 4))
    for label, (vertices, faces) in surfaces.items():
        seen = vertices.astype(np.float64) @ view.T
        placed = (seen - low) * (fine, fine, 1 / max(high[2] - low[2], 1e-12))
        placed[:, 1] = rows * _SAMPLES - placed[:, 1]  # rows count downwards
        normal = _normals(seen, faces)
        outside = normal[:, 2] > 0  # the others are seen from within
        light = _brightness(normal, faces, len(seen))[outside]
        size = (rows * _SAMPLES, columns * _SAMPLES)
        depth, face = _nearest_faces(placed[faces[outside]], size)
        front = depth > nearest
        nearest[front] = depth[front]
        haze = 1 - _HAZE * (1 - depth[front])
        shown[front, :3] = (light[face[front]] * haze)[:, np.newaxis] * rgb[label]
        shown[front, 3] = 1
    blocks = shown.reshape(rows, _SAMPLES, columns, _SAMPLES, 4)
    opacity = blocks[..., 3].mean(axis=(1, 3))[..., np.newaxis]
    # The colour of a pixel is that of its samples that are covered.
    color = blocks[..., :3].sum(axis=(1, 3)) / np.maximum(opacity * _SAMPLES**2, 1)
    return np.concatenate([color, opacity], axis=-1)


def _normals(seen: Points, faces: NDArray[np.int64]) -> Points:
    """The normal of each face, ``(T, 3)``; its length is twice the area."""
    a, b, c = seen[faces].transpose(1, 0, 2)
    return np.cross(b - a, c - a)


def _brightness(normal: Points, faces: NDArray[np.int64], num_vertices: int) -> NDArray[np.float64]:
    """How bright each face is, ``(T,)``, by the mean of the normals of its vertices."""
    at_vertex = np.stack(
        [
            np.bincount(faces.ravel(), np.repeat(part, 3), minlength=num_vertices)
            for part in normal.T
        ],
        axis=1,
    )
    smooth = at_vertex[faces].sum(axis=1)
    length = np.linalg.norm(smooth, axis=1)
    cosine = (smooth @ _LIGHT) / np.where(length > 0, length, 1)
    return _AMBIENT + (1 - _AMBIENT) * np.clip(cosine, 0, 1)


def _nearest_faces(
    corners: Points, size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The depth in [0, 1] (1 is near) and the face at each sample, ``(rows * columns,)`` each.

    Depth (31 bits) and face (32 bits) in one number make the nearest face the largest number.
    Where there is no face the depth is 0.

    Args:
        corners: ``(T, 3, 3)``, column, row and depth of the corners of each triangle.
        size: Rows and columns.
    """
    best = np.zeros(size, dtype=np.int64)
    depth = _as_integer(corners[..., 2].max(axis=1))
    edges = corners - np.roll(corners, 1, axis=1)
    longest = np.linalg.norm(edges[..., :2], axis=-1).max(axis=1)
    # From near to far, so that most of what is hidden need not be filled.
    for some in np.array_split(np.argsort(-depth), _LAYERS):
        some = some[~_is_hidden(best, corners[some], longest[some], depth[some])]
        _fill(best, corners[some], some, longest[some])
    return (best.ravel() >> 32) / _NEAREST, best.ravel() & (2**32 - 1)


def _as_integer(depth: NDArray[np.float64]) -> NDArray[np.int64]:
    return (1 + np.clip(depth, 0, 1) * (_NEAREST - 1)).astype(np.int64)


def _is_hidden(
    best: NDArray[np.int64],
    corners: Points,
    longest: NDArray[np.float64],
    depth: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which triangles lie behind what is there already, wherever they reach."""
    from scipy.ndimage import minimum_filter

    if not len(corners):
        return np.empty(0, dtype=bool)
    reach = int(np.ceil(np.quantile(longest, 0.95)))
    farthest = minimum_filter(best >> 32, size=2 * reach + 1, mode="nearest")
    column, row = _cells(corners.mean(axis=1), best.shape)
    return (longest <= reach) & (farthest[row, column] > depth)


def _fill(
    best: NDArray[np.int64],
    corners: Points,
    faces: NDArray[np.int64],
    longest: NDArray[np.float64],
) -> None:
    """Fills triangles with points less than a sample apart."""
    parts = np.ceil(longest / 0.7).astype(np.int64) + 1
    for count in np.unique(parts):
        weights = _barycentric(count)
        chosen = np.flatnonzero(parts == count)
        at_once = max(_POINTS_AT_ONCE // len(weights), 1)
        for start in range(0, len(chosen), at_once):
            some = chosen[start : start + at_once]
            points = weights @ corners[some]  # (some, W, 3)
            column, row = _cells(points, best.shape)
            number = (_as_integer(points[..., 2]) << 32) + faces[some, np.newaxis]
            np.maximum.at(best.reshape(-1), (row * best.shape[1] + column).ravel(), number.ravel())


def _cells(points: Points, size: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The column and row of the sample that each point is in."""
    column = np.clip(points[..., 0].astype(np.int64), 0, size[1] - 1)
    return column, np.clip(points[..., 1].astype(np.int64), 0, size[0] - 1)


def _barycentric(count: int) -> Points:
    """Weights of corners, ``(W, 3)``, of points that cut the sides of a triangle in equal parts."""
    i, j = np.indices((count + 1, count + 1)).reshape(2, -1)
    inside = i + j <= count
    i, j = i[inside], j[inside]
    return np.stack([i, j, count - i - j], axis=1) / count


def _draw_box(axes: "Axes", box: Points, lengths: NDArray[np.float64], unit: str) -> None:
    """Draws the edges of the box that are not in front, behind the picture, with their lengths.

    Args:
        axes: Where to draw.
        box: The corners ``(8, 3)`` as seen, in the order of their bits: x, y, z.
        lengths: Of the edges along x, y and z.
        unit: What the lengths are in.
    """
    front = int(box[:, 2].argmax())
    middle = box[:, :2].mean(axis=0)
    for axis, (name, length) in enumerate(zip("xyz", lengths, strict=True)):
        bit = 4 >> axis
        starts = [corner for corner in range(8) if not corner & bit]
        edges = [box[[corner, corner | bit], :2] for corner in starts]
        outer = []
        for corner, edge in zip(starts, edges, strict=True):
            if front not in (corner, corner | bit):
                axes.plot(*edge.T, color="0.6", linewidth=0.8, zorder=1)
            # An edge is on the outline unless it meets the nearest or the farthest corner.
            if not {corner, corner | bit} & {front, 7 - front}:
                outer.append(edge.mean(axis=0))
        # x and y are written below, z at the left.
        x, y = min(outer, key=lambda place: place[1] if axis < 2 else place[0])
        outwards = np.array([x, y]) - middle
        offset = 14 * outwards / max(float(np.linalg.norm(outwards)), 1e-12)
        axes.annotate(
            f"{name}: {length:.4g} {unit}",
            (x, y),
            offset,
            textcoords="offset points",
            ha="right" if offset[0] < 0 else "left",
            va="center",
            annotation_clip=False,
        )
