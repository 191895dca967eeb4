"""Writes triangle meshes as PLY files."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require
from sp_graph_seg.io.files import atomic_write


def write_mesh(
    path: str | os.PathLike[str],
    vertices: ArrayLike,
    faces: ArrayLike,
    color: str | None = None,
) -> None:
    """Writes a mesh as binary PLY.

    Args:
        path: The file to write, ending in .ply. An existing file is replaced as a whole.
        vertices: Coordinates x, y, z of V vertices, ``(V, 3)``, written as 32-bit floats.
        faces: The three vertex numbers of T triangles, ``(T, 3)`` integers from 0.
        color: Any colour that Matplotlib knows, such as ``"#ffa500"``. (default: :obj:`None`, no
            colour)

    Raises:
        InputError: If the arrays are not a mesh, the colour is unknown, or ``path`` does not end in
            .ply or cannot be written.
    """
    if Path(path).suffix.lower() != ".ply":
        raise InputError(f"{path}: the name does not end in .ply; rename the file.")
    points, triangles = np.asarray(vertices), np.asarray(faces)
    if points.shape[1:] != (3,) or triangles.shape[1:] != (3,) or triangles.dtype.kind not in "ui":
        raise InputError(
            f"vertices, faces: arrays of shapes {points.shape} and {triangles.shape} "
            f"({triangles.dtype}) are not a mesh; give (V, 3) numbers and (T, 3) integers."
        )
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(points):
        raise InputError(
            f"faces: the vertex numbers run from {triangles.min()} to {triangles.max()}, but there "
            f"are {len(points)} vertices; give numbers from 0 to V - 1."
        )
    content = _ply(points.astype("<f4"), triangles, None if color is None else _as_bytes(color))
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        for part in content:
            file.write(part)


def _as_bytes(color: str) -> list[int]:
    """Converts a colour to red, green and blue from 0 to 255."""
    require("matplotlib")
    from matplotlib.colors import is_color_like, to_rgb

    if not is_color_like(color):
        raise InputError(
            f"color: {color!r} is not a colour; give a name, or a code such as '#ffa500'."
        )
    return [round(255 * share) for share in to_rgb(color)]


def _ply(
    vertices: NDArray[np.float32], faces: NDArray[np.integer], color: list[int] | None
) -> list[bytes]:
    """Returns the parts of a binary PLY file, little-endian."""
    fields = [(axis, "<f4") for axis in "xyz"]
    channels = [] if color is None else [(name, "u1") for name in ("red", "green", "blue")]
    points = np.empty(len(vertices), dtype=fields + channels)
    for i, (axis, _) in enumerate(fields):
        points[axis] = vertices[:, i]
    for (name, _), value in zip(channels, color or [], strict=True):
        points[name] = value
    triangles = np.empty(len(faces), dtype=[("count", "u1"), ("vertices", "<i4", 3)])
    triangles["count"] = 3
    triangles["vertices"] = faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *(f"property float {axis}" for axis, _ in fields),
        *(f"property uchar {name}" for name, _ in channels),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    return ["\n".join(header).encode("ascii"), points.tobytes(), triangles.tobytes()]
