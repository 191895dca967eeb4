import numpy as np
import pytest

from sp_graph_seg.label_jobs import open_label_job, parse_output
from sp_graph_seg.label_jobs.finished import exists, read_finished


@pytest.mark.parametrize(
    ("name", "dataset"),
    [("a.zarr", None), ("a.tif", None), ("a.h5:/x/y", "/x/y"), ("folder", None)],
)
@pytest.mark.parametrize("num_labels", [4, 400])
def test_an_output_tells_about_itself(tmp_path, name, dataset, num_labels):
    job = open_label_job(f"{tmp_path}/{name}", (3, 4, 5), num_labels, {"a": 1})
    assert not exists(job.output)
    job.write_block(0, np.zeros((3, 4, 5), int), {1: "bad"})
    job.finish()
    assert exists(job.output)
    shape, dtype, provenance, place = read_finished(job.output)
    assert (shape, dtype, place) == ((3, 4, 5), job.dtype, dataset)
    assert (provenance["settings"], provenance["skipped"]) == ({"a": 1}, {"1": "bad"})


def test_strange_outputs_tell_nothing(tmp_path):
    for name in ("a.zarr", "a.tif", "a.h5", "a.npy", "folder"):
        assert read_finished(parse_output(tmp_path / name)) is None
        (tmp_path / name).write_text("no labels")
        assert exists(parse_output(tmp_path / name))
        assert read_finished(parse_output(tmp_path / name)) is None


def test_an_empty_folder_is_as_good_as_none(tmp_path):
    for name, outcome in (("a.zarr", False), ("folder", False), ("a.tif", True)):
        (tmp_path / name).mkdir()
        assert exists(parse_output(tmp_path / name)) == outcome
