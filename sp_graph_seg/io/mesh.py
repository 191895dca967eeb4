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
    """Writes a triangle mesh as a binary PLY file.

    Args:
        path: The file to write. Its name must end in .ply. An existing file is replaced.
        vertices: The coordinates x, y and z of V vertices, ``(V, 3)``. They are written as 32-bit
            floats.
        faces: The numbers of the three vertices of each of T triangles, integers ``(T, 3)``.
            Vertices are counted from 0.
        color: Any colour that Matplotlib knows, such as ``"#ffa500"``. (default: :obj:`None`, no
            colour)

    Raises:
        InputError: The arrays do not describe a mesh, the colour is unknown, ``path`` does not end
            in .ply, or the file cannot be written.
    """
    if Path(path).suffix.lower() != ".ply":
        raise InputError(f"{path}: the name does not end in .ply; give a name that does.")
    points, triangles = np.asarray(vertices), np.asarray(faces)
    if points.shape[1:] != (3,) or triangles.shape[1:] != (3,) or triangles.dtype.kind not in "ui":
        raise InputError(
            f"vertices, faces: the arrays have the shapes {points.shape} and {triangles.shape}, "
            f"and faces has the type {triangles.dtype}; give vertices of shape (V, 3) and integer "
            "faces of shape (T, 3)."
        )
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(points):
        raise InputError(
            f"faces: the vertex numbers run from {triangles.min()} to {triangles.max()}, but there "
            f"are {len(points)} vertices; count the vertices from 0."
        )
    content = _ply(points.astype("<f4"), triangles, None if color is None else _as_bytes(color))
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        for part in content:
            file.write(part)


def _as_bytes(color: str) -> list[int]:
    """Converts a colour to its red, green and blue values, from 0 to 255."""
    require("matplotlib")
    from matplotlib.colors import is_color_like, to_rgb

    if not is_color_like(color):
        raise InputError(
            f"color: {color!r} is not a colour; give a name such as 'orange' or a code such "
            "as '#ffa500'."
        )
    return [round(255 * share) for share in to_rgb(color)]


def _ply(
    vertices: NDArray[np.float32], faces: NDArray[np.integer], color: list[int] | None
) -> list[bytes]:
    """Returns the parts of a binary PLY file in little-endian byte order."""
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
