import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from sp_graph_seg.prototypes.tiles import in_tiles, row_bands


@pytest.fixture(scope="module")
def large():
    return np.random.default_rng(0).random((2, 2500, 1300), dtype=np.float32)


@pytest.mark.parametrize(
    "function",
    [
        lambda image: image * 2 + 1,
        lambda image: np.stack([uniform_filter(channel, 5) for channel in image]),
        lambda image: image.sum(axis=0, keepdims=True) > 1,
    ],
    ids=["pointwise", "mean of 5x5", "another number and type of channels"],
)
def test_tiles_give_what_the_whole_gives(large, function):
    result, whole = in_tiles(function, large), function(large)
    assert result.dtype == whole.dtype
    if result.dtype == bool:
        np.testing.assert_array_equal(result, whole)
    else:  # a moving sum rounds by where it begins
        np.testing.assert_allclose(result, whole, atol=1e-5)


def test_a_tile_is_bounded_and_sees_64_pixels_beyond(large):
    sizes = []

    def note(tile):
        sizes.append(tile.shape[1:])
        return tile

    in_tiles(note, large)
    assert max(map(max, sizes)) <= 1024 + 2 * 64
    assert sizes == [
        (1088, 1088), (1088, 340), (1152, 1088), (1152, 340), (516, 1088), (516, 340)
    ]  # fmt: skip


def test_what_fits_into_a_tile_is_given_whole():
    image = np.zeros((1, 1152, 20), np.float32)
    seen = []
    in_tiles(lambda tile: seen.append(tile) or tile, image)
    assert len(seen) == 1
    assert seen[0] is image


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (12000, 12000), (7, 5_000_000), (4097, 1024)]
)
def test_bands_are_all_rows_once_and_bounded(height, width):
    bands = list(row_bands(height, width))
    rows = [row for band in bands for row in range(height)[band]]
    assert rows == list(range(height))
    assert all((band.stop - band.start) * width <= max(1 << 22, width) for band in bands)
