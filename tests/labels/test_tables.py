"""Tables of regions against scipy.ndimage and scikit-image on the whole volume."""

import csv
import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage
from skimage.measure import regionprops

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.tables import LabelCounter, component_table, label_table

UNLABELLED = -1


def label_volumes(labels=(0, 1, 2, UNLABELLED), min_dims=2, max_side=7):
    shapes = array_shapes(min_dims=min_dims, max_dims=3, max_side=max_side)
    return arrays(np.int16, shapes, elements=st.sampled_from(labels))


def component_rows(labels, spacing):
    """label, size, centroid and box of each component, as scipy and scikit-image find them."""
    for label in np.unique(labels[labels != UNLABELLED]):
        components, _ = ndimage.label(labels == label)
        for region in regionprops(components):
            center = np.array(region.centroid) * spacing
            yield (int(label), int(region.area), tuple(np.round(center, 9)), region.bbox)


def as_rows(table):
    axes = [axis for axis in "zyx" if f"centroid_{axis}" in table.columns]
    for row in table:
        center = tuple(np.round([row[f"centroid_{axis}"] for axis in axes], 9))
        box = tuple(row[f"{axis}_{end}"] for end in ("start", "stop") for axis in axes)
        yield (row["label"], row["size"], center, box)


def surface_voxels(labels, label):
    """A loop over all voxels and their faces."""
    count = 0
    for voxel in itertools.product(*map(range, labels.shape)):
        around = [
            tuple(np.add(voxel, sign * np.eye(labels.ndim, dtype=int)[axis]))
            for axis in range(labels.ndim)
            for sign in (-1, 1)
        ]
        inside = [n for n in around if all(0 <= i < s for i, s in zip(n, labels.shape))]  # noqa: B905
        count += labels[voxel] == label and any(
            labels[n] not in (label, UNLABELLED) for n in inside
        )
    return count


@given(label_volumes())
def test_components_are_those_of_scipy(labels):
    spacing = (2.0, 0.5, 3.0)[-labels.ndim :]
    table = component_table(labels, spacing, unit="um", unlabelled=UNLABELLED)
    assert sorted(as_rows(table)) == sorted(component_rows(labels, spacing))
    np.testing.assert_allclose(table["volume"], table["size"] * np.prod(spacing))
    order = list(zip(table["label"].tolist(), (-table["size"]).tolist(), strict=True))
    assert order == sorted(order)


@given(label_volumes(max_side=4))
def test_regions_sum_up_the_components(labels):
    table = label_table(labels, unlabelled=UNLABELLED)
    assert table["label"].tolist() == np.unique(labels[labels != UNLABELLED]).tolist()
    for row in table:
        here = labels == row["label"]
        sizes = np.bincount(ndimage.label(here)[0].ravel())[1:]
        assert row["size"] == row["volume"] == here.sum()
        assert row["fraction"] == here.sum() / (labels != UNLABELLED).sum()
        assert (row["components"], row["largest"]) == (len(sizes), sizes.max())
        assert row["mean_size"] == sizes.mean()
        assert row["surface"] == surface_voxels(labels, row["label"])


@pytest.mark.parametrize("density", [0.25, 0.31, 0.4, 0.7])
def test_random_volumes_near_percolation(density):
    """Here the components wind through many slices, split and meet again."""
    volume = (np.random.default_rng(0).random((30, 24, 26)) < density).astype(np.uint8)
    rows = sorted(as_rows(component_table(volume)))
    assert rows == sorted(component_rows(volume, np.ones(3)))


def test_branches_that_meet_in_the_last_slice_are_one_component():
    comb = np.zeros((5, 3, 9), dtype=bool)
    comb[:, 1, ::2] = True
    assert label_table(comb)["components"].tolist() == [1, 5]
    comb[-1, 1] = True
    assert label_table(comb)["components"].tolist() == [1, 1]


def test_a_counter_may_be_asked_at_any_time():
    volume = np.random.default_rng(1).integers(0, 3, (6, 8, 7))
    counter = LabelCounter()
    assert len(counter.label_table()) == len(counter.component_table()) == 0
    buffer = np.empty((8, 7), dtype=int)
    for depth, image in enumerate(volume, start=1):
        buffer[:] = image  # the caller may use it again
        counter.add(buffer)
        for _ in range(2):
            assert counter.label_table().to_csv() == label_table(volume[:depth]).to_csv()
            assert list(counter.component_table()) == list(component_table(volume[:depth]))


def test_what_has_ended_takes_no_part_in_later_slices():
    counter = LabelCounter()
    for value in range(50):
        counter.add(np.full((3, 4), value))
    assert len(counter._joiner._active) == 1
    assert len(counter.component_table()) == 50


def test_a_volume_is_read_slice_by_slice():
    class Lazy:
        shape = (4, 5, 6)

        def __getitem__(self, index):
            assert isinstance(index, int)
            return np.full((5, 6), index // 2)

    assert label_table(Lazy())["size"].tolist() == [60, 60]


def test_csv_in_3d():
    labels = np.zeros((4, 4, 4), dtype=np.uint8)
    labels[1:3, 1:3, 1:3] = 7
    spacing = (2.0, 1.0, 0.5)
    text = label_table(labels, spacing, {7: "pore, closed"}, unit="um").to_csv()
    first, second = csv.DictReader(io.StringIO(text))
    assert float(second.pop("area_um2")) > 0  # see the tests of areas
    assert second == {
        "label": "7",
        "name": "pore, closed",
        "size_voxels": "8",
        "fraction": "0.125",
        "volume_um3": "8.0",
        "components": "1",
        "largest_voxels": "8",
        "mean_size_voxels": "8.0",
        "surface_voxels": "8",
    }
    assert (first["name"], first["surface_voxels"]) == ("", "24")
    text = component_table(labels, spacing, unit="um").to_csv()
    row = list(csv.DictReader(io.StringIO(text)))[1]
    assert list(row)[3:] == [
        *("volume_um3", "diameter_um", "centroid_z_um", "centroid_y_um", "centroid_x_um"),
        *("z_start_voxel", "z_stop_voxel", "y_start_voxel", "y_stop_voxel"),
        *("x_start_voxel", "x_stop_voxel"),
    ]
    assert float(row["diameter_um"]) == pytest.approx(2 * (8 * 3 / 4 / np.pi) ** (1 / 3))
    assert [row[f"centroid_{axis}_um"] for axis in "zyx"] == ["3.0", "1.5", "0.75"]


def test_csv_in_2d_and_without_spacing():
    labels = np.eye(3, dtype=int)
    header = "label,name,size_pixels,fraction,area_mm2,components,"
    header += "largest_pixels,mean_size_pixels,surface_pixels"
    assert label_table(labels, (2, 2), unit="mm").to_csv().splitlines()[0] == header
    assert "area_pixels" in label_table(labels).to_csv()
    table = component_table(np.ones((2, 2), bool), (3, 3), unit="mm")
    assert table.columns.keys() == {
        *("label", "name", "size", "volume", "diameter", "centroid_y", "centroid_x"),
        *("y_start", "y_stop", "x_start", "x_stop"),
    }
    assert table["diameter"] == pytest.approx(2 * np.sqrt(36 / np.pi))
    assert "volume_voxels" in label_table(labels[None]).to_csv()


def test_a_volume_without_any_label():
    labels = np.full((2, 3, 3), 255, dtype=np.uint8)
    assert len(label_table(labels, unlabelled=255)) == 0
    assert len(component_table(labels, unlabelled=255)) == 0


@pytest.mark.parametrize(
    ("labels", "options", "reason"),
    [
        (np.zeros(3, int), {}, r"labels: the shape is \(3,\)"),
        (np.zeros((0, 3), int), {}, "labels: the shape is"),
        (np.zeros((2, 3)), {}, "labels: an array of float64 .* is not a slice"),
        (np.zeros((2, 3), int), {"spacing": (1, 1, 1), "unit": "um"}, "spacing: .* 2 positive"),
        (np.zeros((2, 3), int), {"spacing": (1, 0), "unit": "um"}, "spacing: .* 2 positive"),
        (np.zeros((2, 3), int), {"spacing": (1, 1)}, "spacing: .* has no unit"),
        (np.zeros((2, 3), int), {"unit": "um"}, "unit: 'um' is given without a spacing"),
    ],
)
def test_what_is_refused(labels, options, reason):
    with pytest.raises(InputError, match=f"^{reason}"):
        label_table(labels, **options)


def test_slices_must_have_one_size():
    counter = LabelCounter()
    counter.add(np.zeros((2, 3), int))
    with pytest.raises(InputError, match=r"slice 1 has the shape \(3, 2\), but .* \(2, 3\)"):
        counter.add(np.zeros((3, 2), int))
