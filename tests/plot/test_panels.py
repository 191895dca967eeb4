import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot import panel_grid


@pytest.mark.parametrize(("count", "columns", "grid"), [(1, 3, 1), (3, 3, 3), (4, 3, 6), (5, 2, 6)])
def test_every_picture_has_its_title(count, columns, grid):
    pictures = [np.full((20, 30), 0.1 * k) for k in range(count)]
    figure = panel_grid({f"picture {k}": pictures[k] for k in range(count)}, columns)
    assert len(figure.axes) == grid
    for axes, picture, number in zip(figure.axes, pictures, range(count), strict=False):
        assert axes.get_title() == f"picture {number}"
        np.testing.assert_array_equal(axes.images[0].get_array(), picture)
    assert not any(axes.axison for axes in figure.axes)
    assert [len(axes.images) for axes in figure.axes] == [1] * count + [0] * (grid - count)


def test_colours_and_wide_pictures_fit():
    wide = panel_grid({"a": np.zeros((10, 40, 3)), "b": np.zeros((10, 40, 3))})
    tall = panel_grid({"a": np.zeros((40, 10)), "b": np.zeros((40, 10))})
    assert wide.get_figheight() < wide.get_figwidth() < tall.get_figheight()


def test_no_picture_is_refused():
    with pytest.raises(InputError, match=r"^panels: the mapping is empty"):
        panel_grid({})
    with pytest.raises(InputError, match=r"^columns=0: must be 1 or more"):
        panel_grid({"a": np.zeros((3, 3))}, columns=0)
