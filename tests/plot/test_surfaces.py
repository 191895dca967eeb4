"""What is in front, how large it is, and what its colour is, on shapes that are known exactly."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from scipy.spatial import ConvexHull

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.colors import label_colors
from sp_graph_seg.labels.surfaces import Surface
from sp_graph_seg.plot import save_figure
from sp_graph_seg.plot.surfaces import render_surfaces


def hull(points):
    """The convex hull as a surface, its triangles turned outwards."""
    points = np.asarray(points, dtype=np.float32)
    faces = ConvexHull(points).simplices.astype(np.int64)
    a, b, c = points[faces].transpose(1, 0, 2)
    inwards = (np.cross(b - a, c - a) * (a - points.mean(axis=0))).sum(axis=1) < 0
    faces[inwards] = faces[inwards, ::-1]
    return Surface(points, faces)


def ball(center, radius):
    """2000 points on a sphere, by the golden angle; center is x, y, z."""
    z = np.linspace(-1, 1, 2000)
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(2000)
    circle = np.sqrt(1 - z**2)
    return hull(np.stack([circle * np.cos(angle), circle * np.sin(angle), z], 1) * radius + center)


def picture_of(figure):
    """The pixels (H, W, 3) as they would be written, without the axes."""
    figure.axes[0].set_axis_off()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[100:, :, :3].astype(int)  # the legend is above


@pytest.fixture(scope="module")
def two_balls():
    """A large one at small x and a small one at large x."""
    return {0: ball((6, 11, 11), 6), 1: ball((19, 11, 11), 3)}


@pytest.mark.parametrize(("azimuth", "sees_small"), [(0, True), (180, False)])
def test_the_nearer_surface_hides_the_other(two_balls, azimuth, sees_small):
    colors = {0: "#ff0000", 1: "#0000ff"}
    figure = render_surfaces(two_balls, colors=colors, elevation=0, azimuth=azimuth)
    red, green, blue = np.moveaxis(picture_of(figure), -1, 0)
    number = {"red": ((red > 0) & (green == 0)).sum(), "blue": ((blue > 0) & (green == 0)).sum()}
    # From here both are discs around the same middle.
    small, large = (3**2, 6**2 - 3**2) if sees_small else (0, 6**2)
    assert number["red"] > 10_000
    assert number["blue"] / number["red"] == pytest.approx(small / large, abs=0.02)


def test_what_is_inside_is_not_seen():
    colors = {0: "#ff0000", 1: "#0000ff"}
    nested = {0: ball((0, 0, 0), 6), 1: ball((0, 0, 0), 3)}
    _, green, blue = np.moveaxis(picture_of(render_surfaces(nested, colors=colors)), -1, 0)
    assert not ((blue > 0) & (green == 0)).any()


def test_proportions_are_true():
    """A box seen along each axis, twelve triangles."""
    box = hull(list(itertools.product((0, 1), (0, 2), (0, 3))))
    for elevation, azimuth, (width, height) in (
        (0, 0, (2, 3)),
        (0, -90, (1, 3)),
        (90, -90, (1, 2)),
    ):
        picture = picture_of(render_surfaces({0: box}, elevation=elevation, azimuth=azimuth))
        drawn = (picture < 250).any(axis=2)
        rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
        assert np.ptp(rows) / np.ptp(columns) == pytest.approx(height / width, rel=0.03)
        assert drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.98  # no holes


def test_axes_have_units_and_labels_their_names_and_colors(two_balls, tmp_path):
    figure = render_surfaces(two_balls, names={1: "grain"}, unit="mm")
    axes = figure.axes[0]
    assert axes.get_zlabel() == "z (mm)"
    assert axes.get_xlim() == pytest.approx((0, 22), abs=0.1)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["label 0", "grain"]
    shown = [to_hex(patch.get_facecolor()) for patch in legend.get_patches()]
    assert shown == list(label_colors([0, 1]).values())
    save_figure(tmp_path / "balls.png", figure)
    assert (tmp_path / "balls.png").stat().st_size > 10_000


def test_light_comes_from_above(two_balls):
    picture = picture_of(render_surfaces({0: two_balls[0]}, colors={0: "red"}, elevation=0))
    rows, columns = np.nonzero(picture[..., 1] == 0)
    middle = columns == (columns.min() + columns.max()) // 2
    brightness = picture[rows[middle], columns[middle], 0]
    quarter = len(brightness) // 4
    assert brightness[:quarter].mean() > 1.3 * brightness[-quarter:].mean()


def test_what_is_refused(two_balls):
    empty = Surface(np.empty((0, 3), np.float32), np.empty((0, 3), int))
    for nothing in ({}, {0: empty}):
        with pytest.raises(InputError, match=r"^surfaces: have no triangles; give"):
            render_surfaces(nothing)
    with pytest.raises(InputError, match=r"^colors: 'greenish' of label 1 is not a colour"):
        render_surfaces(two_balls, colors={1: "greenish"})
