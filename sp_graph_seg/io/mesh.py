"""Surfaces of labels as triangle meshes, to PLY and STL files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require
from sp_graph_seg.io.files import atomic_write


class Surface(NamedTuple):
    """A triangle mesh.

    Attributes:
        vertices: ``(V, 3)`` float32, physical x, y, z (width, height, depth); the middle of the
            first voxel is at 0.
        faces: ``(T, 3)`` int64, the vertices of each triangle, counter-clockwise seen from outside.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]


def extract_surface(
    labels: ArrayLike,
    label: int | None = None,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    step_size: int = 1,
) -> Surface:
    """Extract the surface of a label by marching cubes, closed also at the border of the volume.

    Marching cubes: Lorensen & Cline 1987, in the variant of Lewiner et al. 2003, by scikit-image.

    Args:
        labels: ``(D, H, W)`` labels, or a mask.
        label: The label; None for a mask: all that is not 0.
        spacing: Size of a voxel along depth, height and width. Default: 1.
        step_size: Side in voxels of the cubes that are averaged first. A larger one gives fewer
            triangles (a quarter for twice the side) and a smoother surface, and may lose what is
            thinner than a cube. Default: 1, the voxels as they are.

    Returns:
        The surface, in x, y, z.

    Raises:
        InputError: ``labels`` is no such volume or does not hold the label, or another argument is
            out of its range.
    """
    volume = np.asarray(labels)
    if volume.ndim != 3 or volume.dtype.kind not in "bui":
        raise InputError(
            f"labels: {volume.dtype} of shape {volume.shape} is no volume of labels; "
            "give integers, (D, H, W)"
        )
    widths = np.asarray(spacing, dtype=np.float64)
    if widths.shape != (3,) or not (np.isfinite(widths) & (widths > 0)).all():
        raise InputError(f"spacing: {spacing} must be 3 positive lengths, depth first")
    if step_size < 1 or step_size != int(step_size):
        raise InputError(f"step_size: {step_size} must be a whole number of voxels, 1 or more")
    mask = volume != 0 if label is None else volume == label
    if not mask.any():
        wanted = "all voxels are 0" if label is None else f"no voxel has the label {label}"
        raise InputError(f"labels: {wanted}; name a label that is there")
    return _march(mask, widths, int(step_size))


def write_mesh(
    path: str | os.PathLike[str],
    vertices: ArrayLike,
    faces: ArrayLike,
    color: str | None = None,
) -> None:
    """Write a mesh as binary PLY or STL, as the suffix of ``path`` says.

    Args:
        path: The file to write, replaced whole if it exists; ends in .ply or .stl.
        vertices: ``(V, 3)`` x, y, z; written with 32 bits.
        faces: ``(T, 3)`` integers, the vertices of each triangle.
        color: Any colour that Matplotlib knows, such as ``"#ffa500"``. Only PLY keeps it. Default:
            None, no colour.

    Raises:
        InputError: The arrays are no mesh, the colour is none, or ``path`` has another suffix or
            cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".ply", ".stl"):
        raise InputError(f"{path}: would hold a mesh; end its name in .ply or .stl")
    points, triangles = np.asarray(vertices), np.asarray(faces)
    if points.shape[1:] != (3,) or triangles.shape[1:] != (3,) or triangles.dtype.kind not in "ui":
        raise InputError(
            f"vertices, faces: shapes {points.shape} and {triangles.shape} of {triangles.dtype} "
            "are no mesh; give (V, 3) numbers and (T, 3) integers"
        )
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(points):
        raise InputError(
            f"faces: name the vertices {triangles.min()} to {triangles.max()} of {len(points)}; "
            "give numbers from 0 to V - 1"
        )
    points = points.astype("<f4")
    content = (
        _ply(points, triangles, None if color is None else _as_bytes(color))
        if suffix == ".ply"
        else _stl(points, triangles)
    )
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        for part in content:
            file.write(part)


def _march(mask: NDArray[np.bool_], spacing: NDArray[np.float64], step: int) -> Surface:
    """Marching cubes over block means, padded to close it; to x, y, z."""
    from skimage.measure import marching_cubes

    means = _block_means(mask, step)
    if means.max() <= 0.5:
        raise InputError(
            f"step_size: nothing is left of the label in cubes of {step} voxels; give a smaller one"
        )
    vertices, faces, _, _ = marching_cubes(np.pad(means, 1), level=0.5)
    # The padding is one block wide, and the middle of a block lies (step - 1) / 2 voxels inside.
    index = (vertices - 1) * step + (step - 1) / 2
    # Blocks at the far border may reach beyond it.
    index = np.clip(index, -0.5, np.array(mask.shape) - 0.5)
    xyz = (index * spacing)[:, ::-1].astype(np.float32)
    # scikit-image's triangles face outwards in x, y, z, not in its own z, y, x.
    return Surface(np.ascontiguousarray(xyz), faces.astype(np.int64))


def _block_means(mask: NDArray[np.bool_], step: int) -> NDArray[np.float32]:
    """The share of voxels that are set in each block; the last ones repeat the border voxels."""
    if step == 1:
        return mask.astype(np.float32)
    whole = np.pad(mask, [(0, -n % step) for n in mask.shape], mode="edge")
    depth, height, width = (n // step for n in whole.shape)
    blocks = whole.reshape(depth, step, height, step, width, step)
    return blocks.mean(axis=(1, 3, 5), dtype=np.float32)


def _as_bytes(color: str) -> list[int]:
    """A colour as red, green and blue from 0 to 255."""
    require("matplotlib")
    from matplotlib.colors import is_color_like, to_rgb

    if not is_color_like(color):
        raise InputError(f"color: {color!r} is none; write a name or '#ffa500'")
    return [round(255 * share) for share in to_rgb(color)]


def _ply(
    vertices: NDArray[np.float32], faces: NDArray[np.integer], color: list[int] | None
) -> list[bytes]:
    """The parts of a binary PLY file, little-endian."""
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


def _stl(vertices: NDArray[np.float32], faces: NDArray[np.integer]) -> list[bytes]:
    """The parts of a binary STL file."""
    triangles = np.zeros(
        len(faces), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]
    )
    corners = vertices[faces]  # (T, 3, 3)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    triangles["normal"] = normal / np.where(length > 0, length, 1)
    triangles["corners"] = corners
    header = b"binary STL".ljust(80)
    return [header, np.array(len(faces), "<u4").tobytes(), triangles.tobytes()]
