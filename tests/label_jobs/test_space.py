import shutil
import warnings
from types import SimpleNamespace

import pytest

from sp_graph_seg.errors import InputError, LowDiskSpaceWarning
from sp_graph_seg.label_jobs import parse_output
from sp_graph_seg.label_jobs.manifest import Manifest
from sp_graph_seg.label_jobs.opening import check_space

GIGABYTE = Manifest(shape=(1000, 1000, 1000), num_labels=4, block=2, settings={})


@pytest.mark.parametrize(
    ("name", "missing", "free", "outcome"),
    [
        ("a.tif", 1.0, 5.1e8, "fine"),
        ("a.tif", 1.0, 4.9e8, "warns"),
        ("a.tif", 0.0, 2.6e8, "fine"),
        ("a.tif", 1.0, 5.1e7, "warns"),
        ("a.tif", 1.0, 4.9e7, "refuses"),
        ("a.zarr", 1.0, 2.6e8, "fine"),  # the labels are written once
        ("a.zarr", 1.0, 2.4e8, "warns"),
        ("a.zarr", 1.0, 2.4e7, "refuses"),
        ("a.zarr", 0.0, 0, "fine"),
        ("a.npy", 1.0, 1.01e9, "refuses"),
        ("a.npy", 0.0, 1.01e9, "fine"),
    ],
)
def test_the_free_space_is_compared(tmp_path, monkeypatch, name, missing, free, outcome):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    output = parse_output(tmp_path / name)
    if outcome == "fine":
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_space(output, GIGABYTE, missing)
    elif outcome == "warns":
        with pytest.warns(LowDiskSpaceWarning, match="MB are free, but the labels need .* MB to"):
            check_space(output, GIGABYTE, missing)
    else:
        with pytest.raises(InputError, match="delete other files") as caught:
            check_space(output, GIGABYTE, missing)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
