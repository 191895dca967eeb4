"""Jobs that are killed at every step, and at random moments, and then repeated.

The tests run this file as a program: a fresh process without threads, which forks a child for each
attempt and kills it.
"""

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sp_graph_seg.label_jobs import open_label_job

LABELS = np.arange(5 * 20 * 30).reshape(5, 20, 30) % 7
STEPS = ("replace", "link", "unlink", "rmdir", "mkdir")
LIBRARIES = {
    "a.zarr": "zarr",
    "a.tif": "tifffile",
    "a.h5": "h5py",
    "a.npy": "numpy",
    "folder": "PIL.PngImagePlugin",
}


def run(output, log, model="new", **flags):
    """What a user would repeat: open, label what is missing, finish; each block is logged."""
    job = open_label_job(output, LABELS.shape, 7, {"model": model}, block=3, **flags)
    for start, stop in job.missing_blocks():
        with open(log, "a") as file:
            file.write("block\n")
        labels = LABELS[start:stop] if model == "new" else LABELS[start:stop][:, ::-1]
        job.write_block(start, labels, {4: "bad"} if start == 3 else None)
    job.finish()


def in_child(work):
    """Run in a forked child; give the status that `os.waitpid` gives."""
    pid = os.fork()
    if not pid:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return pid


def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_at(step):
    """Kill this process before it changes the entries of a folder for the step-th time."""
    count = 0

    def wrap(function):
        def wrapped(*args, **kwargs):
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return wrapped

    for name in STEPS:
        setattr(os, name, wrap(getattr(os, name)))


def content(path):
    """The bytes of a file, or of all files in a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path] if path.exists() else []
    return {str(file.relative_to(path)): file.read_bytes() for file in files if file.is_file()}


def finished(folder, name, model, **flags):
    folder.mkdir()
    log = folder.with_suffix(".log")
    assert wait(in_child(lambda: run(folder / name, log, model, **flags))) == 0
    return content(folder / name)


def kill_at_every_step(folder, name, flags):
    """For each step: kill there, look, repeat without killing, compare."""
    expected = finished(folder / "reference", name, "new")
    old = finished(folder / "old", name, "old")
    step = 0
    while True:
        step += 1
        here = folder / f"step{step}"
        here.mkdir()
        output, log, partial = here / name, folder / f"step{step}.log", here / f"{name}.partial"
        if "overwrite" in flags:
            subprocess.run(["cp", "-r", folder / "old" / name, output], check=True)

        def work(output=output, log=log, step=step):
            die_at(step)
            run(output, log, **flags)

        status = wait(in_child(work))
        if status == 0:
            break
        assert status == -signal.SIGKILL
        now = content(output)
        assert now in (expected, {}, *([old] if "overwrite" in flags else [])), (name, step)
        begun = (partial / "manifest.json").exists()
        if not begun and now == expected and not flags:
            continue  # killed after the work: the call would say that the output exists
        logged = log.read_text().count("block") if log.exists() else 0
        assert wait(in_child(lambda output=output, log=log: run(output, log, **flags))) == 0
        assert content(output) == expected, (name, step)
        again = log.read_text().count("block") - 2
        assert again <= 1 or not begun, (name, step)  # only a block that was being written
        assert logged <= 2
        assert [path.name for path in here.iterdir()] == [name], (name, step)
    return step


def kill_at_random(folder, name, seed):
    """Kill again and again after a random time, until the work is done."""
    expected = finished(folder / "reference", name, "new")
    rng = random.Random(seed)
    here = folder / f"seed{seed}"
    here.mkdir()
    kills, longest = 0, 0.002
    while True:
        pid = in_child(lambda: run(here / name, folder / "log", resume=name != "a.npy"))
        time.sleep(rng.uniform(0, longest))
        longest *= 1.2  # it ends, however slow the machine is
        os.kill(pid, signal.SIGKILL)
        if wait(pid) == 0:
            break
        kills += 1
    assert content(here / name) == expected
    assert [path.name for path in here.iterdir()] == [name]
    return kills


def program(*arguments):
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("a.npy", {}),
        ("a.tif", {"resume": True}),
        ("folder", {"overwrite": True}),
        ("a.zarr", {}),
        ("a.zarr", {"overwrite": True}),
    ],
)
def test_killed_at_every_step_and_repeated(tmp_path, name, flags):
    """Where they may be replaced, older labels are there until the new ones are complete."""
    assert program("steps", tmp_path, name, json.dumps(flags)) > 15


@pytest.mark.parametrize("name", ["a.zarr", "a.h5"])
def test_killed_at_random_and_repeated(tmp_path, name):
    assert program("random", tmp_path, name, 0) > 0


if __name__ == "__main__":
    what, where, which, how = sys.argv[1:]
    importlib.import_module(LIBRARIES[which])  # once, not in each child
    os.fsync = lambda _: None  # of no use against kill -9, and slow
    if what == "steps":
        print(kill_at_every_step(Path(where), which, json.loads(how)))
    else:
        print(kill_at_random(Path(where), which, int(how)))
