import csv
import io
import os
import stat
import subprocess
import sys

import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.io import (
    atomic_write,
    check_writable,
    refuse_existing,
    to_csv,
    write_text,
)
from sp_graph_seg.io.files import format_size


def test_atomic_write_replaces_when_the_block_ends(tmp_path):
    target = tmp_path / "result.json"
    target.write_text("old")
    with atomic_write(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".json"
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def write_half(path, exception):
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        raise exception


@pytest.mark.parametrize("exception", [RuntimeError(), KeyboardInterrupt()])
def test_atomic_write_leaves_the_old_file_on_failure(tmp_path, exception):
    target = tmp_path / "result.bin"
    target.write_bytes(b"old")
    with pytest.raises(type(exception)):
        write_half(str(target), exception)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_atomic_write_reports_a_full_disk_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="No space left") as caught:
        write_half(tmp_path / "a.bin", OSError(28, "No space left on device"))
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


def test_atomic_write_gives_the_permissions_of_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_atomic_write_names_a_target_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "none/a.txt", tmp_path / "file/a.txt", tmp_path / "folder"):
        with pytest.raises(InputError, match="cannot be written") as caught, atomic_write(target):
            pass
        assert str(caught.value).startswith(f"{target}: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_check_writable_creates_the_folder_and_leaves_nothing_in_it(tmp_path):
    folder = tmp_path / "a" / "b"
    check_writable(folder)
    check_writable(folder)
    assert list(folder.iterdir()) == []


def test_check_writable_refuses_what_is_no_folder(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below"):
        with pytest.raises(InputError, match="choose another folder"):
            check_writable(folder)


def test_refuse_existing_names_the_first_existing_file(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    refuse_existing(paths, overwrite=False)
    paths[1].touch()
    paths[2].touch()
    refuse_existing(paths, overwrite=True)
    with pytest.raises(InputError, match="--overwrite") as caught:
        refuse_existing(iter(paths), overwrite=False)
    assert str(caught.value).startswith(f"{paths[1]}: ")


def test_write_text_replaces_a_file_whole(tmp_path):
    for text in ("a longer text\n", "ä\n"):
        write_text(tmp_path / "a.txt", text)
        assert (tmp_path / "a.txt").read_bytes() == text.encode("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_to_csv_reads_back():
    rows = [["1", 'a "b", c'], ["2", "line\nbreak"]]
    text = to_csv(("number", "text"), rows)
    assert list(csv.reader(io.StringIO(text))) == [["number", "text"], *rows]
    assert "\r" not in text
    assert to_csv([], []) == "\n"


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    """Not the files of a process that lives, of another machine, or of another program."""
    code = (
        "import os, sys, signal; from sp_graph_seg.io import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, tmp_path / "a.txt"], check=False)
    left = list(tmp_path.iterdir())
    assert len(left) == 1  # the second removed that of the first
    assert left[0].read_text() == "half"
    kept = [tmp_path / f".sp_graph_seg-elsewhere-{left[0].name.split('-')[-2]}-0.txt"]
    kept += [tmp_path / ".hidden", tmp_path / f"{left[0].name.partition('-')[0]}-x"]
    for path in kept:
        path.write_text("kept")
    with atomic_write(tmp_path / "b.txt") as alive:
        alive.write_text("b")
        write = "import sys; from sp_graph_seg.io import write_text; write_text(sys.argv[1], 'c')"
        subprocess.run([sys.executable, "-c", write, tmp_path / "c.txt"], check=True)
        assert alive.exists()
    assert set(tmp_path.iterdir()) == {tmp_path / "b.txt", tmp_path / "c.txt", *kept}


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 kB"), (369_000, "369 kB"), (999_600, "1 MB"), (1.5e9, "1.5 GB"), (1.234e12, "1.23 TB")],
)
def test_sizes_are_told_in_three_digits(nbytes, text):
    assert format_size(nbytes) == text
