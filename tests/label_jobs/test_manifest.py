import json
from dataclasses import replace

import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs.manifest import (
    Manifest,
    describe_difference,
    json_settings,
    label_dtype,
)
from sp_graph_seg.volumes.geometry import Axis, Geometry

MANIFEST = Manifest(shape=(5, 6, 7), num_labels=4, block=2, settings={"a": [1]})


@pytest.mark.parametrize(
    ("num_labels", "dtype", "unlabelled"),
    [(1, np.uint8, 255), (255, np.uint8, 255), (256, np.uint16, 65535), (65535, np.uint16, 65535)],
)
def test_the_labels_and_unlabelled_fit_the_type(num_labels, dtype, unlabelled):
    assert label_dtype(num_labels) == dtype
    manifest = replace(MANIFEST, num_labels=num_labels)
    assert manifest.unlabelled == unlabelled >= num_labels
    assert manifest.nbytes == 5 * 6 * 7 * np.dtype(dtype).itemsize


@pytest.mark.parametrize("num_labels", [0, -1, 65536])
def test_too_few_and_too_many_labels_are_refused(num_labels):
    with pytest.raises(InputError, match=f"num_labels: {num_labels} "):
        label_dtype(num_labels)


def test_a_manifest_comes_back_from_json():
    text = json.dumps(MANIFEST.to_json())
    back = Manifest.from_json(json.loads(text))
    assert back == MANIFEST
    assert back.fingerprint == MANIFEST.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"shape": (5, 6, 8)},
        {"num_labels": 5},
        {"block": 3},
        {"geometry": Geometry((Axis("t"), Axis("y"), Axis("x")))},
        {"geometry": Geometry((Axis("z", 2.0, "micrometer"), Axis("y"), Axis("x")))},
        {"geometry": Geometry(order="yzx")},
        {"geometry": Geometry(part={"slices": [0, 5, 1]})},
        {"settings": {"a": [2]}},
        {"dataset": "/labels"},
    ],
)
def test_every_part_counts_in_the_fingerprint_and_is_named(change):
    other = replace(MANIFEST, **change)
    assert other.fingerprint != MANIFEST.fingerprint
    difference = describe_difference(MANIFEST.to_json(), other.to_json())
    assert difference.startswith(next(iter(change)))
    assert describe_difference(MANIFEST.to_json(), MANIFEST.to_json()) is None


def test_a_difference_is_named_by_its_path_and_shortened():
    old = {"settings": {"model": {"hash": "x" * 100, "epochs": 3}, "gone": 1}, "same": 0}
    new = {"settings": {"model": {"hash": "y", "epochs": 3}, "added": 2}, "same": 0}
    text = describe_difference(old, new)
    assert f"settings.model.hash was '{'x' * 36}... and is now 'y'" in text
    assert "settings.gone was 1 and is now absent" in text
    assert "settings.added was absent and is now 2" in text
    assert "same" not in text
    many = describe_difference({}, {str(k): k for k in range(1, 6)})
    assert many.count(" was ") == 3
    assert many.endswith(", and 2 more")


def test_settings_become_json_values_or_are_refused():
    assert json_settings({"a": (1, 2), "b": None}) == {"a": [1, 2], "b": None}
    for value in (np.zeros(2), float("nan"), {1, 2}):
        with pytest.raises(InputError, match="settings: cannot be stored"):
            json_settings({"a": value})
