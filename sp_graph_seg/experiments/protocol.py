"""From the results of all jobs to the rows of the table: selection and averages."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from sp_graph_seg.evaluation.evaluate import Combine, combine_annotators, mean_scores
from sp_graph_seg.experiments.jobs import Job

Scores = dict[str, float]
Segments = Literal["labels", "regions"]
"""What is scored: labels as they are, or their connected regions, see
:func:`~sp_graph_seg.labels.split_regions`."""

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """The scores of one job."""

    job: Job
    scores: Scores
    """The annotators combined, see :func:`~sp_graph_seg.evaluation.combine_annotators`."""
    unsupervised: float
    """See :func:`~sp_graph_seg.evaluation.unsupervised_score`."""
    losses: Scores
    seconds: float


@dataclass(frozen=True)
class Row:
    """The scores of a method over all images, by one way to select a result of each image."""

    method: str
    selection: str
    """``oracle``, ``unsupervised`` or ``fixed``."""
    scores: Scores
    spread: Scores
    """Standard deviation over seeds (of N - 1) of each mean over the images; empty under the oracle
    and of one seed."""
    setting: float | None
    """The one setting used for all images; ``None`` where each image has its own."""
    num_images: int
    num_candidates: int
    """Results that each image's was selected from."""


def make_record(
    job: Job, result: dict[str, Any], combine: Combine, segments: Segments = "labels"
) -> Record:
    """The scores in a result on disk."""
    own = result[segments]
    scores = {**combine_annotators(own["annotators"], combine), **own["scores"]}
    return Record(job, scores, result["unsupervised"], result["losses"], result["seconds"])


def select_oracle(records: Sequence[Record]) -> list[Row]:
    """For each image the seed and setting with the best V-measure, as in the paper.

    It looks at the ground truth, which nobody has who needs a segmentation, and grows with the
    number of candidates.
    """
    return _select(records, "oracle", lambda record: record.scores["v"])


def select_unsupervised(records: Sequence[Record]) -> list[Row]:
    """For each image the seed and setting with the best score that needs no ground truth."""
    return _select(records, "unsupervised", lambda record: record.unsupervised)


def _select(
    records: Sequence[Record], selection: str, quality: Callable[[Record], float]
) -> list[Row]:
    rows = []
    for method, own in _group(records, lambda record: record.job.method.name).items():
        images = _group(own, lambda record: record.job.photo.name)
        best = [max(candidates, key=quality) for candidates in images.values()]
        scores = mean_scores([record.scores for record in best])
        most = max(map(len, images.values()))
        rows.append(Row(method, selection, scores, {}, None, len(images), most))
    return rows


def average_setting(records: Sequence[Record]) -> list[Row]:
    """Every setting of every method: the mean over the images, then mean and deviation over seeds.

    Nothing is selected by looking at an image's own ground truth.
    """
    rows = []
    by = _group(records, lambda record: (record.job.method.name, record.job.setting))
    for (method, setting), own in by.items():
        seeds = _group(own, lambda record: record.job.seed).values()
        means = [mean_scores([record.scores for record in records_]) for records_ in seeds]
        scores = {name: float(np.mean([mean[name] for mean in means])) for name in means[0]}
        spread = {
            name: float(np.std([mean[name] for mean in means], ddof=1))
            for name in means[0]
            if len(means) > 1
        }
        images = len({record.job.photo.name for record in own})
        rows.append(Row(method, "fixed", scores, spread, setting, images, 1))
    return rows


def select_fixed(rows: Iterable[Row]) -> list[Row]:
    """For each method the setting with the best mean V-measure: one for all images."""
    best = _group(list(rows), lambda row: row.method)
    return [max(own, key=lambda row: row.scores["v"]) for own in best.values()]


def _group(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)
