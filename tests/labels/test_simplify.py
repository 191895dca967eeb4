import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.simplify import simplify_surface
from sp_graph_seg.labels.surfaces import extract_surface

GRID = np.stack(np.meshgrid(*[np.arange(48) - 23.5] * 3, indexing="ij"))
BALL = (GRID**2).sum(0) < 20**2
BOX = (np.abs(GRID) < np.array([20, 12, 6])[:, None, None, None]).all(0)
TWO = BALL & (np.abs(GRID[0]) > 2)


def volume_of(surface):
    """The enclosed volume, by the divergence theorem."""
    a, b, c = surface.vertices[surface.faces].astype(float).transpose(1, 0, 2)
    return (a * np.cross(b, c)).sum() / 6


def is_closed(surface):
    """Every edge is passed as often in one direction as in the other."""
    faces = surface.faces
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = len(surface.vertices)
    there = np.sort(edges[:, 0] * count + edges[:, 1])
    back = np.sort(edges[:, 1] * count + edges[:, 0])
    return np.array_equal(there, back)


@pytest.mark.parametrize("shape", [BALL, BOX, TWO], ids=["ball", "box", "two"])
@pytest.mark.parametrize(("share", "error"), [(4, 0.01), (20, 0.04)])
def test_fewer_triangles_for_the_same_shape(shape, share, error):
    surface = extract_surface(shape, spacing=(1, 1, 1))
    most = len(surface.faces) // share
    simple = simplify_surface(surface, most)
    assert most / 3 < len(simple.faces) <= most
    assert simple.faces.max() == len(simple.vertices) - 1
    assert is_closed(surface)
    assert is_closed(simple)
    assert volume_of(simple) == pytest.approx(volume_of(surface), rel=error)
    assert (np.abs(simple.vertices.max(0) - surface.vertices.max(0)) < 1).all()


def test_spacing_and_place_do_not_matter(tmp_path):
    surface = extract_surface(BALL, spacing=(0.003, 0.001, 0.001))
    moved = surface._replace(vertices=surface.vertices * 1000 + 7)
    simple, other = simplify_surface(surface, 500), simplify_surface(moved, 500)
    assert len(simple.faces) == pytest.approx(len(other.faces), rel=0.2)
    assert is_closed(other)


def test_a_small_surface_is_kept():
    surface = extract_surface(BALL)
    assert simplify_surface(surface, len(surface.faces)) is surface
    with pytest.raises(InputError, match="num_faces: 3 is too few"):
        simplify_surface(surface, 3)
