"""Where memory is too small for an image, sizes that fit are named."""

import re
from pathlib import Path

import pytest

from sp_graph_seg import Config
from sp_graph_seg.cli import memory
from sp_graph_seg.cli.memory import (
    TooLittleMemoryError,
    advise,
    check_memory,
    enough_memory,
    estimate,
)

FAST, PHOTO = Config.preset("fast").replace(max_size=0), Config.preset("photo")
GB = 10**9


@pytest.mark.parametrize(
    ("config", "size", "free", "wanted"),
    [
        (
            FAST,
            (2000, 2000),
            GB,
            "need about 1.6 GB of memory, but 1 GB are free; use --max-size",
        ),
        (FAST, (6000, 3000), GB, "need about 7.2 GB .* scale the image to 2"),
        (PHOTO, (6000, 6000), 3 * GB, "need about 3.6 GB .* scale the image to 3000 pixels"),
    ],
)
def test_sizes_that_fit(config, size, free, wanted):
    text = advise(Path("a.png"), *size, config, free)
    assert re.match(f"a.png: labels of {size[0]}x{size[1]} pixels {wanted}", text)
    given, side = size, int(re.search(r"(?:--max-size|image to) (\d+)", text)[1])
    if "--max-size" in text:
        changed = config.replace(max_size=side)
    else:
        changed, size = config, tuple(n * side // max(size) for n in size)
    assert estimate(*size, changed) <= free < estimate(*given, config)


def test_an_estimate_below_what_is_free_is_not_told():
    text = advise(Path("a.png"), 100, 100, FAST, GB)
    assert text.startswith("a.png: labels of 100x100 pixels need more memory than there is; use")


def test_errors_of_memory_are_explained_and_others_pass(monkeypatch):
    monkeypatch.setattr(memory, "_free_memory", lambda: GB)
    explained = pytest.raises(TooLittleMemoryError, match=r"^a\.png: labels of 9x9 pixels")
    with explained, enough_memory(Path("a.png"), 9, 9, FAST):
        raise MemoryError
    with pytest.raises(RuntimeError, match="other"), enough_memory(Path("a"), 9, 9, FAST):
        raise RuntimeError("other")
    monkeypatch.setattr(memory, "_free_memory", lambda: None)
    with pytest.raises(MemoryError, match="mine"), enough_memory(Path("a"), 9, 9, FAST):
        raise MemoryError("mine")


def test_only_a_limit_below_the_estimate_is_refused_before_the_work(monkeypatch):
    paths, sizes = [Path("a.png"), Path("b.png")], [(20, 30), (200, 300)]
    need = estimate(200, 300, FAST)
    for allowed in (None, need):
        monkeypatch.setattr(memory, "_allowed_memory", lambda allowed=allowed: allowed)
        check_memory(paths, sizes, FAST)
    monkeypatch.setattr(memory, "_allowed_memory", lambda: need - 1)
    refused = r"^b\.png: labels of 200x300 pixels need about 24 MB .* use --max-size \d+ .*\d\.$"
    with pytest.raises(TooLittleMemoryError, match=refused):
        check_memory(paths, sizes, FAST)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="reads how much is free in /proc")
def test_what_is_free_is_bounded_by_the_machine_and_by_limits(monkeypatch):
    resource = pytest.importorskip("resource")
    free = memory._free_memory()
    assert 0 < free < 2**50
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (held + 10**6, held + 10**6))
    assert memory._free_memory() == memory._allowed_memory() <= 2 * 10**6
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert memory._allowed_memory() is None
