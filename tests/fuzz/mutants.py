"""Reads damaged copies of valid files of every format, in processes with limits.

Every copy must be read, or refused by an ``InputError`` of one line, in bounded time and memory::

    python tests/fuzz/mutants.py                            # all formats, as in the tests
    python tests/fuzz/mutants.py --seeds 36 --mutants 100   # the long run
    python tests/fuzz/mutants.py png tiff --seeds 10

Each seed makes another valid file, in a process of its own. A line for each format has the counts
of what came of its copies. The exit code is 1 if a copy failed; such copies are left in ``--keep``.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from formats import FORMATS, Format

from sp_graph_seg.errors import InputError

#: For a single copy; most take milliseconds.
SECONDS = 20
#: Above what the process holds after all imports.
MEMORY = 4 * 2**30

#: SciPy's reader of ``.mat`` can crash the whole process, so it runs only if it is asked for.
USUAL = [name for name in FORMATS if name != "mat"]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damages 1 to 4 places of a file as transfers, disks and attackers do."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not out:
            break
        at = rng.randrange(len(out))
        size = rng.choice((1, 2, 4, 8, 64, 512))
        action = rng.randrange(7)
        if action == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            out[at : at + size] = rng.randbytes(size)
        elif action == 2:
            out[at : at + size] = rng.choice((b"\x00", b"\xff", b"\x7f", b"9", b"[")) * size
        elif action == 3:
            del out[at:]
        elif action == 4:
            del out[at : at + size]
        elif action == 5:
            out[at:at] = out[max(0, at - size) : at]
        else:
            number = rng.choice((0, 1, -1, 2**31 - 1, -(2**31), 2**16, 10**9)) % 2**32
            out[at : at + 4] = number.to_bytes(4, rng.choice(("little", "big")))
    return bytes(out)


def damage(path: Path, rng: random.Random) -> None:
    """Damages a file, or a file of a folder."""
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
    file = rng.choice(files)
    file.write_bytes(mutate(file.read_bytes(), rng))


def run(name: str, seeds: range, mutants: int, keep: Path) -> Counter[str]:
    """Reads damaged copies of one format, and counts what came of them."""
    counts = Counter[str]()
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            counts += _fork(name, seed, mutants, Path(folder))
            failed = sorted(Path(folder).glob("failed*"))
            if failed:
                keep.mkdir(parents=True, exist_ok=True)
            for path in failed:
                shutil.move(path, keep / f"{name}-{seed}-{path.name.removeprefix('failed-')}")
    return counts


def _fork(name: str, seed: int, mutants: int, folder: Path) -> Counter[str]:
    """Reads the copies of one seed in a child, which may crash, or hang deaf to signals."""
    log = folder / "outcomes"
    log.touch()
    pid = os.fork()
    if not pid:
        try:
            _limit_memory()
            read_copies(FORMATS[name], random.Random(f"{name} {seed}"), mutants, folder, log)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(0)
    done, status = 0, 0
    while not done:
        time.sleep(0.005)
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done and time.time() - log.stat().st_mtime > 3 * SECONDS:
            os.kill(pid, signal.SIGKILL)
    counts = Counter(map(str, map(json.loads, log.read_text().splitlines())))
    if counts.total() < mutants:
        code = os.waitstatus_to_exitcode(status)
        counts[f"the process ended with {code}; the copies after this one were not read"] += 1
        copy = folder / FORMATS[name].name
        if copy.exists():
            copy.rename(folder / f"failed-{counts.total()}{copy.suffix}")
    return counts


def read_copies(kind: Format, rng: random.Random, mutants: int, folder: Path, log: Path) -> None:
    """Makes a valid file, reads damaged copies of it, and writes the outcome of each to a log."""
    signal.signal(signal.SIGALRM, _stop)
    (folder / "valid").mkdir()
    valid, copy = folder / "valid" / kind.name, folder / kind.name
    kind.write(valid, rng)
    kind.read(valid)
    with log.open("a") as lines:
        for number in range(1, mutants + 1):
            _copy(valid, copy)
            (kind.damage or damage)(copy, rng)
            outcome = _outcome(kind.read, copy)
            print(json.dumps(outcome), file=lines, flush=True)
            if outcome not in ("read", "refused"):
                _copy(copy, folder / f"failed-{number}{copy.suffix}")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _outcome(read: Callable[[Path], object], path: Path) -> str:
    signal.alarm(SECONDS)
    try:
        read(path)
    except InputError as error:
        return "refused" if "\n" not in str(error) else f"refused in several lines: {error}"
    except _HangError:
        return "hung"
    except Exception as error:
        traceback.print_exc(limit=-4)
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    return "read"


class _HangError(BaseException):
    pass


def _stop(*_: object) -> None:
    raise _HangError


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    held = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))


def main() -> int:
    """Runs the formats that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", default=USUAL)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--mutants", type=int, default=100)
    parser.add_argument("--keep", type=Path, default=Path("mutants"))
    given = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    failed = False
    for name in given.formats:
        begin = time.monotonic()
        counts = run(name, seeds, given.mutants, given.keep)
        seconds = round(time.monotonic() - begin)
        print(json.dumps({name: counts, "seconds": seconds}), flush=True)
        failed |= bool(set(counts) - {"read", "refused"})
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
