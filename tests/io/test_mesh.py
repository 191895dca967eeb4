"""Meshes against volumes and areas that are known, and files read back by their formats' rules."""

import struct
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.mesh import extract_surface, write_mesh


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


@given(arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=11)), st.integers(2, 4))
def test_coarse_surfaces_are_closed_and_stay_inside_too(mask, step_size):
    mask[:step_size, :step_size, :step_size] = True  # something is left
    vertices, faces = extract_surface(mask, step_size=step_size)
    assert is_closed(faces)
    assert (vertices >= -0.5).all()
    assert (vertices <= np.array(mask.shape)[::-1] - 0.5).all()


@pytest.mark.parametrize("step_size", [1, 2, 3])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5)])
def test_a_ball_has_its_volume_and_place(step_size, spacing):
    radius, shape = 15.0, tuple(int(40 / width) for width in spacing)
    surface = extract_surface(ball(radius, shape, spacing), None, spacing, step_size)
    volume = enclosed_volume(*surface)
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.02 * step_size)
    middle = ((np.array(shape) - 1) / 2 * spacing)[::-1]
    np.testing.assert_allclose(surface.vertices.mean(axis=0), middle, atol=0.25)
    distance = np.linalg.norm(surface.vertices - middle, axis=1)
    assert abs(distance - radius).max() < 2 * step_size


def test_a_box_at_the_border_has_its_extent_in_x_y_z():
    labels = np.zeros((6, 8, 10), dtype=np.uint8)
    labels[:2, :, 5:] = 3
    vertices, _ = extract_surface(labels, 3, spacing=(10, 1, 0.1))
    np.testing.assert_allclose(vertices.min(axis=0), [0.45, -0.5, -5])
    np.testing.assert_allclose(vertices.max(axis=0), [0.95, 7.5, 15], rtol=1e-6)


def test_a_larger_step_gives_fewer_triangles():
    mask = ball(18, (40, 40, 40))
    counts = [len(extract_surface(mask, step_size=step).faces) for step in (1, 2, 4)]
    assert counts[0] > 3 * counts[1] > 9 * counts[2]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"labels": np.zeros((2, 2, 2))}, "labels: float64"),
        ({"labels": np.zeros((2, 2), int)}, "labels: int64 of shape"),
        ({"labels": np.zeros((2, 2, 2), int), "label": None}, "labels: all voxels are 0"),
        ({"label": 7}, "labels: no voxel has the label 7"),
        ({"spacing": (1, 1)}, "spacing: "),
        ({"spacing": (1, 1, 0)}, "spacing: "),
        ({"step_size": 0}, "step_size: 0"),
        ({"step_size": 4}, "step_size: nothing is left of the label in cubes of 4 voxels"),
    ],
)
def test_extract_surface_refuses(options, reason):
    with pytest.raises(InputError, match=f"^{reason}"):
        extract_surface(**{"labels": np.eye(4, dtype=int)[None], "label": 1, **options})


# Files


@pytest.fixture
def surface():
    return extract_surface(ball(3, (8, 9, 10)))


@pytest.mark.parametrize("color", [None, "#ffa500", "orange"])
def test_ply(tmp_path, surface, color):
    write_mesh(tmp_path / "ball.ply", *surface, color)
    header, body = (tmp_path / "ball.ply").read_bytes().split(b"end_header\n", 1)
    lines = header.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    vertices, faces = surface
    assert f"element vertex {len(vertices)}" in lines
    assert f"element face {len(faces)}" in lines
    assert ("property uchar red" in lines) == (color is not None)
    layout = "<3f" if color is None else "<3f3B"
    end = len(vertices) * struct.calcsize(layout)
    points = np.array(list(struct.iter_unpack(layout, body[:end])))
    np.testing.assert_array_equal(points[:, :3].astype(np.float32), vertices)
    assert color is None or np.unique(points[:, 3:], axis=0).tolist() == [[255, 165, 0]]
    triangles = np.array(list(struct.iter_unpack("<B3i", body[end:])))
    assert (triangles[:, 0] == 3).all()
    np.testing.assert_array_equal(triangles[:, 1:], faces)


def test_stl(tmp_path, surface):
    write_mesh(tmp_path / "ball.STL", *surface, color="red")
    content = (tmp_path / "ball.STL").read_bytes()
    assert not content.startswith(b"solid")  # or readers take it for text
    (count,) = struct.unpack("<I", content[80:84])
    assert count == len(surface.faces)
    rows = np.array(list(struct.iter_unpack("<12fH", content[84:])))
    corners = rows[:, 3:12].reshape(-1, 3, 3)
    np.testing.assert_array_equal(corners.astype(np.float32), surface.vertices[surface.faces])
    normals = rows[:, :3]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, rtol=1e-5)
    outwards = corners.mean(axis=1) - surface.vertices.mean(axis=0)
    assert ((normals * outwards).sum(axis=1) > 0).all()
    assert (rows[:, 12] == 0).all()


def test_an_empty_mesh_and_a_flat_triangle_can_be_written(tmp_path):
    write_mesh(tmp_path / "no.ply", np.empty((0, 3)), np.empty((0, 3), int))
    write_mesh(tmp_path / "flat.stl", np.zeros((3, 3)), np.array([[0, 1, 2]]))
    assert (tmp_path / "flat.stl").stat().st_size == 84 + 50


@pytest.mark.parametrize(
    ("name", "vertices", "faces", "color", "reason"),
    [
        ("a.obj", np.zeros((3, 3)), [[0, 1, 2]], None, r"a\.obj: .* \.ply or \.stl"),
        ("a.ply", np.zeros((3, 2)), [[0, 1, 2]], None, "vertices, faces: shapes"),
        ("a.ply", np.zeros((3, 3)), [[0, 1]], None, "vertices, faces: shapes"),
        ("a.ply", np.zeros((3, 3)), [[0.0, 1, 2]], None, "vertices, faces: shapes"),
        ("a.ply", np.zeros((3, 3)), [[0, 1, 3]], None, "faces: name the vertices 0 to 3 of 3"),
        ("a.ply", np.zeros((3, 3)), [[0, 1, -1]], None, "faces: name the vertices -1 to 1"),
        ("a.ply", np.zeros((3, 3)), [[0, 1, 2]], "greenish", "color: 'greenish'"),
        ("none/a.ply", np.zeros((3, 3)), [[0, 1, 2]], None, r"a\.ply: cannot be written"),
    ],
)
def test_write_mesh_refuses(tmp_path, name, vertices, faces, color, reason):
    with pytest.raises(InputError, match=reason):
        write_mesh(tmp_path / name, vertices, faces, color)
    assert list(tmp_path.iterdir()) == []
