"""Over-segmentations against scikit-image, and basins that flood each other."""

import numpy as np
import pytest
from skimage.morphology import h_minima, local_minima
from skimage.segmentation import watershed

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import LEVELS, VOLUME_LEVELS, FelzenszwalbLevel, WatershedLevel
from sp_graph_seg.transforms.levels import flood_basins

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("level", [*LEVELS, *VOLUME_LEVELS])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_each_level_finds_two_halves(level, channels):
    image = np.zeros((channels, 40, 60))
    image[:, :, 25:] = 0.8
    ids = level(image)
    assert ids.dtype == np.int64
    assert np.unique(ids).tolist() == [0, 1]
    assert (ids[:, :24] == ids[0, 0]).all()
    assert (ids[:, 27:] == ids[0, -1]).all()


def test_felzenszwalb_is_for_images():
    with pytest.raises(InputError, match=r"^levels: FelzenszwalbLevel.*use WatershedLevel"):
        FelzenszwalbLevel("lab", 100, 0.5, 50)(np.zeros((1, 4, 5, 6)))


def basins_of(shape):
    """A landscape without equal heights, and its watershed."""
    heights = RNG.permutation(int(np.prod(shape))).reshape(shape).astype(float)
    return heights, watershed(heights).astype(np.int64) - 1


@pytest.mark.parametrize("shape", [(14, 15), (6, 7, 8)])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_as_many_basins_are_left_as_there_are_deeper_minima(shape, share):
    heights, basins = basins_of(shape)
    assert basins.max() + 1 == (local_minima(heights, connectivity=1)).sum()
    height = share * heights.size
    flooded = flood_basins(heights, basins, height)
    deep = h_minima(heights, height, footprint=np.ones((3,) * len(shape), bool))
    by_faces = _deeper_minima(heights, height)
    assert flooded.max() + 1 == by_faces
    assert deep.max() == 1  # sanity of the oracle's input
    for basin in range(int(basins.max()) + 1):
        assert len(np.unique(flooded[basins == basin])) == 1


def _deeper_minima(heights, height):
    """Minima from which every path to a lower pixel climbs by ``height`` or more: by flooding."""
    from scipy.ndimage import label

    count = 0
    for place in np.argwhere(local_minima(heights, connectivity=1)):
        bottom = heights[tuple(place)]
        lakes, _ = label(heights < bottom + height)  # what is reached by climbing less
        count += heights[lakes == lakes[tuple(place)]].min() == bottom
    return count


def test_no_height_floods_nothing():
    heights, basins = basins_of((9, 9))
    assert (flood_basins(heights, basins, 0) == basins).all()
    assert not flood_basins(heights, basins, np.inf).any()


def test_constant_images_have_one_basin():
    assert not WatershedLevel("lab", 1.0, 1.0)(np.full((3, 16, 16), 0.5)).any()
