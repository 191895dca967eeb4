"""One process at a time; a lock ends with its holder."""

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from sp_graph_seg.errors import InputError, OutputError
from sp_graph_seg.io import locks
from sp_graph_seg.io.locks import locked

HOLD = """
import sys
from pathlib import Path
from sp_graph_seg.io.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

COUNT = """
import sys
from pathlib import Path
from sp_graph_seg.errors import InputError
from sp_graph_seg.io.locks import locked
counter, done = Path(sys.argv[1]), 0
while done < 40:
    try:
        with locked(counter):
            number = int(counter.read_text())
            counter.write_text(str(number + 1))
            done += 1
    except InputError:
        pass
"""


def start(script, *arguments, **options):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, text=True, **options)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of ``result``."""
    pipe = subprocess.PIPE
    process = start(HOLD, tmp_path / "result", stdin=pipe, stdout=pipe)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_refused_and_named(tmp_path, holder):
    with (
        pytest.raises(InputError, match=r"result: is being written by another process; wait"),
        locked(tmp_path / "result"),
    ):
        pass
    with locked(tmp_path / "other"):
        pass
    holder.communicate("")
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path / "result"):
        assert (tmp_path / "result.lock").exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_lock_ends_with_a_holder_that_is_killed(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "result.lock").exists()
    with locked(tmp_path / "result"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_its_holder_may_take_it_again_but_no_other_thread(tmp_path):
    refused = []

    def other():
        try:
            with locked(tmp_path / "result"):
                pass
        except InputError as error:
            refused.append(error)

    with locked(tmp_path / "result"):
        with locked(tmp_path / "result"):
            pass
        assert (tmp_path / "result.lock").exists()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_it_ends_with_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "result"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_no_two_at_once_while_the_file_comes_and_goes(tmp_path):
    """Three processes add 40 to a number; a lost step would show that two held the lock."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [start(COUNT, counter) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert counter.read_text() == "120"


def test_a_folder_that_is_missing_is_named(tmp_path):
    with (
        pytest.raises(OutputError, match=r"result.lock: cannot be written"),
        locked(tmp_path / "none" / "result"),
    ):
        pass


def test_without_locks_of_the_file_system_work_goes_on(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_lock", refuse)
    with locked(tmp_path / "result"):
        pass
    assert list(tmp_path.iterdir()) == []
