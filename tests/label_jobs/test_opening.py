import os

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs import open_label_job

SHAPE = (5, 6, 7)
LABELS = np.arange(210).reshape(SHAPE) % 4
NAMES = ["a.zarr", "a.tif", "a.h5", "a.npy", "folder"]


def begin(output, settings=None, **options):
    return open_label_job(output, SHAPE, 4, {"model": "x"} | (settings or {}), block=2, **options)


def label(job):
    for start, stop in job.missing_blocks():
        job.write_block(start, LABELS[start:stop], {3: "bad"} if start == 2 else None)
    return job


def make(output, settings=None, **options):
    label(begin(output, settings, **options)).finish()


def refusal(output, *args, **options):
    with pytest.raises(InputError) as caught:
        begin(output, *args, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(output))
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"shape": (0, 6, 7)}, "shape"),
        ({"shape": (6, 7)}, "shape"),
        ({"num_labels": 0}, "num_labels"),
        ({"num_labels": 65536}, "num_labels"),
        ({"settings": {"a": object()}}, "settings"),
        ({"block": 0}, "block"),
    ],
)
def test_a_wrong_parameter_fails_by_its_name(tmp_path, change, name):
    good = {"output": tmp_path / "folder", "shape": SHAPE, "num_labels": 4, "settings": {}}
    with pytest.raises(InputError, match=f"^{name}: .*; "):
        open_label_job(**good | change)
    assert list(tmp_path.iterdir()) == []


def test_the_default_block_is_bounded(tmp_path):
    assert open_label_job(tmp_path / "a.zarr", (5, 9, 9), 4, {}).block == 5
    assert open_label_job(tmp_path / "b.zarr", (500, 9, 9), 4, {}).block == 32
    assert open_label_job(tmp_path / "c.zarr", (500, 2000, 2000), 4, {}).block == 8
    assert open_label_job(tmp_path / "d.zarr", (2, 9000, 9000), 300, {}).block == 1


def test_the_same_job_goes_on(tmp_path):
    job = begin(tmp_path / "a.zarr")
    job.write_block(2, LABELS[2:4])
    assert begin(tmp_path / "a.zarr").missing_blocks() == [(0, 2), (4, 5)]
    assert begin(tmp_path / "a.zarr", overwrite=True).missing_blocks() == [(0, 2), (4, 5)]
    without_block = open_label_job(tmp_path / "a.zarr", SHAPE, 4, {"model": "x"})
    assert without_block.missing_blocks() == [(0, 2), (4, 5)]


def test_other_settings_are_refused_by_name_or_discard_the_work(tmp_path):
    output = tmp_path / "a.zarr"
    begin(output).write_block(2, LABELS[2:4])
    text = refusal(output, {"model": "y", "tau": 1})
    assert "settings.model was 'x' and is now 'y', settings.tau was absent and is now 1" in text
    assert "--overwrite" in text
    assert "block was 2 and is now 3" in other_block(output)
    assert begin(output, {"model": "y"}, overwrite=True).missing_blocks() == [
        (0, 2),
        (2, 4),
        (4, 5),
    ]
    assert "settings.model was 'y' and is now 'x'" in refusal(output)


def other_block(output):
    with pytest.raises(InputError) as caught:
        open_label_job(output, SHAPE, 4, {"model": "x"}, block=3)
    return str(caught.value)


def test_a_job_whose_work_was_discarded_is_told(tmp_path):
    old = begin(tmp_path / "a.zarr")
    new = label(begin(tmp_path / "a.zarr", {"model": "y"}, overwrite=True))
    for use in (old.missing_blocks, old.finish, lambda: old.write_block(0, LABELS[:2])):
        with pytest.raises(InputError, match="began work with other settings"):
            use()
    assert new.missing_blocks() == []
    new.finish()
    with pytest.raises(InputError, match="removed it"):
        new.finish()


@pytest.mark.parametrize("name", NAMES)
def test_an_output_that_exists_is_refused_and_replaced_only_when_all_is_done(tmp_path, name):
    output = tmp_path / name
    make(output)
    assert "already exists; add --overwrite" in refusal(output)
    assert sorted(tmp_path.iterdir()) == [output]
    job = label(begin(output, {"model": "y"}, overwrite=True))
    assert output.exists()
    assert "already exists" in refusal(output, {"model": "y"})
    job.finish()
    assert sorted(tmp_path.iterdir()) == [output]
    if name != "a.npy":
        assert begin(output, {"model": "y"}, resume=True).complete


def test_an_output_that_appears_meanwhile_is_not_replaced(tmp_path):
    job = label(begin(tmp_path / "a.npy"))
    (tmp_path / "a.npy").write_text("precious")
    with pytest.raises(InputError, match="already exists"):
        job.finish()
    assert (tmp_path / "a.npy").read_text() == "precious"
    (tmp_path / "a.npy").unlink()
    assert begin(tmp_path / "a.npy").finish() == {3: "bad"}


@pytest.mark.parametrize("name", NAMES)
def test_a_finished_output_of_the_same_settings_is_resumed(tmp_path, name):
    output = tmp_path / name
    make(output)
    job = begin(output, resume=True)
    assert job.complete
    assert job.missing_blocks() == []
    assert job.finish() == {3: "bad"}
    assert sorted(tmp_path.iterdir()) == [output]
    text = refusal(output, {"model": "y"}, resume=True)
    assert "settings.model was 'x' and is now 'y'" in text
    assert not begin(output, {"model": "y"}, resume=True, overwrite=True).complete


@pytest.mark.parametrize("shape", [(1, 6, 7), (1, 6, 1), (3, 6, 1), (3, 1, 7)])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_of_one_slice_row_or_column(tmp_path, name, shape):
    job = open_label_job(tmp_path / name, shape, 4, {})
    labels = LABELS[: shape[0], : shape[1], : shape[2]]
    job.write_block(0, labels)
    job.finish()
    assert open_label_job(tmp_path / name, shape, 4, {}, resume=True).complete


def test_a_damaged_output_is_not_resumed(tmp_path):
    for name in NAMES[:3]:
        make(tmp_path / name)
    (tmp_path / "a.zarr" / "zarr.json").write_text("{")
    for file in ("a.tif", "a.h5"):
        os.truncate(tmp_path / file, 100)
    make(tmp_path / "folder")
    (tmp_path / "folder" / "0002.png").unlink()
    for name in (*NAMES[:3], "folder"):
        assert "is damaged" in refusal(tmp_path / name, resume=True)


def test_only_labels_are_overwritten_where_much_could_be_lost(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("L", (3, 3)).save(photos / "a.png")
    make(tmp_path / "mixed")
    (tmp_path / "mixed" / "notes.txt").touch()
    zarr.create_array(store=str(tmp_path / "raw.zarr"), shape=(3,), dtype="u1")
    make(tmp_path / "a.h5")
    (tmp_path / "folder.tif").mkdir()
    import h5py

    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["raw"] = [1, 2]
    before = sorted(tmp_path.rglob("*"))
    for name in ("photos", "mixed", "raw.zarr", "a.h5", "folder.tif"):
        assert "choose another --output" in refusal(tmp_path / name, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((3, 3), np.uint8))
    make(tmp_path / "b.tif", overwrite=True)


def test_an_empty_folder_is_no_output_yet(tmp_path):
    (tmp_path / "folder").mkdir()
    make(tmp_path / "folder")
    assert len(list((tmp_path / "folder").iterdir())) == 6  # with labels.json


def test_the_input_is_never_the_output(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 3), np.uint8))
    text = refusal(tmp_path / "a.tif", inputs=[tmp_path / "a.tif"], overwrite=True)
    assert "input" in text


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="choose another"):
        begin(tmp_path / "file" / "a.zarr")
    (tmp_path / "b.zarr.partial").touch()
    with pytest.raises(InputError, match=r"b\.zarr\.partial: "):
        begin(tmp_path / "b.zarr")


def test_missing_folders_above_the_output_are_made(tmp_path):
    make(tmp_path / "new" / "deep" / "a.tif")
    assert (tmp_path / "new" / "deep" / "a.tif").is_file()


def test_an_output_whose_blocks_were_being_removed_is_no_obstacle(tmp_path, monkeypatch):
    job = label(begin(tmp_path / "a.npy"))
    with monkeypatch.context() as patch:
        patch.setattr("sp_graph_seg.label_jobs.job.remove_partial", lambda _: None)
        job.finish()
    again = begin(tmp_path / "a.npy")
    assert again.missing_blocks() == []
    assert again.finish() == {3: "bad"}
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npy"]
