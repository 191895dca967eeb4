"""Mesh files read back by the rules of their format."""

import struct

import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.mesh import write_mesh
from sp_graph_seg.labels.surfaces import extract_surface


@pytest.fixture
def surface():
    return extract_surface(np.ones((3, 4, 5), dtype=bool))


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


def test_an_empty_mesh_can_be_written(tmp_path):
    write_mesh(tmp_path / "no.ply", np.empty((0, 3)), np.empty((0, 3), int))
    assert b"element vertex 0\n" in (tmp_path / "no.ply").read_bytes()


@pytest.mark.parametrize(
    ("name", "vertices", "faces", "color", "reason"),
    [
        ("a.obj", np.zeros((3, 3)), [[0, 1, 2]], None, r"a\.obj: .* \.ply"),
        ("a.ply", np.zeros((3, 2)), [[0, 1, 2]], None, "vertices, faces: the arrays have"),
        ("a.ply", np.zeros((3, 3)), [[0, 1]], None, "vertices, faces: the arrays have"),
        ("a.ply", np.zeros((3, 3)), [[0.0, 1, 2]], None, "vertices, faces: the arrays have"),
        ("a.ply", np.zeros((3, 3)), [[0, 1, 3]], None, "faces: .* 0 to 3, but there are 3"),
        (
            "a.ply",
            np.zeros((3, 3)),
            [[0, 1, -1]],
            None,
            "faces: the vertex numbers run from -1 to 1",
        ),
        ("a.ply", np.zeros((3, 3)), [[0, 1, 2]], "greenish", "color: 'greenish'"),
        ("none/a.ply", np.zeros((3, 3)), [[0, 1, 2]], None, r"a\.ply: cannot be written"),
    ],
)
def test_write_mesh_refuses(tmp_path, name, vertices, faces, color, reason):
    with pytest.raises(InputError, match=reason):
        write_mesh(tmp_path / name, vertices, faces, color)
    assert list(tmp_path.iterdir()) == []
