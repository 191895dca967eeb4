"""SLIC on a grid, beside loops over pixels."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sp_graph_seg.transforms import grid_slic as module
from sp_graph_seg.transforms.grid_slic import grid_slic


def slow_slic(colors, rows, columns, compactness):
    """The same by loops, for images that the cells of a grid fill."""
    _, height, width = colors.shape
    sides = height // rows, width // columns
    weight = compactness**2 / (sides[0] * sides[1])
    cell = np.add.outer(np.arange(height) // sides[0] * columns, np.arange(width) // sides[1])
    features = np.stack([*colors, *np.mgrid[:height, :width]]).astype(float)
    means = [features[:, cell == k].mean(axis=1) for k in range(rows * columns)]
    owner = np.empty_like(cell)
    for place in np.ndindex(height, width):
        row, column = divmod(cell[place], columns)
        costs = {}
        for k, mean in enumerate(means):
            if abs(k // columns - row) <= 1 and abs(k % columns - column) <= 1:
                squares = (features[:, *place] - mean) ** 2
                costs[k] = squares[:-2].sum() + weight * squares[-2:].sum()
        owner[place] = min(costs, key=costs.get)
    return owner


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("compactness", [1.0, 10.0])
def test_the_same_as_by_loops(channels, compactness, monkeypatch):
    monkeypatch.setattr(module, "_join_small", lambda ids, smallest: ids)
    colors = np.random.default_rng(channels).normal(0, 10, (channels, 20, 30))
    colors = scipy.ndimage.gaussian_filter(colors, (0, 1, 1)).astype(np.float32)
    expected = slow_slic(colors, 4, 6, compactness)
    np.testing.assert_array_equal(grid_slic(colors, 24, compactness), expected)


@pytest.mark.parametrize("size", [(40, 60), (41, 59), (7, 90), (1, 50), (3, 3)])
def test_a_flat_image_is_divided_into_equal_rectangles(size):
    ids = grid_slic(np.zeros((3, *size), np.float32), 24, 10.0)
    corners = ids[:-1, :-1] != ids[1:, 1:]
    steps = (ids[:-1] != ids[1:])[:, :-1] | (ids[:, :-1] != ids[:, 1:])[:-1]
    assert ids.shape == size
    np.testing.assert_array_equal(corners, steps)  # boundaries are straight
    assert 0.5 * min(24, ids.size) <= len(np.unique(ids)) <= 2 * 24


def test_superpixels_end_at_edges():
    y, x = np.mgrid[:60, :80]
    inside = np.hypot(y - 31, x - 37) < 19
    colors = np.where(inside, 90, 20)[None].astype(np.float32)
    ids = grid_slic(colors, 48, 10.0)
    bright = np.bincount(ids.ravel(), inside.ravel()) / np.maximum(np.bincount(ids.ravel()), 1)
    assert np.minimum(bright, 1 - bright)[ids].mean() < 0.01


@given(
    arrays(np.int64, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)),
    st.integers(1, 12),
)
def test_pieces_are_connected_and_never_divided(ids, smallest):
    joined = module._join_small(ids, smallest)
    for piece in np.unique(joined):
        _, count = scipy.ndimage.label(joined == piece)
        assert count == 1
    for value in np.unique(ids):  # what was one piece stays one
        pieces, count = scipy.ndimage.label(ids == value)
        for number in range(1, count + 1):
            assert len(np.unique(joined[pieces == number])) == 1


def test_a_small_piece_goes_to_its_largest_neighbour():
    ids = np.repeat([[5, 5, 5, 7, 7, 2, 2, 2, 2]], 4, axis=0)
    ids[1, 4] = 5  # cut off from the other pixels of 5, between 7 and 2
    ids[3, 3] = 9
    joined = module._join_small(ids, 2)
    expected = np.repeat([[5, 5, 5, 7, 7, 2, 2, 2, 2]], 4, axis=0)
    expected[1, 4] = 2
    expected[3, 3] = 5
    np.testing.assert_array_equal(joined == joined[0, 0], expected == 5)
    np.testing.assert_array_equal(joined == joined[0, 3], expected == 7)
    np.testing.assert_array_equal(joined == joined[0, 8], expected == 2)
    assert len(np.unique(module._join_small(ids, 1))) == 5
