"""The legend below a picture: its pixels stay, its colours are there, its text fits."""

import numpy as np
import pytest

from sp_graph_seg.io import label_colors
from sp_graph_seg.plot.legend import LegendRow
from sp_graph_seg.plot.strip import with_legend


def rows_of(count, name=""):
    colors = label_colors(range(count))
    return [LegendRow(n, color, name, 1 / count, np.nan) for n, color in colors.items()]


@pytest.mark.parametrize("size", [(24, 32), (321, 481), (1080, 1920)])
@pytest.mark.parametrize("count", [1, 7, 24])
def test_the_picture_stays_and_every_colour_is_below_it(size, count):
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    shown = with_legend(picture, rows_of(count, "grain"))
    np.testing.assert_array_equal(shown[: size[0]], picture)
    strip = shown[size[0] :]
    assert len(strip) % 2 == 0
    for row in rows_of(count):
        rgb = np.array(list(bytes.fromhex(row.color[1:])))
        pixels = np.argwhere((strip == rgb).all(axis=-1))
        assert len(pixels) >= 50, row
    assert (strip < 128).all(axis=-1).any()  # text


def test_the_largest_labels_are_listed():
    picture = np.zeros((400, 400, 3), np.uint8)
    rows = [row._replace(share=row.label / 1000) for row in rows_of(40)]
    strip = with_legend(picture, rows)[400:]
    colors = {tuple(pixel) for pixel in strip.reshape(-1, 3)}
    shown = [row.label for row in rows if tuple(bytes.fromhex(row.color[1:])) in colors]
    assert shown == list(range(16, 40))


def test_no_text_touches_the_swatch_of_the_next_column():
    strip = with_legend(np.zeros((321, 481, 3), np.uint8), rows_of(12, "a long name"))[321:]
    rgb = np.array(list(bytes.fromhex(rows_of(12)[1].color[1:])))
    row, column = np.argwhere((strip == rgb).all(axis=-1)).min(axis=0)
    before = strip[row : row + 8, column - 8 : column - 2]
    assert (before == 255).all()


def test_nothing_but_a_margin_without_labels():
    shown = with_legend(np.zeros((40, 60, 3), np.uint8), [])
    assert (shown[40:] == 255).all()
