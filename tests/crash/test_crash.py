"""Each command gets a few signals at random moments; `harness.py` sends as many as you like."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("harness.py")
SIGNALS = 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_commands_that_get_signals_end_as_if_undisturbed():
    done = subprocess.run(
        [sys.executable, HARNESS, "--signals", str(SIGNALS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(counts) == 8
    assert all(count["signals"] >= SIGNALS and count["faults"] == 0 for count in counts)
