"""Damaged copies of files of every format are read, or refused by one line; see mutants.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("mutants.py")
FORMATS = (
    ("png", "jpeg", "tiff", "labels", "stack"),
    ("hdf5", "zarr", "npy", "video"),
    ("seg", "config", "relabel", "model", "sealed"),
)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits its memory as on Linux")
@pytest.mark.parametrize("formats", FORMATS, ids=" ".join)
def test_damaged_files_are_read_or_refused(formats, tmp_path):
    # In a process of its own, which a decoder may crash.
    command = [sys.executable, "-W", "ignore", SCRIPT, *formats, "--keep", tmp_path / "failed"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    counts = {}
    for line in done.stdout.splitlines():
        counts |= json.loads(line)
    assert counts.pop("seconds") >= 0
    assert sorted(counts) == sorted(formats)
    assert all(sum(found.values()) == 500 for found in counts.values())
    assert all(found["refused"] > 0 for found in counts.values())
