import numpy as np
import pytest
import torch
import zarr

from sp_graph_seg import Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs import open_label_job
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.segmenter.model_file import read_model
from sp_graph_seg.streaming import block as module
from sp_graph_seg.streaming.block import BlockLabeler
from sp_graph_seg.volumes import open_volume


@pytest.fixture
def make_labeler(tmp_path, model):
    def make(volume, mode="slices", relabel=None, skip_bad=False):
        shape = (len(volume), volume.height, volume.width)
        job = open_label_job(tmp_path / "out.npy", shape, 4, {}, block=3, overwrite=True)
        return BlockLabeler(model, volume, job, mode, relabel, skip_bad)

    return make


def test_each_block_holds_its_slices(make_labeler, volume, predicted):
    labeler = make_labeler(volume)
    assert labeler((3, 6)) == 3
    assert labeler((6, 7)) == 1  # the last one is shorter
    assert labeler.job.missing_blocks() == [(0, 3)]
    np.testing.assert_array_equal(labeler.job.read_block(3).labels, predicted[3:6])
    np.testing.assert_array_equal(labeler.job.read_block(6).labels, predicted[6:])


@pytest.mark.parametrize("mode", ["slices", "supervoxels"])
@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize("chunk", [1, 3])
def test_slices_of_a_chunk_are_read_a_few_at_a_time(
    make_labeler, tmp_path, slices, monkeypatch, mode, skip_bad, chunk
):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=slices.shape, chunks=(chunk, 1, 24, 32), dtype=slices.dtype
    )
    array[:] = slices
    volume = open_volume(tmp_path / "a.zarr", axes="zcyx")
    labeler = make_labeler(volume, mode, skip_bad=skip_bad)
    labeler((0, 3))
    expected = labeler.job.read_block(0).labels
    pieces = []
    original = type(volume).read

    def read(self, start, stop):
        pieces.append((start, stop))
        return original(self, start, stop)

    monkeypatch.setattr(type(volume), "read", read)
    monkeypatch.setattr(module, "_PIECE_BYTES", 2 * 24 * 32 * 2)
    labeler((0, 3))
    assert pieces == ([(0, 2), (2, 3)] if chunk == 3 else [(0, 1), (1, 2), (2, 3)])
    np.testing.assert_array_equal(labeler.job.read_block(0).labels, expected)


@pytest.mark.parametrize("mode", ["slices", "supervoxels"])
def test_bad_slices_are_left_unlabelled_and_noted(
    make_labeler, tmp_path, slices, save_volume, predicted, mode
):
    stored = slices.astype(np.float32)
    stored[[1, 3, 4, 5], 0, 0, 0] = np.nan
    volume = save_volume(tmp_path / "bad.npy", stored)
    with pytest.raises(InputError, match="slice 1 are NaN"):
        make_labeler(volume, mode)((0, 3))
    labeler = make_labeler(volume, mode, skip_bad=True)
    labeler((0, 3))
    block = labeler.job.read_block(0)
    assert list(block.skipped) == [1]
    assert "slice 1 are NaN" in block.skipped[1]
    assert (block.labels[1] == 255).all()
    assert block.labels[[0, 2]].max() < 4
    if mode == "slices":
        np.testing.assert_array_equal(block.labels[[0, 2]], predicted[[0, 2]])
    labeler((3, 6))  # none is left
    block = labeler.job.read_block(3)
    assert sorted(block.skipped) == [3, 4, 5]
    assert (block.labels == 255).all()


def test_the_model_of_the_process_takes_the_relabelling_of_the_job(make_labeler, volume, predicted):
    relabel = Relabel(merge={0: [1, 2, 3]})
    labeler = make_labeler(volume, relabel=relabel)
    labeler((0, 3))
    assert not labeler.job.read_block(0).labels.any()
    labeler = make_labeler(volume)
    labeler((0, 3))
    np.testing.assert_array_equal(labeler.job.read_block(0).labels, predicted[:3])


def test_a_model_that_was_replaced_is_loaded_anew(tmp_path, model):
    path = tmp_path / "m.safetensors"
    Segmenter.load(model).save(path)
    first = module.load_model(path)
    assert module.load_model(str(path)) is first
    assert first.digest == read_model(path).digest()
    Segmenter.load(model).save(path, notes={"again": True})
    assert module.load_model(path) is not first
    assert module.load_model(path).notes == {"again": True}


def test_the_number_of_threads_comes_back(make_labeler, volume, monkeypatch):
    used = []
    monkeypatch.setattr(
        Segmenter, "predict", lambda *_: used.append(torch.get_num_threads()) or 1 / 0
    )
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError):
            make_labeler(volume)((0, 3))
        assert (set(used), torch.get_num_threads()) == ({1}, 2)
    finally:
        torch.set_num_threads(1)
