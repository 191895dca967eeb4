"""Simplifies the surface of a label: fewer triangles for nearly the same shape."""

import math

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.surfaces import Surface

#: How strongly a vertex is drawn to the mean of those that it replaces where planes do not fix it.
_PULL = 1e-3

#: Cells are enlarged until the surface has few enough triangles, by this much more than needed.
_MARGIN = 1.02
_MOST_TRIES = 20


def simplify_surface(surface: Surface, num_faces: int) -> Surface:
    """Merges vertices until a surface has at most so many triangles.

    All vertices in a cell of a regular grid become one (Rossignac & Borrel 1993), at the place with
    the least squared distance to the planes of their triangles (Lindstrom 2000, the quadrics of
    Garland & Heckbert 1997). A closed surface stays closed. Details smaller than a cell are lost,
    and parts that are closer to each other may grow together.

    Args:
        surface: The surface.
        num_faces: The most triangles, 4 at least.

    Returns:
        The simplified surface, or the same one if it is small enough.

    Raises:
        InputError: ``num_faces`` is below 4.
    """
    if num_faces < 4:
        raise InputError(f"num_faces: {num_faces} is too few for a surface; give 4 or more.")
    simple, cell = surface, _edge_length(surface)
    for _ in range(_MOST_TRIES):
        if len(simple.faces) <= num_faces:
            break
        cell *= _MARGIN * max(1.0, math.sqrt(len(simple.faces) / num_faces))
        simple = cluster_vertices(surface, cell)
    return simple


def cluster_vertices(surface: Surface, cell: float) -> Surface:
    """Merges the vertices in each cell of a grid.

    Args:
        surface: The surface.
        cell: Side of a cell, in the units of the vertices.
    """
    corner = surface.vertices.min(axis=0)
    cells = np.floor((surface.vertices - corner) / cell).astype(np.int64)
    places, cluster = np.unique(cells, axis=0, return_inverse=True)
    cluster = cluster.reshape(-1)
    vertices = _representatives(surface, cluster, len(places))
    low = corner + places * cell
    vertices = np.clip(vertices, low, low + cell)
    faces = _without_folds(cluster[surface.faces])
    used, renumbered = np.unique(faces, return_inverse=True)
    return Surface(vertices[used].astype(np.float32), renumbered.reshape(-1, 3).astype(np.int64))


def _edge_length(surface: Surface) -> float:
    """The mean length of a triangle's first edge."""
    first, second, _ = surface.vertices[surface.faces].transpose(1, 0, 2)
    return float(np.linalg.norm(second - first, axis=1).mean())


def _representatives(
    surface: Surface, cluster: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """Finds the point of each cluster that is closest to the planes of its triangles."""
    members = np.bincount(cluster, minlength=count)
    means = np.stack(
        [np.bincount(cluster, axis, count) / members for axis in surface.vertices.T], axis=1
    )
    first, second, third = surface.vertices[surface.faces].astype(np.float64).transpose(1, 0, 2)
    normals = np.cross(second - first, third - first)  # twice the area, so large ones weigh more
    owners = cluster[surface.faces]
    matrix, right = np.zeros((count, 3, 3)), np.zeros((count, 3))
    for corner in range(3):
        owner = owners[:, corner]
        offset = ((first - means[owner]) * normals).sum(axis=1)
        for i in range(3):
            right[:, i] += np.bincount(owner, normals[:, i] * offset, count)
            for j in range(3):
                matrix[:, i, j] += np.bincount(owner, normals[:, i] * normals[:, j], count)
    pull = _PULL * np.trace(matrix, axis1=1, axis2=2) + np.finfo(np.float64).tiny
    matrix += pull[:, None, None] * np.eye(3)
    return means + np.linalg.solve(matrix, right[:, :, None])[:, :, 0]


def _without_folds(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Drops triangles without an area, and pairs that lie on one another, back to back."""
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    turn = faces.argmin(axis=1)[:, None]
    turned = np.take_along_axis(faces, (turn + np.arange(3)) % 3, axis=1)
    is_forward = turned[:, 1] < turned[:, 2]
    kinds, kind = np.unique(np.sort(turned, axis=1), axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    surplus = np.bincount(kind, np.where(is_forward, 1, -1), len(kinds)).astype(np.int64)
    forward = np.repeat(kinds, np.maximum(surplus, 0), axis=0)
    backward = np.repeat(kinds[:, [0, 2, 1]], np.maximum(-surplus, 0), axis=0)
    return np.concatenate([forward, backward])
