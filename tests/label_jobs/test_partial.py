import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs.manifest import Manifest
from sp_graph_seg.label_jobs.partial import (
    MANIFEST,
    create_partial,
    mark_assembled,
    read_state,
    remove_partial,
)

OURS = Manifest(shape=(5, 6, 7), num_labels=4, block=2, settings={"a": 1})


def test_the_state_of_a_folder(tmp_path):
    partial = tmp_path / "a.partial"
    assert read_state(partial) is None
    partial.mkdir()
    (partial / ".temporary").touch()
    assert read_state(partial) is None
    create_partial(partial, OURS)
    assert read_state(partial) == (OURS, None)
    mark_assembled(partial, OURS, {3: "bad"})
    assert read_state(partial) == (OURS, {3: "bad"})
    remove_partial(partial)
    remove_partial(partial)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EPERM])
def test_the_first_manifest_wins(tmp_path, monkeypatch, number):
    """Also where the file system has no hard links, unless both come at the same instant."""
    partial = tmp_path / "a.partial"
    if number == errno.EPERM:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(number, "")))
        create_partial(partial, OURS)
    else:
        create_partial(partial, OURS)
        create_partial(partial, replace(OURS, block=3))
    assert read_state(partial).manifest == OURS
    assert [path.name for path in partial.iterdir()] == [MANIFEST]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version": 99}', '{"version": 1}', "\0\xff"]
)
def test_a_strange_manifest_is_refused(tmp_path, text):
    (tmp_path / MANIFEST).write_bytes(text.encode("latin1"))
    with pytest.raises(InputError, match="move") as caught:
        read_state(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")


def test_a_manifest_that_appears_while_one_looks_is_read(tmp_path, monkeypatch):
    """Two processes begin at once: one has seen no manifest, the other one writes it."""
    tries = []

    def late(path, *args, original=Path.read_text, **kwargs):
        tries.append(path)
        if len(tries) == 1:
            create_partial(tmp_path, OURS)
            raise FileNotFoundError
        return original(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", late)
    assert read_state(tmp_path) == (OURS, None)


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InputError, match="holds no manifest"):
        read_state(tmp_path)
