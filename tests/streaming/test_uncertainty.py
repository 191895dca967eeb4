"""The uncertainty of labels beside them: the same slices, resumed together."""

import numpy as np
import pytest
import zarr

from sp_graph_seg import Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.segmenter.uncertainty import uncertainty_map
from sp_graph_seg.streaming import label as module
from sp_graph_seg.streaming import label_volume
from sp_graph_seg.volumes import open_volume


@pytest.fixture(scope="session")
def expected(model, slices):
    segmenter = Segmenter.load(model)
    found = [segmenter.predict_with_margin(image.astype(np.float32)) for image in slices]
    maps = np.stack([uncertainty_map(*pair) for pair in found])
    assert len(np.unique(maps)) > 10
    return maps


def read_zarr(path):
    return np.asarray(zarr.open_array(f"{path}/0", mode="r"))


@pytest.mark.parametrize("block", [1, 3, None])
def test_it_is_that_of_predict(tmp_path, model, volume, predicted, expected, block):
    beside = tmp_path / "sure.npy"
    label_volume(model, volume, tmp_path / "out.npy", uncertainty=beside, block=block, workers=0)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), predicted)
    found = np.load(beside)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    assert {path.name for path in tmp_path.iterdir()} == {"out.npy", "sure.npy", "volume.npy"}


def test_both_go_on_after_an_interruption(
    tmp_path, model, volume, predicted, expected, monkeypatch
):
    """Whichever of the two was written last."""
    arguments = {"model": model, "volume": volume, "output": tmp_path / "out.zarr"}
    arguments |= {"uncertainty": tmp_path / "sure.zarr", "block": 3, "workers": 0}
    original = module.map_unordered
    done = []

    def work(labeler, blocks, *rest):
        for task, outcome in original(labeler, blocks, *rest):
            done.append(task)
            yield task, outcome
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "map_unordered", work)
        with pytest.raises(KeyboardInterrupt):
            label_volume(**arguments)
    marks = sorted((tmp_path / "sure.zarr.partial").glob("block_*"))
    assert len(marks) == 1
    marks[0].unlink()  # as if only the labels had been written
    label_volume(**arguments)
    np.testing.assert_array_equal(read_zarr(tmp_path / "out.zarr"), predicted)
    np.testing.assert_array_equal(read_zarr(tmp_path / "sure.zarr"), expected)


def test_it_is_finished_before_the_labels(tmp_path, model, volume, predicted, expected):
    """So that a process killed in between goes on."""
    arguments = {"model": model, "volume": volume, "output": tmp_path / "out.tif"}
    arguments |= {"uncertainty": tmp_path / "sure.tif", "workers": 0}
    job = label_volume(**arguments, finish=False)
    assert (tmp_path / "sure.tif").exists()
    assert not job.path.exists()
    before = (tmp_path / "sure.tif").stat().st_mtime_ns
    label_volume(**arguments)
    assert (tmp_path / "sure.tif").stat().st_mtime_ns == before
    np.testing.assert_array_equal(open_volume(tmp_path / "out.tif").read(0, 7)[:, 0], predicted)
    np.testing.assert_array_equal(open_volume(tmp_path / "sure.tif").read(0, 7)[:, 0], expected)


def test_it_is_added_to_complete_labels(tmp_path, model, volume, expected):
    out, beside = tmp_path / "out.tif", tmp_path / "sure.tif"
    label_volume(model, volume, out, workers=0)
    before = out.stat().st_mtime_ns
    label_volume(model, volume, out, uncertainty=beside, resume=True, workers=0)
    assert out.stat().st_mtime_ns == before
    np.testing.assert_array_equal(open_volume(beside).read(0, 7)[:, 0], expected)


def test_slices_without_labels_have_no_uncertainty(tmp_path, model, slices, expected):
    broken = slices.astype(np.float32)
    broken[2], broken[4, :, :5] = np.inf, np.nan
    np.save(tmp_path / "in.npy", broken)
    volume = open_volume(tmp_path / "in.npy", axes="zcyx", start=3, stop=5, fill=0)
    label_volume(model, volume, tmp_path / "a.npy", uncertainty=tmp_path / "b.npy", workers=0)
    found = np.load(tmp_path / "b.npy")
    np.testing.assert_array_equal(found[0], expected[3])
    np.testing.assert_array_equal(found == 255, np.load(tmp_path / "a.npy") == 255)
    assert (found[1, :5] == 255).all()
    assert (found[1, 5:] < 255).all()
    volume = open_volume(tmp_path / "in.npy", axes="zcyx", start=1, stop=4)
    job = label_volume(
        model, volume, tmp_path / "c.npy", uncertainty=tmp_path / "d.npy", skip_bad=True, workers=0
    )
    assert list(job.skipped) == [1]
    found = np.load(tmp_path / "d.npy")
    assert (found[1] == 255).all()
    np.testing.assert_array_equal(found[[0, 2]], expected[[1, 3]])


def test_that_of_supervoxels_is_refused(tmp_path, model, volume):
    with pytest.raises(InputError, match=r"^uncertainty: cannot be used with mode="):
        label_volume(
            model, volume, tmp_path / "a.npy", uncertainty=tmp_path / "b.npy", mode="supervoxels"
        )
