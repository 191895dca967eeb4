import resource
from contextlib import contextmanager

import pytest

from sp_graph_seg.io.durable import LateFailure


@contextmanager
def largest_file(nbytes):
    """Let the operating system refuse larger files, as a full disk does."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_without_failure_it_is_a_file(tmp_path):
    with LateFailure(tmp_path / "a", "w+") as file:
        assert file.write(memoryview(b"abcdef")) == 6
        file.truncate(4)
        file.seek(1)
        assert file.read(2) == b"bc"
    assert (tmp_path / "a").read_bytes() == b"abcd"


def use_a_full_disk(path, method, *arguments):
    with LateFailure(path, "w+") as file, largest_file(4):
        yield getattr(file, method)(*arguments)
        yield file.write(b"is dropped")


@pytest.mark.parametrize(
    ("method", "argument", "content"), [("write", b"abcdefg", b"abcd"), ("truncate", 7, b"")]
)
def test_a_failure_is_told_at_the_end(tmp_path, method, argument, content):
    steps = use_a_full_disk(tmp_path / "a", method, argument)
    assert next(steps) == 7
    assert next(steps) == 10
    with pytest.raises(OSError, match="File too large"):
        next(steps)
    assert (tmp_path / "a").read_bytes() == content
