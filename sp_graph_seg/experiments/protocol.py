"""Selects and averages the results of all jobs into the rows of the table."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from sp_graph_seg.evaluation.evaluate import Combine, combine_annotators, mean_scores
from sp_graph_seg.experiments.jobs import Job

Scores = dict[str, float]
Scored = Literal["labels", "regions"]
"""What is scored: labels, or their connected regions, see
:func:`~sp_graph_seg.labels.split_regions`."""

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True)
class JobScores:
    """The scores of one job."""

    job: Job
    scores: Scores
    """Scores with combined annotators, see :func:`~sp_graph_seg.evaluation.combine_annotators`."""
    unsupervised: float
    """See :func:`~sp_graph_seg.evaluation.unsupervised_score`."""
    losses: Scores
    seconds: float


@dataclass(frozen=True)
class Row:
    """The mean scores of a method over all images, for one way of selecting a result per image."""

    method: str
    selection: str
    """``oracle``, ``unsupervised`` or ``fixed``."""
    scores: Scores
    spread: Scores
    """Sample standard deviation (with N - 1) over the seeds of each mean over the images; empty if
    a result was selected for each image, or if there is one seed."""
    setting: float | None
    """The setting of all images; ``None`` if a setting was selected for each image."""
    num_images: int
    num_candidates: int
    """Number of results from which the result of an image was selected."""


def make_scores(
    job: Job, result: dict[str, Any], combine: Combine, scored: Scored = "labels"
) -> JobScores:
    """Makes the scores of a job from its result on disk."""
    own = result[scored]
    scores = {**combine_annotators(own["annotators"], combine), **own["scores"]}
    return JobScores(job, scores, result["unsupervised"], result["losses"], result["seconds"])


def select_oracle(job_scores: Sequence[JobScores]) -> list[Row]:
    """Selects, for each image, the seed and setting with the best V-measure, as in the paper.

    This uses the truths, which are not available in practice. The score grows with the number of
    settings and seeds.
    """
    return _select(job_scores, "oracle", lambda one: one.scores["v"])


def select_unsupervised(job_scores: Sequence[JobScores]) -> list[Row]:
    """Selects, for each image, the seed and setting with the best score that needs no truth."""
    return _select(job_scores, "unsupervised", lambda one: one.unsupervised)


def _select(
    job_scores: Sequence[JobScores], selection: str, quality: Callable[[JobScores], float]
) -> list[Row]:
    rows = []
    for method, own in _group(job_scores, lambda one: one.job.method.name).items():
        images = _group(own, lambda one: one.job.photo.name)
        best = [max(candidates, key=quality) for candidates in images.values()]
        scores = mean_scores([one.scores for one in best])
        most = max(map(len, images.values()))
        rows.append(Row(method, selection, scores, {}, None, len(images), most))
    return rows


def average_setting(job_scores: Sequence[JobScores]) -> list[Row]:
    """Averages the scores of each method and setting over the images, and then over the seeds.

    It also computes their standard deviation over the seeds. Truths select no result.
    """
    rows = []
    by = _group(job_scores, lambda one: (one.job.method.name, one.job.setting))
    for (method, setting), own in by.items():
        seeds = _group(own, lambda one: one.job.seed).values()
        means = [mean_scores([one.scores for one in of_seed]) for of_seed in seeds]
        scores = {name: float(np.mean([mean[name] for mean in means])) for name in means[0]}
        spread = {
            name: float(np.std([mean[name] for mean in means], ddof=1))
            for name in means[0]
            if len(means) > 1
        }
        images = len({one.job.photo.name for one in own})
        rows.append(Row(method, "fixed", scores, spread, setting, images, 1))
    return rows


def select_fixed(rows: Iterable[Row]) -> list[Row]:
    """Selects, for each method, the one setting with the best mean V-measure over all images."""
    best = _group(list(rows), lambda row: row.method)
    return [max(own, key=lambda row: row.scores["v"]) for own in best.values()]


def _group(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)
