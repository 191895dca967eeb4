"""One pass over a volume tells all that is needed before the work."""

from collections import Counter

import numpy as np
import pytest

from sp_graph_seg import Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming import block as block_module
from sp_graph_seg.streaming import choose_slices, label_volume, read_slice, survey_volume
from sp_graph_seg.volumes import Volume, measure_range, open_volume


@pytest.fixture
def decoded(monkeypatch):
    """How many times each slice was read."""
    counts = Counter()
    original = Volume.read

    def read(volume, start, stop):
        counts.update(range(start, stop))
        return original(volume, start, stop)

    monkeypatch.setattr(Volume, "read", read)
    return counts


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_check_range_choice_and_training_read_each_slice_once(
    tmp_path, make_slices, save_volume, config, decoded, dtype
):
    volume = save_volume(tmp_path / "a.npy", (make_slices(9) // 4).astype(dtype))
    survey = survey_volume(volume, keep=[1, 4], choose=2)
    survey.check(config)
    intensity_range = survey.intensity_range()
    chosen = survey.choose(2, intensity_range)
    Segmenter(config).fit(list(survey.kept.values()), intensity_range=intensity_range)
    assert decoded == dict.fromkeys(range(9), 1)
    assert intensity_range == measure_range(volume)
    assert chosen == choose_slices(volume, 2, intensity_range)
    assert list(survey.kept) == [1, 4]
    for number, image in survey.kept.items():
        np.testing.assert_array_equal(image, read_slice(volume, number))


def test_only_what_is_asked_for_is_kept(volume):
    survey = survey_volume(volume)
    assert (survey.kept, survey.small) == ({}, {})


def test_a_slice_that_cannot_be_used_takes_no_part(tmp_path, make_slices, save_volume):
    stored = make_slices(6).astype(np.float32)
    good = [0, 2, 3, 5]
    stored[1] += 5000
    stored[1, 0, 0, 0] = np.nan
    stored[4, 0, 3, 3] = np.inf
    survey = survey_volume(save_volume(tmp_path / "a.npy", stored), keep=[0, 1], choose=2)
    assert list(survey.unusable) == [1, 4]
    assert list(survey.small) == good
    assert list(survey.kept) == [0]
    alone = save_volume(tmp_path / "b.npy", stored[good])
    assert survey.intensity_range() == measure_range(alone)
    own = choose_slices(alone, 2, (0, 1000))
    assert survey.choose(2, (0, 1000)) == [good[number] for number in own]
    with pytest.raises(InputError, match=r"has 4 usable slices, so 5 cannot be chosen"):
        survey.choose(5, (0, 1000))


@pytest.mark.parametrize("fill", [0, 1000])
def test_what_is_no_data_counts_nowhere(tmp_path, make_slices, save_volume, config, fill):
    stored = make_slices(6, 32, 32).astype(np.float32)
    rows, columns = np.indices((32, 32)) - 16
    outside = rows**2 + columns**2 > 15**2
    stored[:, :, outside] = np.nan
    stored[3] = np.nan  # a slice beside the sample
    volume = save_volume(tmp_path / "a.npy", stored, fill=fill)
    survey = survey_volume(volume, choose=6)
    survey.check(config)
    assert survey.unusable == {}
    assert list(survey.small) == [0, 1, 2, 4, 5]
    bright = save_volume(tmp_path / "b.npy", np.where(np.isnan(stored), np.inf, stored), fill=7)
    other = survey_volume(bright, choose=6)
    assert survey.intensity_range() == other.intensity_range() == measure_range(volume)
    assert survey.choose(3, (0, 1000)) == other.choose(3, (0, 1000))
    assert survey.intensity_range()[1] < 1000


@pytest.mark.parametrize("mode", ["slices", "supervoxels"])
def test_the_fill_does_not_change_the_labels(tmp_path, model, make_slices, save_volume, mode):
    """Outside is unlabelled, whatever number stands there; inside the slices are as by predict."""
    stored = make_slices(4).astype(np.float32)
    stored[:, :, :5] = np.nan
    stored[2] = np.nan
    labels = []
    for fill in (0, 1000):
        volume = save_volume(tmp_path / f"{fill}.npy", stored, fill=fill)
        done = label_volume(model, volume, tmp_path / f"{fill}_out.npy", mode=mode, workers=0)
        labels.append(np.load(done.path))
        assert done.skipped == {}
    np.testing.assert_array_equal(*labels)
    np.testing.assert_array_equal(labels[0] == done.unlabelled, np.isnan(stored[:, 0]))
    if mode == "slices":
        expected = np.stack([Segmenter.load(model).predict(image) for image in stored])
        np.testing.assert_array_equal(labels[0], np.where(expected < 0, 255, expected))


def test_the_model_file_is_read_once_in_a_job(tmp_path, model, volume, monkeypatch):
    reads = []
    original = block_module.read_model
    monkeypatch.setattr(
        block_module, "read_model", lambda path: reads.append(path) or original(path)
    )
    block_module._load_model.cache_clear()
    label_volume(model, volume, tmp_path / "out.npy", block=2, workers=0)
    assert len(reads) == 1


def test_a_post_processing_is_of_its_job_alone(tmp_path, model, volume, predicted):
    from sp_graph_seg.labels.relabel import Relabel

    merged = Relabel(merge={0: [1, 2, 3]})
    first = label_volume(model, volume, tmp_path / "a.npy", relabel=merged, workers=0)
    assert (np.load(first.path) == 0).all()
    second = label_volume(model, volume, tmp_path / "b.npy", workers=0)
    np.testing.assert_array_equal(np.load(second.path), predicted)


def test_slices_along_another_axis(tmp_path, make_slices):
    np.save(tmp_path / "a.npy", make_slices(6)[:, 0])
    volume = open_volume(tmp_path / "a.npy", axes="zyx", axis="y")
    survey = survey_volume(volume, keep=[3])
    assert survey.unusable == {}
    np.testing.assert_array_equal(survey.kept[3], volume[3])
