"""The relabelling of a volume, block by block."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sp_graph_seg._version import __version__
from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs import LabelJob, LabelOutput, open_label_job
from sp_graph_seg.label_jobs.manifest import MAX_LABELS
from sp_graph_seg.labels.relabel.description import Relabel
from sp_graph_seg.progress import WorkProgress
from sp_graph_seg.volumes import Geometry, Volume


def relabel_volume(
    labels: Volume,
    relabel: Relabel,
    output: LabelOutput | str | os.PathLike[str],
    *,
    block: int | None = None,
    geometry: Geometry | None = None,
    record: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LabelJob:
    """Relabels each slice of a volume as a separate image, and writes the new labels.

    No model is needed. The sizes in the description are numbers of pixels of a slice. After an
    interruption, the same call relabels the remaining blocks. If ``relabel`` has no steps, the
    labels are only converted to the format of ``output``.

    Args:
        labels: The labels, from :func:`~sp_graph_seg.volumes.open_volume`. The function
            :func:`find_unlabelled` says which voxels have no label.
        relabel: The description of the relabelling.
        output: Where the labels are written, see :func:`~sp_graph_seg.label_jobs.open_label_job`.
        block: Number of slices in a block. (default: about 32 MiB of labels, 32 slices at most)
        geometry: Where the voxels lie. (default: the geometry of ``labels``)
        record: How the labels were made, see :func:`~sp_graph_seg.io.record.make_record`.
        overwrite: Replace an existing output. (default: :obj:`False`)
        resume: Accept an output that the same call has already finished. (default: :obj:`False`)
        progress: As in :func:`~sp_graph_seg.streaming.label_volume`.

    Returns:
        The finished job.

    Raises:
        InputError: If the volume does not hold labels from 0 to 65534, a target of ``merge`` is
            above 65534, or the output cannot be written, exists already or was begun with other
            settings.
    """
    unlabelled = find_unlabelled(labels, relabel)
    merged = max(relabel.merge, default=0)
    if merged >= MAX_LABELS:
        raise InputError(
            f"merge: label {merged} is too large; merge only into labels up to {MAX_LABELS - 1}."
        )
    num_labels = max(merged + 1, _count_labels(labels, unlabelled))
    job = open_label_job(
        output,
        (len(labels), labels.height, labels.width),
        num_labels,
        {"version": __version__, "input": labels.fingerprint(), "relabel": relabel.to_dict()},
        block=block,
        geometry=geometry or labels.geometry,
        labels=relabel.labels,
        inputs=[labels.path],
        overwrite=overwrite,
        resume=resume,
    )
    hidden = None if unlabelled is None else job.unlabelled
    about = Relabel.from_dict(relabel.to_dict() | {"unlabelled": hidden})
    missing = job.missing_blocks()
    done = len(labels) - sum(stop - start for start, stop in missing)
    with WorkProgress(len(labels), labels.noun, done=done, report=progress) as bar:
        for start, stop in missing:
            values = labels.read(start, stop)[:, 0]
            narrow = values.astype(job.dtype)
            if unlabelled is not None:
                narrow[values == unlabelled] = job.unlabelled
            job.write_block(start, np.stack([about.apply(image) for image in narrow]))
            bar.advance(stop - start)
    return replace(job, complete=True, skipped=job.finish(record=record))


def find_unlabelled(labels: Volume, relabel: Relabel | None = None) -> int | None:
    """Returns the value of voxels without a label, or None if every value is a label.

    If ``relabel`` has a value for ``unlabelled``, this value is returned. Otherwise, the largest
    value of the type of the labels, such as 255, is returned. The result is None if ``relabel``
    uses this largest value as a label, or if the volume is boolean.

    Raises:
        InputError: If the volume does not hold one integer for each voxel.
    """
    if labels.channels != 1 or labels.dtype.kind not in "bui":
        raise InputError(
            f"{labels.path}: holds {labels.channels} channels of {labels.dtype}, but labels are "
            "one channel of integers; give the output of segment or predict."
        )
    if relabel is not None and relabel.unlabelled is not None:
        return relabel.unlabelled
    largest, about = _largest(labels), relabel or Relabel()
    used = {
        *about.labels,
        *about.merge,
        *(label for group in about.merge.values() for label in group),
    }
    return None if labels.dtype.kind == "b" or largest in used else largest


def _largest(labels: Volume) -> int:
    """Returns the largest value that the type of the labels can hold."""
    return 1 if labels.dtype.kind == "b" else int(np.iinfo(labels.dtype).max)


def _count_labels(labels: Volume, unlabelled: int | None) -> int:
    """Returns a number that is larger than all labels.

    The labels are read only if their type allows values that are too large to be written.

    Raises:
        InputError: If a label that was looked at is below 0 or above 65534.
    """
    largest = _largest(labels)
    possible = largest + (unlabelled != largest)
    if possible <= MAX_LABELS:
        return possible
    found = 0
    for image in labels:
        values = image if unlabelled is None else image[image != unlabelled]
        low, high = int(values.min(initial=0)), int(values.max(initial=0))
        if low < 0 or high >= MAX_LABELS:
            raise InputError(
                f"{labels.path}: holds the label {low if low < 0 else high}, which cannot be "
                f"written; use labels from 0 to {MAX_LABELS - 1}."
            )
        found = max(found, high)
    return found + 1
