import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot import overlay_labels, save_figure
from sp_graph_seg.plot.ortho import orthogonal_slices

SHAPE = 12, 30, 40
POSITION = 3, 7, 31


@pytest.fixture
def volume():
    return np.random.default_rng(0).random(SHAPE, dtype=np.float32)


@pytest.fixture
def labels():
    z, y, x = np.indices(SHAPE)
    return (z >= 6) + 2 * (y >= 15) + 4 * (x >= 20)


def pictures(figure):
    return [axes.images[0].get_array() for axes in figure.axes]


def through(array, z, y, x):
    return array[z], array[:, y], array[:, :, x]


def test_every_panel_is_the_slice_through_the_position(volume, labels):
    figure = orthogonal_slices(volume, labels, position=POSITION, alpha=0.3)
    shown = pictures(figure)
    for image, grey in zip(through(volume, *POSITION), shown[:3], strict=True):
        low, high = np.quantile(image, (0.001, 0.999))
        expected = 255 * np.clip((image - low) / (high - low), 0, 1)
        np.testing.assert_allclose(grey[..., 0], expected, atol=1)
    cuts = zip(through(volume, *POSITION), through(labels, *POSITION), shown[3:], strict=True)
    for image, cut, overlay in cuts:
        np.testing.assert_array_equal(overlay, overlay_labels(image[None], cut, 0.3))
    assert [axes.get_title() for axes in figure.axes[:3]] == ["z = 3", "y = 7", "x = 31"]


def test_the_default_is_the_middle_and_labels_may_be_left_out(volume):
    shown = pictures(orthogonal_slices(volume))
    expected = pictures(orthogonal_slices(volume, position=(6, 15, 20)))
    assert len(shown) == 3
    for one, other in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_panels_share_one_physical_scale(volume, labels):
    figure = orthogonal_slices(volume, labels, spacing=(5.0, 1.0, 2.0), unit="um")
    figure.draw_without_rendering()
    depth, height, width = 12 * 5.0, 30 * 1.0, 40 * 2.0
    sizes = [(width, height), (width, depth), (height, depth)] * 2
    scales = []
    for axes, (across, down) in zip(figure.axes, sizes, strict=True):
        assert axes.get_xlim() == (0, across)
        assert axes.get_ylim() == (down, 0)  # rows run down
        box = axes.get_window_extent()
        scales += [box.width / across, box.height / down]
    np.testing.assert_allclose(scales, scales[0], rtol=0.02)
    assert [axes.get_xlabel()[0] for axes in figure.axes[:3]] == ["x", "x", "y"]
    assert {axes.get_ylabel() for axes in figure.axes[:3]} == {"y (um)", "z (um)"}


def test_lines_cross_where_the_other_panels_lie(volume):
    figure = orthogonal_slices(volume, spacing=(5.0, 1.0, 2.0), position=POSITION)
    z, y, x = (3 + 0.5) * 5.0, 7 + 0.5, (31 + 0.5) * 2.0  # middles of voxels
    for axes, (down, across) in zip(figure.axes, [(y, x), (z, x), (z, y)], strict=True):
        row, column = axes.lines
        assert set(row.get_ydata()) == {down}
        assert set(column.get_xdata()) == {across}


def test_a_large_volume_on_disk_is_not_read(tmp_path, labels):
    class Sliced:
        """Knows a shape and gives slices, as arrays of Zarr and HDF5 do."""

        shape = SHAPE
        seen = 0

        def __getitem__(self, index):
            assert sum(isinstance(part, int) for part in index) == 1
            self.seen += 1
            return labels[index]

    array = Sliced()
    save_figure(tmp_path / "ortho.png", orthogonal_slices(array, array))
    assert array.seen == 6
    assert (tmp_path / "ortho.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"volume": np.zeros((3, 4))}, r"volume: has shape \(3, 4\), but must"),
        ({"labels": np.zeros((3, 4, 5), int)}, r"labels: have shape \(3, 4, 5\), but"),
        ({"labels": np.zeros(SHAPE)}, "labels: an array of float64"),
        ({"spacing": (1, 0, 1)}, r"spacing=\(1, 0, 1\) is invalid; give three positive"),
        ({"spacing": (1, 1)}, "is invalid; give three positive"),
        ({"position": (0, 30, 0)}, r"position=\(0, 30, 0\) lies outside of .* to 11, 29, 39"),
    ],
)
def test_what_cannot_be_shown(volume, labels, changes, reason):
    with pytest.raises(InputError, match=reason):
        orthogonal_slices(**{"volume": volume, "labels": labels, **changes})
