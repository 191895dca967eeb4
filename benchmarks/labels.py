"""What the labels are worth: ours by default beside what one would use instead.

    python benchmarks/labels.py [--data FOLDER] [--only PART ...] [--seeds N] [--json FILE] [--all]

FOLDER holds ``sandstone/images`` and ``sandstone/masks``, and ``em_vnc/images`` and
``em_vnc/labels``; without it only what is drawn here is scored. Everything is fitted to the first
slice and scored on others, with the number of labels that the truth has. A baseline's best
smoothing is chosen by the truth of the scored slices; ours is not. With ``--all``, the tables of
``videos.py`` are made as well, from the folder ``video`` beside FOLDER, and the table of
``volumes.py`` without truth.

Parts are measured side by side, in processes of one thread each, the longest parts first.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import torch
from label_parts import (
    FIRST_SEED,
    Tables,
    at_random,
    composite,
    cost,
    micrograph,
    phantom,
    sandstone,
    simple,
    steadiness,
    train_once,
)
from phantoms import PHANTOMS
from random_phantoms import KINDS
from report import machine, print_table
from streams import update_json
from videos import VIDEOS, measure, summarize
from volumes import consistency

from sp_graph_seg import Config

PARTS = (
    "phantoms",
    "random",
    "trivial",
    "sandstone",
    "micrograph",
    "steadiness",
    "composite",
    "cost",
)


#: Phantoms of each kind that are drawn at random.
DRAWINGS = 4


class Job(NamedTuple):
    """A piece of a part, and the call that measures it."""

    part: str
    call: Callable[..., Tables]
    options: tuple


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with sandstone and em_vnc")
    parser.add_argument("--only", nargs="+", choices=[*PARTS, *VIDEOS, "consistency"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="processes; the cost is apart")
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    parser.add_argument("--all", action="store_true", help="also videos and volumes without truth")
    arguments = parser.parse_args()
    wanted = arguments.only or [*PARTS, *(VIDEOS if arguments.all else ())]
    if arguments.all and not arguments.only:
        wanted.append("consistency")
    print(machine(), f"seeds 0 to {arguments.seeds - 1}, drawings {FIRST_SEED}", flush=True)
    for name in ("tomogram", "photo", "video"):
        print(f"preset {name}: {settings_of(name)}", flush=True)
    start = time.perf_counter()
    jobs = [job for job in find_jobs(arguments.data, arguments.seeds) if job.part in wanted]
    with ProcessPoolExecutor(arguments.workers, initializer=train_once) as pool:
        parts: dict[str, list[Future]] = defaultdict(list)
        for job in jobs:
            parts[job.part].append(pool.submit(run, job))
        for _ in as_completed([future for futures in parts.values() for future in futures]):
            done = [part for part, own in parts.items() if all(each.done() for each in own)]
            for part in done:
                show(part, [future.result() for future in parts.pop(part)], arguments.json)
    if "cost" in wanted:  # alone on the machine
        show("cost", [run(Job("cost", cost, ()))], arguments.json)
    print(f"\nAll in {(time.perf_counter() - start) / 60:.0f} minutes.")


def settings_of(preset: str) -> dict[str, Any]:
    """The settings of a preset that are not the defaults."""
    defaults = Config().to_dict()
    own = Config.preset(preset).to_dict()
    return {key: value for key, value in own.items() if value != defaults[key]}


def find_jobs(data: Path | None, seeds: int) -> Iterator[Job]:
    """The jobs whose data are there, the longest first, so that no process is idle at the end."""
    if data is not None:
        folders = (data / "em_vnc", data.parent / "em_vnc")
        yield Job("micrograph", micrograph, (next(filter(Path.exists, folders)), seeds))
    yield Job("trivial", simple, ())
    if data is not None:
        yield Job("sandstone", sandstone, (data / "sandstone", seeds))
    for name in PHANTOMS:
        yield Job("phantoms", phantom, (name, seeds))
    for kind in KINDS:
        yield Job("random", at_random, (kind, DRAWINGS))
    yield Job("steadiness", steadiness, (seeds,))
    yield Job("composite", composite, (seeds,))
    if data is not None:
        videos = data.parent / "video"
        for seed in range(seeds):
            for name in filter(lambda name: (videos / name).exists(), VIDEOS):
                yield Job(name, measure, (name, videos, seed))
        yield Job("consistency", consistency, (data,))


def run(job: Job) -> tuple[Tables, float]:
    """The tables of a job, by title, and how many seconds it took."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    tables = job.call(*job.options)
    return tables, time.perf_counter() - start


def show(part: str, results: list[tuple[Tables, float]], path: Path | None) -> None:
    """Prints the tables of a part, whose jobs are all done."""
    seconds = sum(each for _, each in results)
    for title in results[0][0]:
        rows = [row for tables, _ in results for row in tables[title]]
        rows = summarize(rows) if part in VIDEOS else rows
        print_table(
            f"{title}, {seconds:.0f} s",
            list(rows[0]),
            [list(map(str, row.values())) for row in rows],
        )
        update_json(path, title, rows)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
