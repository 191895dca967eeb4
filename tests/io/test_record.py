"""Records of results: what they name, and how those of a folder are kept."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np

from sp_graph_seg import __version__
from sp_graph_seg.io.record import (
    add_record,
    describe_file,
    find_record,
    make_record,
    read_records,
    recorded_as,
)


def test_a_checksum_is_that_of_sha256sum(tmp_path):
    content = bytes(range(256)) * 10000  # more than is read at once
    (tmp_path / "a.bin").write_bytes(content)
    assert describe_file(tmp_path / "a.bin") == {
        "path": str(tmp_path / "a.bin"),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_the_checksum_of_a_folder_depends_on_names_and_contents_alone(tmp_path):
    for folder, order in (("one", "ab"), ("two", "ba")):
        for name in order:
            (tmp_path / folder / "inner").mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / "inner" / name).write_text(name)
    one, two = (describe_file(tmp_path / folder) for folder in ("one", "two"))
    assert one["sha256"] == two["sha256"]
    assert (one["files"], one["bytes"]) == (2, 2)
    (tmp_path / "two/inner/a").rename(tmp_path / "two/inner/c")
    assert describe_file(tmp_path / "two")["sha256"] != one["sha256"]


def test_a_record_names_the_command(tmp_path):
    with recorded_as(["sp-graph-seg", "train", "a b.png"]):
        record = make_record(seed=3)
    assert record["command"] == "sp-graph-seg train 'a b.png'"
    assert record["folder"] == str(Path.cwd())
    assert record["seed"] == 3
    assert record["versions"]["sp_graph_seg"] == __version__
    assert record["versions"]["numpy"] == np.__version__
    code = "from sp_graph_seg.io.record import make_record; print(make_record()['command'])"
    (tmp_path / "script.py").write_text(code)
    command = [sys.executable, tmp_path / "script.py", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "script.py x"


def test_the_last_record_of_a_file_counts(tmp_path):
    files = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    for file in files[:2]:
        file.touch()
    add_record(tmp_path, files, {"command": "first"})
    add_record(tmp_path, [tmp_path / "b.csv"], {"command": "second"})
    assert find_record(tmp_path / "a.csv")["command"] == "first"
    assert find_record(tmp_path / "b.csv")["command"] == "second"
    assert find_record(tmp_path / "c.csv") is None
    add_record(tmp_path, [tmp_path / "a.csv"], {"command": "third"})
    assert [record["command"] for record in read_records(tmp_path)] == ["second", "third"]
    (tmp_path / "records.json").write_text("[1")
    assert read_records(tmp_path) == []
