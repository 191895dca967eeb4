"""Commands that get signals at random moments and are repeated: the result is as if undisturbed.

As a program::

    OMP_NUM_THREADS=1 python tests/crash/harness.py --signals 70 --seed 0

sends so many signals (KILL, TERM and INT in turn) to each command in turn, and prints how many hit
a command at work. A fresh process imports everything once and forks a child for each run.
"""

import argparse
import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from PIL import Image

from sp_graph_seg.cli import main
from sp_graph_seg.segmenter.model_file import read_model

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
QUICK = ["--preset", "fast", "--width", "4", "--depth", "2", "--num-features", "8"]
QUICK += ["--n-segments", "60", "--patches", "4", "16", "16", "--minibatches", "2"]
TRAIN = [*QUICK, "--epochs", "6"]
BENCHMARK = ["--types", "KMeans-Superpixels", "Sparse-SimCon-Patch", "--clusters", "2", "3"]
BENCHMARK += ["--betas", "1", "3", "--seeds", "2", "--workers", "0", *QUICK[2:], "--epochs", "1"]

#: Packages that the commands import late, imported here once.
LATE = ("torch_geometric", "skimage.segmentation", "sklearn.cluster", "matplotlib.pyplot")
LATE += ("sp_graph_seg.segmenter", "sp_graph_seg.streaming", "sp_graph_seg.plot", "scipy.io")

#: Files in which a date or a duration stands: only their presence counts.
DATED = (".html", "records.json", "history.png", "m.png", ".json")


@dataclass(frozen=True)
class Scenario:
    """A command in a folder with inputs, and what lies there before."""

    name: str
    arguments: list[str]
    before: list[list[str]] = field(default_factory=list)
    """Commands that have run in the same folder, whose results are replaced."""


PREDICT = ["predict", "model.safetensors", "scan.tif", "--block", "1", "--workers", "0"]
BLOCKS = ["--block", "2", "--resume"]
PHOTOS = ["a.png", "b.png", "c.png", "-o", "out"]
OLD = ["--epochs", "1", "--seed", "7"]

SCENARIOS = [
    Scenario("train", ["train", *PHOTOS[:3], "-o", "out/m.safetensors", *TRAIN]),
    Scenario("segment images", ["segment", *PHOTOS, *TRAIN]),
    Scenario("predict images", ["predict", "photos.safetensors", *PHOTOS]),
    Scenario(
        "overwrite images",
        ["segment", *PHOTOS, *TRAIN, "--overwrite"],
        before=[["segment", *PHOTOS, *QUICK, *OLD]],
    ),
    Scenario(
        "segment a volume",
        ["segment", "scan.tif", "--train-on", "0,3", "-o", "out/a.zarr", *BLOCKS, *TRAIN],
    ),
    Scenario("predict a volume", [*PREDICT, "-o", "out/a.tif", "--resume"]),
    Scenario(
        "overwrite a volume",
        [*PREDICT, "-o", "out/a.zarr", "--overwrite"],
        before=[["predict", "other.safetensors", "scan.tif", "-o", "out/a.zarr"]],
    ),
    Scenario("benchmark", ["benchmark", "bsds300", "--data", "BSDS", "-o", "out", *BENCHMARK]),
]


def scene(height: int, width: int, seed: int) -> np.ndarray:
    """Blocks of random colours with noise, ``(height, width, 3)`` of 8 bits."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.random((height // 8, width // 8, 3)), np.ones((8, 8, 1)))
    return np.uint8(255 * (0.8 * blocks + 0.2 * rng.random(blocks.shape)))


def make_inputs(folder: Path) -> None:
    """Makes images, a volume, a data set, and two models with many labels."""
    folder.mkdir(parents=True)
    for seed, name in enumerate("abc"):
        Image.fromarray(scene(48, 64, seed)).save(folder / f"{name}.png")
    stack = np.stack([scene(40, 48, seed)[..., 0] for seed in range(10)])
    tifffile.imwrite(folder / "scan.tif", stack, metadata={"axes": "ZYX"})
    make_dataset(folder / "BSDS")
    trained = ["train", "a.png", "-o", "photos.safetensors", *QUICK, "--epochs", "2"]
    assert run(folder, trained) == 0
    for seed, name in enumerate(("model", "other")):
        flags = ["--train-on", "0,3", *QUICK, "--epochs", "2", "--seed", str(seed)]
        assert run(folder, ["segment", "scan.tif", "-o", f"{name}/x.npy", *flags]) == 0
        shutil.move(folder / name / "model.safetensors", folder / f"{name}.safetensors")
        shutil.rmtree(folder / name)


def make_dataset(root: Path) -> None:
    """Makes a data set in the layout of BSDS500: two images, an annotator each."""
    from scipy.io import savemat

    for part in ("images/test", "groundTruth/test"):
        (root / part).mkdir(parents=True)
    for seed, name in enumerate(("10", "7")):
        Image.fromarray(scene(48, 48, seed)).save(root / f"images/test/{name}.jpg", quality=95)
        people = np.empty((1, 1), dtype=object)
        people[0, 0] = {"Segmentation": np.uint16(1 + np.indices((48, 48))[1] // 16)}
        savemat(root / f"groundTruth/test/{name}.mat", {"groundTruth": people})


def start(folder: Path, arguments: list[str]) -> int:
    """Forks a child that runs a command in a folder; what it prints goes to a file beside."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.chdir(folder)
        with open(folder.with_suffix(".log"), "a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        code = main(arguments)
    except KeyboardInterrupt:  # before the command began, or after it ended
        code = 130
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(folder: Path, arguments: list[str]) -> int:
    return wait(start(folder, arguments))


def essence(path: Path) -> Any:
    """What must be the same in a file; dates and durations are left out."""
    if path.suffix == ".safetensors":
        return read_model(path).digest()
    if path.name.endswith(DATED):
        return "there"
    if path.suffix == ".csv":
        return drop_seconds(path.read_text().splitlines())
    if path.suffix == ".png":
        with Image.open(path) as image:
            return np.asarray(image).tobytes()
    if path.suffix == ".tif":
        return tifffile.imread(path).tobytes()
    return path.read_bytes()


def drop_seconds(lines: list[str]) -> list[list[str]]:
    rows = [line.split(",") for line in lines]
    timed = {number for number, name in enumerate(rows[0]) if "seconds" in name}
    return [[cell for number, cell in enumerate(row) if number not in timed] for row in rows]


def results(folder: Path) -> dict[str, Any]:
    """The essence of all files below a folder; a Zarr array is read as one."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        inside = [part for part in path.parents if part.suffix == ".zarr"]
        if path.suffix == ".zarr":
            found[str(path.relative_to(folder))] = np.asarray(zarr.open_array(path / "0")).tobytes()
        elif path.is_file() and inside:
            found[str(path.relative_to(folder))] = "a file of the array"
        elif path.is_file():
            found[str(path.relative_to(folder))] = essence(path)
    return found


@dataclass
class Report:
    """What happened to one scenario."""

    signals: Counter = field(default_factory=Counter)
    """Signals that hit a command at work."""
    runs: int = 0
    faults: list[str] = field(default_factory=list)


class Harness:
    """The inputs, and the undisturbed results of each scenario."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.inputs = folder / "inputs"
        make_inputs(self.inputs)
        self.number = 0

    def prepare(self, scenario: Scenario) -> Path:
        """Makes a folder with the inputs and the results of the commands before."""
        self.number += 1
        here = self.folder / f"run{self.number}"
        shutil.copytree(self.inputs, here)  # with the same modification times
        for arguments in scenario.before:
            assert run(here, arguments) == 0, scenario.name
        return here

    def disturb(self, scenario: Scenario, count: int) -> Report:
        """Sends signals to a command until so many have hit; compares each final result."""
        report = Report()
        here = self.prepare(scenario)
        old = results(here)
        begin = time.monotonic()
        assert run(here, scenario.arguments) == 0, here.with_suffix(".log").read_text()
        length = time.monotonic() - begin
        new = results(here)
        assert new != old, scenario.name
        while report.signals.total() < count:
            here = self.prepare(scenario)
            for _ in range(self.random.randint(1, 4)):
                self._hit(scenario, here, length, report)
            self._finish(scenario, here, new, report)
            shutil.rmtree(here)
        return report

    def _hit(self, scenario: Scenario, here: Path, length: float, report: Report) -> None:
        sent = SIGNALS[report.signals.total() % len(SIGNALS)]
        pid = start(here, scenario.arguments)
        report.runs += 1
        time.sleep(self.random.uniform(0, length))
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done:
            os.kill(pid, sent)
            report.signals[sent.name] += 1
            _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        # 2: an earlier run was complete, and the command says that the result exists.
        if code not in (0, 2, 130, 143, -sent):
            report.faults.append(f"{scenario.name}: exit code {code} after {sent.name}")

    def _finish(self, scenario: Scenario, here: Path, new: dict[str, Any], report: Report) -> None:
        """Repeats the command without a signal, and compares."""
        code = run(here, scenario.arguments)
        report.runs += 1
        log = here.with_suffix(".log").read_text()
        is_refused = code == 2 and "already exists" in log.splitlines()[-1]
        if code and not is_refused:
            report.faults.append(f"{scenario.name}: exit code {code}: {log.splitlines()[-1]}")
        if "Traceback" in log:
            report.faults.append(f"{scenario.name}: {log[log.index('Traceback') :][:2000]}")
        found = results(here)
        wrong = [n for n in found.keys() | new.keys() if found.get(n) != new.get(n)]
        if wrong:
            report.faults.append(f"{scenario.name}: differ or are left: {', '.join(sorted(wrong))}")
        here.with_suffix(".log").unlink()


def prepare_process() -> None:
    """Imports what the commands import; a child then has only its work to do."""
    import torch

    torch.set_num_threads(1)  # threads do not survive a fork
    for name in LATE:
        importlib.import_module(name)
    os.fsync = lambda _: None  # of no use against kill -9, and slow


def disturb_all(
    signals: int, seed: int, names: list[str], tell: Callable[[str], None] = print
) -> list[str]:
    """Disturbs the scenarios with so many signals each; returns the faults."""
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(Path(folder) / "crash", seed)
        for scenario in SCENARIOS:
            if names and scenario.name not in names:
                continue
            report = harness.disturb(scenario, signals)
            counts = {name: report.signals[name] for name in sorted(report.signals)}
            tell(
                json.dumps(
                    {
                        "command": scenario.name,
                        "signals": report.signals.total(),
                        **counts,
                        "runs": report.runs,
                        "faults": len(report.faults),
                    }
                )
            )
            faults += report.faults
    return faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signals", type=int, default=9, help="for each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="names of commands")
    given = parser.parse_args()
    prepare_process()
    found = disturb_all(given.signals, given.seed, given.only, lambda text: print(text, flush=True))
    sys.exit("\n".join(found) or 0)
