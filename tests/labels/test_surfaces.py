"""Surfaces against volumes, places and extents that are known."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.surfaces import extract_surface


def enclosed_volume(vertices, faces):
    """Sum of signed tetrahedra: positive where the triangles face outwards."""
    a, b, c = vertices[faces].astype(np.float64).transpose(1, 0, 2)
    return (a * np.cross(b, c)).sum() / 6


def is_closed(faces):
    """Every edge is run through as often in one direction as in the other."""
    edges = Counter(map(tuple, faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).tolist()))
    return all(edges[b, a] == count for (a, b), count in edges.items())


def ball(radius, shape, spacing=(1, 1, 1)):
    grid = np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2
    return np.linalg.norm(grid * spacing, axis=-1) <= radius


masks = arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=6))


@given(masks.filter(np.any), st.booleans())
def test_surfaces_are_closed_and_face_outwards(mask, inverted):
    """Also at the border of the volume, and around holes."""
    vertices, faces = extract_surface(~mask if inverted and not mask.all() else mask)
    assert is_closed(faces)
    assert enclosed_volume(vertices, faces) > 0


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5)])
def test_a_ball_has_its_volume_and_place(spacing):
    radius, shape = 15.0, tuple(int(40 / width) for width in spacing)
    surface = extract_surface(ball(radius, shape, spacing), None, spacing)
    volume = enclosed_volume(*surface)
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.02)
    middle = ((np.array(shape) - 1) / 2 * spacing)[::-1]
    np.testing.assert_allclose(surface.vertices.mean(axis=0), middle, atol=0.25)
    distance = np.linalg.norm(surface.vertices - middle, axis=1)
    assert abs(distance - radius).max() < 2


def test_a_box_at_the_border_has_its_extent_in_x_y_z():
    labels = np.zeros((6, 8, 10), dtype=np.uint8)
    labels[:2, :, 5:] = 3
    vertices, _ = extract_surface(labels, 3, spacing=(10, 1, 0.1))
    np.testing.assert_allclose(vertices.min(axis=0), [0.45, -0.5, -5])
    np.testing.assert_allclose(vertices.max(axis=0), [0.95, 7.5, 15], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"labels": np.zeros((2, 2, 2))}, "labels: an array of float64"),
        ({"labels": np.zeros((2, 2), int)}, "labels: an array of int64"),
        ({"labels": np.zeros((2, 2, 2), int), "label": None}, "labels: all voxels are 0"),
        ({"label": 7}, "labels: no voxel has the label 7"),
        ({"spacing": (1, 1)}, "spacing: "),
        ({"spacing": (1, 1, 0)}, "spacing: "),
    ],
)
def test_extract_surface_refuses(options, reason):
    with pytest.raises(InputError, match=f"^{reason}"):
        extract_surface(**{"labels": np.eye(4, dtype=int)[None], "label": 1, **options})
