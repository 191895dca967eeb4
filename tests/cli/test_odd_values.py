"""Values, names and pipes that no one means: one line and exit code 2, or it works."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--seed", str(2**70)], "seed=1180591620717411303424 is too large"),
        (["--head", "gcn", "--head-layers", "100000000"], "head_layers=100000000 is too large"),
        (["--depth", "30"], "depth=30 is too large"),
        (["--width", "1000000"], "width=1000000 is too large"),
        (["--learning-rate", "1e38"], "learning_rate=1e+38 is too large"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_settings_beyond_all_measure(flags, reason, photo, tmp_path, refusal):
    command = ["train", photo, "-o", tmp_path / "m.safetensors", "--preset", "fast", *flags]
    assert refusal(*command).startswith(reason)
    assert not (tmp_path / "m.safetensors").exists()


def test_a_line_break_in_a_file_name_breaks_no_message(tmp_path, refusal, photo_flags):
    path = tmp_path / "a\nb.png"
    path.write_text("no image")
    assert refusal("segment", path, "-o", tmp_path / "out", *photo_flags).startswith(
        f"{tmp_path}/a b.png: is not an image"
    )


@pytest.mark.parametrize("unbuffered", ["1", ""])
def test_a_reader_that_closes_the_pipe(photo, monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    program = [sys.executable, "-m", "sp_graph_seg", "info", photo]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(program, **pipes) as running:
        running.stdout.close()
        errors = running.stderr.read()
    assert (errors, running.returncode) == ("", 141)
