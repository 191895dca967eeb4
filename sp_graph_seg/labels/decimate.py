"""The simplification of a surface, which reduces the number of its triangles."""

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.surfaces import Surface

#: Attempts to find the size of the cells, each of which halves the interval.
_ATTEMPTS = 12


def simplify_surface(surface: Surface, max_triangles: int) -> Surface:
    """Reduces the number of triangles of a surface by vertex clustering.

    Space is divided into cubes. All vertices in the same cube are replaced by one vertex, their
    mean (Rossignac & Borrel, "Multi-resolution 3D approximations", 1993). Triangles that become
    lines or points are dropped. The cubes are as small as ``max_triangles`` allows. The two sides
    of a thin part of the surface may merge.

    Args:
        surface: The surface to simplify.
        max_triangles: Maximum number of triangles of the result.

    Returns:
        The given surface if it has at most ``max_triangles`` triangles. Otherwise, a surface with
        fewer triangles.

    Raises:
        InputError: If ``max_triangles`` is below 4.
    """
    if max_triangles < 4:
        raise InputError(
            f"max_triangles: {max_triangles} triangles are too few for a closed surface; "
            "give 4 or more."
        )
    if len(surface.faces) <= max_triangles:
        return surface
    extent = float(np.ptp(surface.vertices, axis=0).max())
    low, high = 0.0, extent  # the cell is larger than low; at high everything is joined
    best = Surface(surface.vertices[:0], surface.faces[:0])
    for _ in range(_ATTEMPTS):
        cell = (low + high) / 2
        coarse = _cluster(surface, cell)
        if len(coarse.faces) > max_triangles:
            low = cell
        else:
            high, best = cell, coarse
    return best


def _cluster(surface: Surface, cell: float) -> Surface:
    keys = np.floor((surface.vertices - surface.vertices.min(axis=0)) / cell).astype(np.int64)
    _, which, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    which = which.ravel()
    sums = np.stack([np.bincount(which, values) for values in surface.vertices.T], axis=1)
    faces = which[surface.faces]
    a, b, c = faces.T
    faces = _without_pairs(faces[(a != b) & (b != c) & (a != c)])
    used, faces = np.unique(faces, return_inverse=True)
    vertices = (sums / counts[:, np.newaxis])[used].astype(np.float32)
    return Surface(vertices, faces.reshape(-1, 3))


def _without_pairs(faces: np.ndarray) -> np.ndarray:
    """Drops pairs of triangles that have the same three vertices, because they enclose nothing."""
    _, which, counts = np.unique(
        np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    first = np.unique(which.ravel(), return_index=True)[1]
    return faces[first[counts % 2 == 1]]
