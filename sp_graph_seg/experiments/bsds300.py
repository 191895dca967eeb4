"""The experiment of the paper on BSDS300 (section 3.1, Table 1, Figs. 5 and 6)."""

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
    JobScores,
    Row,
    Scored,
    average_setting,
    make_scores,
    select_fixed,
    select_oracle,
    select_unsupervised,
)
from sp_graph_seg.experiments.runner import run_missing
from sp_graph_seg.io import read_labels


@dataclass(frozen=True)
class Experiment:
    """The scores of all finished jobs, the rows of the tables, and the reasons why jobs failed."""

    job_scores: list[JobScores]
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
    scored: Scored = "labels",
) -> Experiment:
    """Trains and scores every method with every setting and seed on every image.

    Each job writes its result when it is finished, and a job that has a result is not run again.
    Therefore, the same call continues the experiment after an interruption, and a call with more
    seeds runs only the new jobs.

    Args:
        photos: The images.
        methods: The methods, one for each row of the table. Their names must differ.
        seeds: The seeds. Each method is run with each seed.
        folder: Folder of the results.
        combine: How the scores of several annotators are combined, see
            :func:`~sp_graph_seg.evaluation.score_segmentation`.
        workers: Number of processes on this machine, see
            :func:`~sp_graph_seg.parallel.map_unordered`.
        scheduler: Address of a Dask scheduler, whose workers run the jobs instead of processes on
            this machine.
        scored: ``"labels"`` scores the labels, as the paper does. ``"regions"`` scores the regions
            that :func:`~sp_graph_seg.labels.split_regions` makes from the labels.

    Raises:
        InputError: If two methods have the same name, or all jobs failed.
        OutputError: If results cannot be written.
    """
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        raise InputError(
            f"types: the list {', '.join(names)} repeats a name; give each method a different name."
        )
    jobs = list(
        make_jobs(photos, methods, seeds, folder.absolute())
    )  # workers may have another working directory
    failures = run_missing(jobs, workers, scheduler)
    results = ((job, job.result()) for job in jobs)
    job_scores = [make_scores(job, result, combine, scored) for job, result in results if result]
    if not job_scores:
        reason = next(
            iter(failures.values()), "there are no jobs; give a photo, a method and a seed."
        )
        raise InputError(f"{folder}: no job succeeded; first error: {reason}")
    settings = average_setting(job_scores)
    return Experiment(
        job_scores,
        select_oracle(job_scores),
        select_unsupervised(job_scores),
        select_fixed(settings),
        settings,
        failures,
    )


def best_labels(experiment: Experiment, photo: Photo) -> dict[str, np.ndarray]:
    """Returns the best labels ``(H, W)`` of an image for each method.

    The best labels are the labels with the highest V-measure, over all settings and seeds.
    """
    own: dict[str, list[JobScores]] = defaultdict(list)
    for one in experiment.job_scores:
        if one.job.photo == photo:
            own[one.job.method.name].append(one)
    best = {name: max(tried, key=lambda one: one.scores["v"]) for name, tried in own.items()}
    return {name: read_labels(one.job.labels_file) for name, one in best.items()}


def typical_annotator(photo: Photo) -> np.ndarray:
    """Returns the label map ``(H, W)`` of the annotator who agrees best with all others."""
    truths = photo.read_truth()
    agreement = [combine_annotators(score_annotators(truth, truths))["v"] for truth in truths]
    return truths[int(np.argmax(agreement))]


def score_curves(
    experiment: Experiment, score: str = "ami"
) -> Mapping[str, Mapping[float, Sequence[float]]]:
    """Computes the mean score over the images for each model, beta and seed.

    Args:
        experiment: The finished experiment.
        score: Name of the score. (default: ``"ami"``)

    Returns:
        For each model and each beta, one mean score for each seed. Baselines are left out.
    """
    values: dict[str, dict[float, dict[int, list[float]]]] = {}
    for one in experiment.job_scores:
        job = one.job
        if not job.method.is_baseline:
            of_setting = values.setdefault(job.method.name, {}).setdefault(job.setting, {})
            of_setting.setdefault(job.seed, []).append(one.scores[score])
    return {
        name: {
            setting: [float(np.mean(own)) for own in seeds.values()]
            for setting, seeds in sorted(settings.items())
        }
        for name, settings in values.items()
    }
