"""What is read of a volume, against the whole of it in memory."""

import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.report import sample as module
from sp_graph_seg.report import sample_images, sample_volume
from sp_graph_seg.volumes import open_volume


@pytest.fixture
def stored(tmp_path):
    """Saves arrays as volumes."""

    def store(name, array):
        np.save(tmp_path / f"{name}.npy", array)
        return open_volume(tmp_path / f"{name}.npy", axes="zyx")

    return store


def test_the_legend_is_that_of_the_whole_volume(stored):
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 4, 9, 255], (7, 20, 30), p=[0.5, 0.3, 0.1, 0.1]).astype(np.uint8)
    values = rng.random(labels.shape).astype(np.float32)
    values[2, :5] = np.nan
    volume = stored("scan", values)
    sample = sample_volume(
        volume, stored("labels", labels), names={4: "four"}, colors={4: "#123456"}
    )
    assert [row.label for row in sample.legend] == [0, 4, 9]
    for row in sample.legend:
        assert row.share == pytest.approx((labels == row.label).sum() / (labels != 255).sum())
        assert row.grey == pytest.approx(np.nanmean(values[labels == row.label]), rel=1e-6)
    assert (sample.legend[1].name, sample.legend[1].color) == ("four", "#123456")
    assert sample.seen == (7, 7)
    assert (sample.noun, sample.unit) == ("slice", "voxels")


def test_small_slices_and_cuts_are_those_of_the_volume(stored):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, (5, 8, 6)).astype(np.uint8)
    values = rng.integers(0, 99, labels.shape).astype(np.uint16)
    sample = sample_volume(stored("scan", values), stored("labels", labels), trained_on=[3])
    assert [panel.title for panel in sample.panels] == [f"slice {n}" for n in range(5)]
    assert [panel.note for panel in sample.panels] == ["", "", "", "trained on", ""]
    for number, panel in enumerate(sample.panels):
        np.testing.assert_array_equal(panel.labels, labels[number])
        np.testing.assert_array_equal(panel.image[0], values[number])
        assert panel.extent == (8, 6)
    row, column = sample.cuts
    np.testing.assert_array_equal(row.labels, labels[:, 4])
    np.testing.assert_array_equal(row.image[0], values[:, 4])
    np.testing.assert_array_equal(column.labels, labels[:, :, 3])
    np.testing.assert_array_equal(column.image[0], values[:, :, 3])
    assert (row.extent, column.extent) == ((5, 6), (5, 8))


def test_spacing_gives_the_extents_and_the_unit(scan):
    volume, labels = open_volume(scan / "scan.tif"), open_volume(scan / "labels.tif")
    for given in (volume, None):
        sample = sample_volume(given, labels)
        assert sample.unit == "µm"
        assert sample.panels[0].extent == pytest.approx((80, 120))
        assert sample.cuts[0].extent == pytest.approx((120, 120))
        assert sample.cuts[1].extent == pytest.approx((120, 80))


def test_of_many_slices_only_some_are_read_and_fewer_are_kept(stored, monkeypatch):
    monkeypatch.setattr(module, "READ", 20)
    monkeypatch.setattr(module, "SHOWN", 5)
    labels = np.zeros((101, 4, 4), np.uint8)
    labels[50] = 1
    volume, labels = (
        stored("scan", np.arange(101)[:, None, None] + labels),
        stored("labels", labels),
    )
    read = []
    own = type(labels).read

    def count(self, start, stop):
        read.append(stop - start)
        return own(self, start, stop)

    monkeypatch.setattr(type(labels), "read", count)
    sample = sample_volume(volume, labels, trained_on=[7])
    assert sample.seen == (21, 101)
    assert [panel.title for panel in sample.panels][:2] == ["slice 0", "slice 7"]
    assert len(sample.panels) == 6
    assert sum(read) == 42
    assert sample.cuts[0].labels.shape == (21, 4)


def test_labels_without_an_input(stored):
    labels = stored("labels", np.arange(24).reshape(2, 3, 4).astype(np.uint8) % 3)
    sample = sample_volume(None, labels)
    assert all(panel.image is None for panel in (*sample.panels, *sample.cuts))
    assert all(np.isnan(row.grey) for row in sample.legend)
    assert [row.share for row in sample.legend] == [pytest.approx(1 / 3)] * 3


def test_labels_of_another_size_are_refused(stored):
    with pytest.raises(InputError, match=r"labels.npy: has 2 x 3 x 4 voxels, but .* 2 x 3 x 5"):
        sample_volume(
            stored("scan", np.zeros((2, 3, 5))), stored("labels", np.zeros((2, 3, 4), np.uint8))
        )


def test_a_slice_that_cannot_be_read_has_no_values(stored, monkeypatch):
    volume = stored("scan", np.arange(24.0).reshape(2, 3, 4))
    labels = stored("labels", np.zeros((2, 3, 4), np.uint8))
    own = type(volume).read

    def fail(self, start, stop):
        if self.path == volume.path and start <= 1 < stop:
            raise InputError("scan: slice 1 is damaged; repair it.")
        return own(self, start, stop)

    monkeypatch.setattr(type(volume), "read", fail)
    sample = sample_volume(volume, labels)
    assert sample.legend[0].grey == pytest.approx(np.arange(12).mean())
    assert np.isnan(sample.panels[1].image).all()
    assert sample.panels[1].picture(sample.intensity_range).max() == 0


def test_images_are_counted_and_some_are_shown(monkeypatch):
    monkeypatch.setattr(module, "SHOWN", 2)
    rng = np.random.default_rng(0)
    images = [rng.random((3, 4, 5), np.float32) for _ in range(3)]
    labels = [np.full((4, 5), 2), np.full((4, 5), -1), np.zeros((4, 5), int)]
    sample = sample_images(zip("abc", images, labels, strict=True), 3)
    assert [panel.title for panel in sample.panels] == ["a", "c"]
    assert [row.label for row in sample.legend] == [0, 2]
    assert sample.legend[0].grey == pytest.approx(images[2].mean(), rel=1e-5)
    assert sample.legend[1].grey == pytest.approx(images[0].mean(), rel=1e-5)
    assert sample.cuts == ()
