"""A full disk, a read-only folder, little memory, two at once, and a scheduler that dies."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sp_graph_seg import Segmenter

PROGRAM = [sys.executable, "-m", "sp_graph_seg"]
QUICK = ["--preset", "fast", "--width", "4", "--depth", "2", "--num-features", "8"]
QUICK += ["--n-segments", "60", "--epochs", "2", "--minibatches", "2", "--patches", "4", "16", "16"]

# Imports all that a command imports, then leaves it so many bytes, and runs it.
LIMITED = """
import resource, sys
from sp_graph_seg.cli import main
import sp_graph_seg.segmenter, sp_graph_seg.plot, sp_graph_seg.regions, skimage.segmentation
import scipy.ndimage, matplotlib.pyplot, torch
torch.rand(10, 10) @ torch.rand(10, 10)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main(sys.argv[2:]))
"""


def scene(height, width):
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.random((height // 8, width // 8, 3)), np.ones((8, 8, 1)))
    return np.uint8(255 * (0.8 * blocks + 0.2 * rng.random(blocks.shape)))


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(scene(48, 64)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def run(*arguments, **options):
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def last_line(done):
    """The error of a command that was refused."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("sp-graph-seg: error: "), line
    return line


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 300 kB."""
    if not shutil.which("mount") or os.geteuid() != 0:
        pytest.skip("only root may mount a tmpfs")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_nearly_full(small_disk, photo):
    """The room is checked first; with less than that nothing is left, with more all is there."""
    filler = small_disk / "filler"
    for size in (290_000, 150_000, 0):
        filler.write_bytes(bytes(size))
        done = run("train", photo, "-o", small_disk / "m.safetensors", *QUICK, "--overwrite")
        if done.returncode == 0:
            assert Segmenter.load(small_disk / "m.safetensors").in_channels_ == 3
        else:
            assert re.search("are free, but .* are needed|No space left", last_line(done))
        assert not list(small_disk.glob("*.partial"))
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into a read-only folder")
def test_a_folder_that_is_read_only(tmp_path, photo):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    assert "cannot be written to" in last_line(run("segment", photo, "-o", folder, *QUICK))
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the size in /proc")
@pytest.mark.parametrize(
    ("megabytes", "told"),
    [
        (100, "takes more memory to decode than there is; make the image smaller"),
        (300, "labels of 3200x3200 pixels need about 1.05 GB of memory, but .* are free; scale"),
        (900, "labels of 3200x3200 pixels need about 1.05 GB of memory, but .* are free; scale"),
    ],
)
def test_too_little_memory(tmp_path, megabytes, told):
    """The program refuses before any thread could lack memory, and leaves nothing."""
    Image.fromarray(scene(3200, 3200)).save(tmp_path / "large.png", compress_level=1)
    arguments = ["segment", tmp_path / "large.png", "-o", tmp_path / "out", *QUICK]
    command = [sys.executable, "-c", LIMITED, str(megabytes * 2**20), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert re.search(told, last_line(done))
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def start_two(arguments):
    command = [*PROGRAM, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    outputs = [process.communicate() for process in both]
    return [(process.returncode, *output) for process, output in zip(both, outputs, strict=True)]


@pytest.mark.parametrize("kind", ["images", "volume"])
def test_two_at_once(kind, tmp_path, photo):
    """One works, the other stops with one line; or it comes when the work is done."""
    if kind == "images":
        arguments = ["segment", photo, "-o", tmp_path / "out", *QUICK]
    else:
        stack = np.stack([scene(40, 48)[..., 0] + number for number in range(6)])
        tifffile.imwrite(tmp_path / "scan.tif", stack, metadata={"axes": "ZYX"})
        arguments = ["segment", tmp_path / "scan.tif", "--train-on", "0"]
        arguments += ["-o", tmp_path / "out/a.zarr", *QUICK]
    ends = start_two(arguments)
    assert sorted(code for code, _, _ in ends) in ([0, 2], [0, 0])
    for code, _, errors in ends:
        assert "Traceback" not in errors
        if code:
            told = "is being written by another process|already exists"
            assert re.search(told, errors.splitlines()[-1]), errors
    left = [path.name for path in (tmp_path / "out").rglob("*")]
    assert not [name for name in left if "partial" in name or name.endswith(".lock")]
    alone = [
        tmp_path / "alone" / part.name if isinstance(part, Path) and "out" in part.parts else part
        for part in arguments
    ]
    assert run(*alone).returncode == 0
    folder = tmp_path / "alone" / "out" if kind == "images" else tmp_path / "alone"
    names = {path.name for path in folder.iterdir()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names


@pytest.fixture
def scheduler(tmp_path):
    """A Dask scheduler and a worker of their own."""
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "distributed.cli"]
    first = [*dask[:2], "distributed.cli.dask_scheduler", "--scheduler-file", file, "--port", "0"]
    first += ["--no-dashboard"]
    second = [*dask[:2], "distributed.cli.dask_worker", "--scheduler-file", file]
    second += ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60"]
    processes = [subprocess.Popen(list(map(str, part)), **quiet) for part in (first, second)]
    for _ in range(600):
        if file.exists() and file.stat().st_size:
            break
        time.sleep(0.1)
    else:
        pytest.skip("no scheduler starts here")
    yield processes[0], json.loads(file.read_text())["address"]
    for process in processes:
        process.kill()
        process.wait()


def test_a_scheduler_that_is_killed(scheduler, tmp_path):
    """The command ends with one line; without the scheduler it goes on where it was."""
    process, address = scheduler
    stack = np.stack([scene(160, 160)[..., 0] + number for number in range(40)])
    tifffile.imwrite(tmp_path / "scan.tif", stack, metadata={"axes": "ZYX"})
    train = ["train", tmp_path / "a.tif", "-o", tmp_path / "m.safetensors", *QUICK]
    tifffile.imwrite(tmp_path / "a.tif", stack[0])
    assert run(*train).returncode == 0
    command = ["predict", tmp_path / "m.safetensors", tmp_path / "scan.tif"]
    command += ["-o", tmp_path / "out.tif", "--block", "1"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    labelling = subprocess.Popen([*PROGRAM, *map(str, command), "--scheduler", address], **pipes)
    partial = tmp_path / "out.tif.partial"
    while labelling.poll() is None and not list(partial.glob("block_*")):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    _, errors = labelling.communicate(timeout=300)
    if labelling.returncode == 0:
        pytest.skip("the work was done before the scheduler was killed")
    assert labelling.returncode == 2, errors
    assert "Traceback" not in errors
    assert f"scheduler={address}: the connection was lost; " in errors.splitlines()[-1]
    assert list(partial.glob("block_*"))
    assert run(*command).returncode == 0
    assert run(*command[:-3], tmp_path / "again.tif", "--block", "1").returncode == 0
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "out.tif"), tifffile.imread(tmp_path / "again.tif")
    )
    assert not partial.exists()
