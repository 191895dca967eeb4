"""Functions that write the tables of the benchmark, and describe how they were made."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sp_graph_seg._version import __version__
from sp_graph_seg.evaluation.evaluate import SCORE_NAMES, Combine
from sp_graph_seg.experiments.jobs import Job
from sp_graph_seg.experiments.paper import PAPER
from sp_graph_seg.experiments.protocol import JobScores, Row
from sp_graph_seg.io import to_csv, write_text
from sp_graph_seg.training import LOSSES

_DIGITS = 6
_PACKAGES = ("torch", "torch-geometric", "scikit-image", "scikit-learn", "numpy")

#: How each number is averaged, for the JSON file and the docs.
AVERAGES = {
    "oracle": "for each image the seed and setting with the best V-measure, then the mean over "
    "images: it uses the ground truth, and grows with the number of candidates",
    "unsupervised": "for each image the seed and setting with the best score that needs no ground "
    "truth, then the mean over images",
    "fixed": "one setting for all images, the one with the best mean V-measure: the mean over "
    "images, then mean and standard deviation (of N - 1) over seeds",
    "covering": "pools the annotated pixels of all images, as the Berkeley benchmark does",
    "miou": "pools the regions of all images, as Kim et al. 2020 do",
}


def write_tables(
    folder: Path,
    rows: Mapping[str, Sequence[Row]],
    job_scores: Sequence[JobScores],
    combine: Combine,
    command: str,
    prefix: str = "",
) -> list[Path]:
    """Writes ``table.csv``, ``settings.csv``, ``per_image.csv`` and ``table.json``.

    Args:
        folder: Folder of the files.
        rows: Four lists of table rows, by key. The list ``"settings"`` has one row for each method
            and setting. Each other list, ``"oracle"``, ``"unsupervised"`` or ``"fixed"``, has one
            row for each method. Its name says how the results in the rows were selected, see
            ``experiments/protocol.py``.
        job_scores: The scores of all jobs.
        combine: How the scores of several annotators were combined.
        command: The command that was run.
        prefix: Text at the beginning of each file name.

    Returns:
        The paths of the files.
    """
    table = [*rows["oracle"], *rows["unsupervised"], *rows["fixed"]]
    files = {
        "table.csv": _to_csv([_flatten(row) for row in table]),
        "settings.csv": _to_csv([_flatten(row) for row in rows["settings"]]),
        "per_image.csv": _to_csv([_flatten_scores(one) for one in job_scores]),
        "table.json": _to_json(table, combine, command),
    }
    for name, text in files.items():
        write_text(folder / (prefix + name), text)
    return [folder / (prefix + name) for name in files]


def write_failures(path: Path, failures: Mapping[Job, str]) -> None:
    """Writes a CSV file of the failed jobs and the reasons of their failures.

    If no job has failed, the file of an earlier run is removed.
    """
    if not failures:
        path.unlink(missing_ok=True)
        return
    rows = [
        {
            "image": job.photo.name,
            "method": job.method.name,
            "setting": job.setting,
            "seed": job.seed,
            "reason": reason,
        }
        for job, reason in failures.items()
    ]
    write_text(path, _to_csv(rows))


def describe_machine() -> dict[str, Any]:
    """Returns information about the machine, and the versions of the packages."""
    import torch

    has_gpu = torch.cuda.is_available()
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if has_gpu else None,
        "python": platform.python_version(),
        "sp_graph_seg": __version__,
        **{package: version(package) for package in _PACKAGES},
    }


def _flatten(row: Row) -> dict[str, Any]:
    spread = {f"{name}_sd": row.spread.get(name, "") for name in ("ami", "v")}
    return {
        "method": row.method,
        "selection": row.selection,
        "setting": "" if row.setting is None else row.setting,
        "images": row.num_images,
        "candidates": row.num_candidates,
        **row.scores,
        **spread,
    }


def _flatten_scores(one: JobScores) -> dict[str, Any]:
    job = one.job
    return {
        "image": job.photo.name,
        "method": job.method.name,
        "setting": job.setting,
        "seed": job.seed,
        **{name: one.scores[name] for name in SCORE_NAMES},
        "unsupervised": one.unsupervised,
        **{f"loss_{name}": one.losses.get(name, "") for name in LOSSES},
        "seconds": one.seconds,
    }


def _to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(rows[0]) if rows else []
    return to_csv(columns, ([_round(row[name]) for name in columns] for row in rows))


def _to_json(table: Sequence[Row], combine: Combine, command: str) -> str:
    content = {
        "command": command,
        "machine": describe_machine(),
        "combine": combine,
        "averages": AVERAGES,
        "rows": [{key: _round(value) for key, value in _flatten(row).items()} for row in table],
        "paper": PAPER,
    }
    return json.dumps(content, indent=1) + "\n"


def _round(value: Any) -> Any:
    return round(value, _DIGITS) if isinstance(value, float) else value
