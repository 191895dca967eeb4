"""Surface areas, distributions of sizes, and surfaces of fewer triangles."""

import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels import (
    component_table,
    extract_surface,
    simplify_surface,
    size_distribution,
)
from sp_graph_seg.labels.areas import AreaCounter


def ball(radius, spacing=(1.0, 1.0, 1.0), margin=3):
    """A ball of a physical radius, whatever the size of a voxel."""
    half = [int(np.ceil(radius / width)) + margin for width in spacing]
    z, y, x = np.meshgrid(*(np.arange(-n, n + 1) for n in half), indexing="ij")
    distance = sum((axis * width) ** 2 for axis, width in zip((z, y, x), spacing, strict=True))
    return (distance <= radius**2).astype(np.uint8)


def areas_of(volume, spacing=(1.0, 1.0, 1.0), unlabelled=None):
    counter = AreaCounter(spacing, unlabelled)
    for image in volume:
        counter.add(image)
    return counter.areas()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (0.5, 0.5, 0.25)])
def test_the_area_of_a_ball(spacing):
    areas = areas_of(ball(12.0, spacing), spacing)
    assert areas[1] == pytest.approx(4 * np.pi * 12**2, rel=0.02)
    assert areas[0] == areas[1]


def test_planes_of_any_direction_have_their_area_on_average():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(-20, 21)] * 3, indexing="ij"), axis=-1)
    inside = (grid**2).sum(axis=-1) <= 20**2  # a disc of the plane lies in this ball
    shares = []
    for normal in rng.normal(size=(30, 3)):
        side = grid @ (normal / np.linalg.norm(normal)) > 0
        areas = areas_of(np.where(inside, side, 255).astype(np.uint8), unlabelled=255)
        shares.append(areas[1] / (np.pi * 20**2))
    assert np.mean(shares) == pytest.approx(1, abs=0.05)


def test_borders_and_voxels_without_a_label_do_not_count():
    assert areas_of(np.ones((4, 5, 6), np.uint8)) == {}
    volume = np.ones((4, 5, 6), np.uint8)
    volume[:, :, 3:] = 255
    assert areas_of(volume, unlabelled=255) == {}


def test_components_are_counted_by_their_diameter():
    volume = np.zeros((40, 40, 40), np.uint8)
    volume[1, 1, 1] = volume[1, 1, 5] = 1  # diameter 1.24
    volume[10:15, 10:15, 10:15] = 1  # diameter 6.2
    table = size_distribution(component_table(volume, (2.0, 2.0, 2.0), {1: "grain"}, unit="um"))
    grains = [row for row in table if row["label"] == 1]
    assert [(r["diameter_from"], r["diameter_to"], r["components"]) for r in grains] == [
        (2.0, 4.0, 2),
        (8.0, 16.0, 1),
    ]
    assert [row["volume"] for row in grains] == [16.0, 1000.0]
    assert sum(row["fraction"] for row in grains) == pytest.approx(1)
    assert table.to_csv().splitlines()[0].startswith("label,name,diameter_from_um,diameter_to_um")


def edges_of(faces):
    pairs = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    return np.unique(pairs, axis=0, return_counts=True)[1]


def volume_of(surface):
    a, b, c = (surface.vertices[surface.faces[:, corner]].astype(float) for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_a_surface_of_fewer_triangles_is_closed_and_encloses_the_same():
    surface = extract_surface(ball(15.0))
    coarse = simplify_surface(surface, 600)
    assert 300 < len(coarse.faces) <= 600 < len(surface.faces)
    assert (edges_of(coarse.faces) % 2 == 0).all()
    assert coarse.faces.max() == len(coarse.vertices) - 1
    assert volume_of(coarse) == pytest.approx(volume_of(surface), rel=0.06)
    assert simplify_surface(surface, len(surface.faces)) is surface
    with pytest.raises(InputError, match="too few for a closed surface"):
        simplify_surface(surface, 3)
