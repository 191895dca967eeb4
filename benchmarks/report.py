"""What the benchmarks share: paired timing, peak memory, a table on the screen and a JSON file."""

import ctypes
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torch-geometric", "scikit-image", "scipy", "numpy")


@dataclass(frozen=True)
class Spread:
    """The least, the middle and the greatest of several measurements."""

    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of some values."""
        return cls(min(values), statistics.median(values), max(values))

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.minimum:{spec}} to {self.maximum:{spec}})"


def time_together(
    *calls: Callable[[], Any],
    repeats: int,
    warmup: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Seconds of each call, taken in turn (A B A B ...), so that noise hits all alike."""
    for _ in range(warmup):
        for call in calls:
            call()
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, times in zip(calls, seconds, strict=True):
            start = clock()
            call()
            times.append(clock() - start)
    return seconds


def ratios(numerator: Sequence[float], denominator: Sequence[float]) -> Spread:
    """The spread of the ratios pair by pair."""
    return Spread.of([a / b for a, b in zip(numerator, denominator, strict=True)])


def peak_memory(call: Callable[[], Any]) -> int:
    """Bytes by which the process grew at most during a call (Linux with glibc)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # freed memory that the process kept would hide growth
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _status("VmRSS")
    call()
    return max(0, _status("VmHWM") - before)


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def machine() -> dict[str, Any]:
    """Where and with what a measurement was made."""
    return {
        "date": date.today().isoformat(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def write_json(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the rows and the machine."""
    report = {"machine": machine(), "rows": list(rows)}
    path.write_text(json.dumps(report, indent=1, default=asdict) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table as Markdown, so that it can stand in the docs as it is."""
    print(f"\n{title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for row in rows:
        print("| " + " | ".join(row) + " |")
