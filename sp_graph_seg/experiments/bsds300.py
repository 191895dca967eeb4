"""The paper's experiment on BSDS300 (section 3.1, Table 1, Figs. 5 and 6), from data to tables."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation.evaluate import Combine, combine_annotators, score_annotators
from sp_graph_seg.experiments.jobs import Job, Photo, make_jobs
from sp_graph_seg.experiments.methods import Method
from sp_graph_seg.experiments.protocol import (
    Record,
    Row,
    Segments,
    average_setting,
    make_record,
    select_fixed,
    select_oracle,
    select_unsupervised,
)
from sp_graph_seg.experiments.runner import run_missing
from sp_graph_seg.io import read_labels


@dataclass(frozen=True)
class Experiment:
    """What has been measured: the results of all jobs that there are, and the rows made of them."""

    records: list[Record]
    oracle: list[Row]
    unsupervised: list[Row]
    fixed: list[Row]
    settings: list[Row]
    failures: dict[Job, str]


def run_experiment(
    photos: Sequence[Photo],
    methods: Sequence[Method],
    seeds: Sequence[int],
    folder: Path,
    combine: Combine = "mean",
    workers: int | None = None,
    scheduler: str | None = None,
    segments: Segments = "labels",
) -> Experiment:
    """Trains and scores every method with every setting and seed on every image.

    Each job writes its result when it is done, and is not done again where that lies: a run that
    was interrupted goes on when it is called again, and one with more seeds adds them.

    Args:
        photos: The images.
        methods: The rows of the table; their names must differ.
        seeds: Seeds of each method.
        folder: Where results lie.
        combine: How several annotators are combined.
        workers: Processes on this machine, see :func:`~sp_graph_seg.parallel.map_unordered`.
        scheduler: Address of a Dask scheduler to use instead.
        segments: Score labels as they are, as the paper does, or their connected regions of at
            least 0.5 % of the image.

    Raises:
        InputError: If results cannot be written, or no job has one.
    """
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        raise InputError(f"types: {', '.join(names)} has a name twice; rename one of them.")
    jobs = list(make_jobs(photos, methods, seeds, folder.absolute()))  # workers may be elsewhere
    failures = run_missing(jobs, workers, scheduler)
    results = ((job, job.result()) for job in jobs)
    records = [make_record(job, result, combine, segments) for job, result in results if result]
    if not records:
        reason = next(iter(failures.values()), "there are no jobs")
        raise InputError(f"{folder}: no job succeeded; the first failed with: {reason}")
    settings = average_setting(records)
    return Experiment(
        records,
        select_oracle(records),
        select_unsupervised(records),
        select_fixed(settings),
        settings,
        failures,
    )


def best_labels(experiment: Experiment, photo: Photo) -> dict[str, np.ndarray]:
    """For each method the labels ``(H, W)`` of an image that the oracle selects."""
    own: dict[str, list[Record]] = defaultdict(list)
    for record in experiment.records:
        if record.job.photo == photo:
            own[record.job.method.name].append(record)
    best = {name: max(records, key=lambda r: r.scores["v"]) for name, records in own.items()}
    return {name: read_labels(record.job.labels_file) for name, record in best.items()}


def typical_annotator(photo: Photo) -> np.ndarray:
    """The annotator who agrees best with the others, ``(H, W)``."""
    truths = photo.read_truth()
    agreement = [combine_annotators(score_annotators(truth, truths))["v"] for truth in truths]
    return truths[int(np.argmax(agreement))]


def score_curves(
    experiment: Experiment, score: str = "ami"
) -> Mapping[str, Mapping[float, Sequence[float]]]:
    """For each model and beta the mean score over the images, one value a seed."""
    values: dict[str, dict[float, dict[int, list[float]]]] = {}
    for record in experiment.records:
        job = record.job
        if not job.method.is_baseline:
            of_setting = values.setdefault(job.method.name, {}).setdefault(job.setting, {})
            of_setting.setdefault(job.seed, []).append(record.scores[score])
    return {
        name: {
            setting: [float(np.mean(own)) for own in seeds.values()]
            for setting, seeds in sorted(settings.items())
        }
        for name, settings in values.items()
    }
