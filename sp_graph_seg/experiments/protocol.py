"""Functions that make the rows of the table from the results of all jobs."""

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
    """The mean scores of a method over all images.

    ``selection`` says how the result of each image was selected.
    """

    method: str
    selection: str
    """``oracle``, ``unsupervised`` or ``fixed``."""
    scores: Scores
    spread: Scores
    """Standard deviation over the seeds (with N - 1) of each mean score over the images. It is
    empty if a result was selected for each image, or if there is only one seed."""
    setting: float | None
    """The setting of all images. None if a setting was selected for each image."""
    num_images: int
    num_candidates: int
    """Number of results from which the result of an image was selected."""


def make_scores(
    job: Job, result: dict[str, Any], combine: Combine, scored: Scored = "labels"
) -> JobScores:
    """Makes the scores of a job from its result. The scores of its annotators are combined."""
    own = result[scored]
    scores = {**combine_annotators(own["annotators"], combine), **own["scores"]}
    return JobScores(job, scores, result["unsupervised"], result["losses"], result["seconds"])


def select_oracle(job_scores: Sequence[JobScores]) -> list[Row]:
    """Makes a row for each method from the result with the best V-measure for each image.

    The paper selects the seed and the setting of each image in this way. The selection needs the
    truths, which are not available in practice. The more settings and seeds are tried, the higher
    these scores become.
    """
    return _select(job_scores, "oracle", lambda one: one.scores["v"])


def select_unsupervised(job_scores: Sequence[JobScores]) -> list[Row]:
    """Makes a row for each method from the result with the best unsupervised score for each image.

    For each image, the seed and the setting are selected without truths.
    """
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
    """Makes a row for each method and setting, with the mean scores over images and seeds.

    The scores are averaged over the images, and then over the seeds. The standard deviation over
    the seeds is computed too. No result is selected by its truths.
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
    """Selects, for each method, the row with the best mean V-measure over all images.

    Each of the given rows is the mean of one method with one setting.
    """
    best = _group(list(rows), lambda row: row.method)
    return [max(own, key=lambda row: row.scores["v"]) for own in best.values()]


def _group(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)
