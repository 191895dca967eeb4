"""Volumes and videos labelled by prototypes: blocks leave no trace, or hardly any."""

import pickle

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.prototypes import Appearance
from sp_graph_seg.streaming import label_volume
from sp_graph_seg.streaming.block import BlockLabeler
from sp_graph_seg.volumes import open_volume

SMALL = {"width": 4, "depth": 2, "epochs": 3, "minibatches": 2, "accelerator": "cpu"}
PHASES = Config.preset("tomogram").replace(
    num_labels=2, num_features=8, patches=((32, 24, 24),), **{**SMALL, "width": 8, "epochs": 10}
)
VIDEO = Config.preset("video").replace(
    num_labels=3, n_segments=300, compactness=40.0, patches=((4, 16, 16),), **SMALL
)
COLORS = np.array([[40, 30, 90], [120, 110, 60], [240, 220, 140]])


def make_scan(count=7, height=40, width=48, seed=0):
    """Blobs of two phases that change along z, uint16, and the truth."""
    rng = np.random.default_rng(seed)
    truth = gaussian_filter(rng.normal(size=(count, height, width)), (2, 5, 5)) > 0
    return (1000 + 2000 * truth + rng.normal(0, 150, truth.shape)).astype(np.uint16), truth


def make_video(share, count=14, height=48, width=64, seed=0):
    """A disc that moves over ground and sky, uint8 ``(T, C, H, W)``, and the truth.

    A patch between ground and sky (-1) has the given share of the ground's colour, a little more in
    every other frame.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    frames, truth = [], []
    for number in range(count):
        labels = (y < height / 2).astype(int)
        labels[np.hypot(y - 30, x - 14 - 2 * number) < 11] = 2
        patch = (x < 20) & (y < 18)
        ground = share + 0.03 * (-1) ** number
        mixed = ground * COLORS[0] + (1 - ground) * COLORS[1]
        seen = np.where(patch[..., None], mixed, COLORS[labels])
        frames.append(np.moveaxis(seen + rng.normal(0, 4, seen.shape), -1, 0).clip(0, 255))
        truth.append(np.where(patch, -1, labels))
    return np.array(frames).astype(np.uint8), np.array(truth)


def find_border(segmenter):
    """The share of the ground's colour from which on the patch is ground."""
    for share in np.linspace(0, 1, 41):
        if segmenter.predict(make_video(share, 1)[0][0])[9, 10] == 0:
            break
    return share


def write(folder, slices, axes):
    np.save(folder / "volume.npy", slices)
    return open_volume(folder / "volume.npy", axes=axes)


def label(folder, model, volume, block, **options):
    job = label_volume(model, volume, folder / f"{block}.npy", block=block, **options)
    return np.load(job.path)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    slices, truth = make_scan()
    model = folder / "model.safetensors"
    Segmenter(PHASES).fit(list(slices[[0, 4], None].astype(np.float32))).save(model)
    return model, write(folder, slices, "zyx"), truth


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    plain, _ = make_video(0.0)
    model = folder / "model.safetensors"
    segmenter = Segmenter(VIDEO).fit([plain[0], plain[8]])
    segmenter.save(model)
    frames, truth = make_video(find_border(segmenter))
    return model, write(folder, frames, "tcyx"), truth, frames


@pytest.fixture(scope="module")
def alone(video):
    """What ``predict`` says of each frame, which remembers nothing."""
    segmenter = Segmenter.load(video[0])
    return np.stack([segmenter.predict(frame) for frame in video[3]])


def test_a_volume_is_labelled_the_same_in_blocks_of_any_size(tmp_path, scan):
    model, volume, truth = scan
    expected = label(tmp_path, model, volume, len(volume), workers=0)
    assert (expected == truth).mean() > 0.98
    for block in (1, 3):
        labels = label(tmp_path, model, volume, block, workers=0)
        np.testing.assert_array_equal(labels, expected)


def test_slices_that_are_not_joined_are_those_of_predict(tmp_path, scan):
    model, volume, _ = scan
    segmenter = Segmenter.load(model)
    expected = np.stack([segmenter.predict(plane[None]) for plane in make_scan()[0]])
    segmenter.config_ = segmenter.config_.replace(join_slices=False)
    segmenter.save(tmp_path / "alone.safetensors")
    labels = label(tmp_path, tmp_path / "alone.safetensors", volume, 3, workers=0)
    np.testing.assert_array_equal(labels, expected)
    assert (labels != label(tmp_path, model, volume, 7, workers=0)).any()


def test_merged_labels_are_those_of_the_model(tmp_path, scan):
    model, volume, _ = scan
    merged = tmp_path / "merged.safetensors"
    Segmenter.load(model).merge_labels(1).save(merged)
    assert (label(tmp_path, merged, volume, 3) == 0).all()


def test_supervoxels_are_refused(tmp_path, scan):
    model, volume, _ = scan
    with pytest.raises(InputError, match=r"label_by='phases': this operation needs a model with"):
        label(tmp_path, model, volume, 3, mode="supervoxels", workers=0)


def test_frames_of_a_video_are_labelled_right(tmp_path, video):
    model, volume, truth, _ = video
    labels = label(tmp_path, model, volume, 14, workers=0)
    assert (labels == truth)[truth >= 0].mean() > 0.95


def test_the_first_frame_is_that_of_predict_and_the_others_are_remembered(tmp_path, video, alone):
    model, volume, *_ = video
    labels = label(tmp_path, model, volume, 14, workers=0)
    np.testing.assert_array_equal(labels[0], alone[0])
    assert (labels[1:] != alone[1:]).any()


def test_where_a_block_begins_changes_few_labels(tmp_path, video):
    """Five frames before a block are seen again; only what is like two labels may differ."""
    model, volume, truth, _ = video
    whole = label(tmp_path, model, volume, 14, workers=0)
    patch = truth < 0
    for block in (1, 4, 9):
        differ = label(tmp_path, model, volume, block, workers=0) != whole
        assert differ[~patch].mean() < 0.005
        assert not differ[: max(block, 6)].any()  # the first block, and those that see all before


@pytest.mark.parametrize("bad", [None, 4])
def test_frames_are_described_once_unless_another_process_goes_on(
    tmp_path, video, monkeypatch, bad
):
    model, _, _, frames = video
    frames = frames.astype(np.float32)
    if bad is not None:
        frames[bad, 0, 0, 0] = np.nan
    volume = write(tmp_path, frames, "tcyx")
    described = []
    describe, call = Appearance.describe, BlockLabeler.__call__

    def counted(self, *frame):
        described.append(1)
        return describe(self, *frame)

    monkeypatch.setattr(Appearance, "describe", counted)
    options = {"workers": 0, "skip_bad": True, "preflight": False, "overwrite": True}
    labels = label(tmp_path, model, volume, 5, **options)
    usable = 14 - (bad is not None)
    assert len(described) == usable
    monkeypatch.setattr(
        BlockLabeler, "__call__", lambda self, block: call(pickle.loads(pickle.dumps(self)), block)
    )
    np.testing.assert_array_equal(label(tmp_path, model, volume, 5, **options), labels)
    again = [n for n in [*range(5), *range(10)] if n != bad]
    assert len(described) == 2 * usable + len(again)


def test_without_memory_frames_are_those_of_predict(tmp_path, video):
    model, volume, *_ = video
    segmenter = Segmenter.load(model)
    segmenter.config_ = segmenter.config = segmenter.config_.replace(memory=0.0)
    segmenter.save(tmp_path / "forgets.safetensors")
    segmenter = Segmenter.load(tmp_path / "forgets.safetensors")
    expected = np.stack([segmenter.predict(frame) for frame in video[3]])
    for block in (5, 14):
        labels = label(tmp_path, tmp_path / "forgets.safetensors", volume, block, workers=0)
        np.testing.assert_array_equal(labels, expected)


def test_a_frame_that_cannot_be_used_is_left_out_and_nothing_else(tmp_path, video):
    """The frames after it remember the one before."""
    model, volume, *_ = video
    frames = video[3].astype(np.float32)
    frames[5] = np.inf
    broken = write(tmp_path, frames, "tcyx")
    job = label_volume(
        model, broken, tmp_path / "out.npy", block=14, skip_bad=True, workers=0, preflight=False
    )
    labels = np.load(job.path)
    whole = label(tmp_path, model, volume, 14, workers=0)
    assert list(job.skipped) == [5]
    assert (labels[5] == job.unlabelled).all()
    np.testing.assert_array_equal(labels[:5], whole[:5])
    assert (labels[6:] != whole[6:]).mean() < 0.02


def test_memory_takes_flicker_away(tmp_path, video, alone):
    """Labels that are again what they were two frames before, with another in between."""
    model, volume, truth, _ = video
    labels = label(tmp_path, model, volume, 14, workers=0)
    patch = truth[0] < 0

    def flicker(run):
        back = (run[:-2] == run[2:]) & (run[:-2] != run[1:-1])
        return back[:, patch].mean()

    assert flicker(alone) > 0.5
    assert flicker(labels) < 0.5 * flicker(alone)
