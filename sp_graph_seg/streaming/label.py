"""Labels a volume or video block by block, with limited memory and with many workers."""

import copy
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from sp_graph_seg._version import __version__
from sp_graph_seg.errors import InputError, is_out_of_memory
from sp_graph_seg.io.locks import locked
from sp_graph_seg.io.record import make_record
from sp_graph_seg.label_jobs import (
    LabelJob,
    LabelOutput,
    check_label_output,
    open_label_job,
    parse_output,
)
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.nn import check_image_head
from sp_graph_seg.parallel import count_workers, map_unordered
from sp_graph_seg.progress import WorkProgress, format_seconds
from sp_graph_seg.segmenter import Segmenter
from sp_graph_seg.segmenter.model_file import read_model
from sp_graph_seg.segmenter.uncertainty import NO_LABEL
from sp_graph_seg.streaming.block import BlockLabeler, Mode, load_model
from sp_graph_seg.streaming.survey import check_slices
from sp_graph_seg.transforms.superpixels import check_superpixel_method
from sp_graph_seg.volumes import Volume

#: Seconds until worker processes have imported everything, as measured on two cores.
_START_SECONDS = 10.0

#: Cores for the threads of one process, because processes take long to start. Threads were measured
#: on two cores; eight is an estimate.
_THREADS = 8


def label_volume(
    model: str | os.PathLike[str],
    volume: Volume,
    output: LabelOutput | str | os.PathLike[str],
    *,
    mode: Mode = "slices",
    uncertainty: LabelOutput | str | os.PathLike[str] | None = None,
    relabel: Relabel | None = None,
    block: int | None = None,
    skip_bad: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    preflight: bool = True,
    finish: bool = True,
    progress: Callable[[int, int], None] | None = None,
    head: nn.Module | None = None,
) -> LabelJob:
    """Labels every slice of a volume, or every frame of a video, with a trained model.

    Slices are read, labelled and written in blocks, so the use of memory does not grow with the
    number of slices. Finished blocks are kept in ``<output>.partial``. After an interruption, even
    by ``kill -9``, the same call labels the remaining blocks. The labels do not depend on the
    number of workers.

    Args:
        model: The model file.
        volume: The volume, as :func:`~sp_graph_seg.volumes.open_volume` returns it.
        output: The path of the output, such as a ``.zarr``, ``.tif``, ``.h5`` or ``.npy`` file or a
            folder of PNGs. See :func:`~sp_graph_seg.label_jobs.open_label_job` for all formats.
        mode: ``"slices"`` labels one slice at a time. If the model uses ``memory`` or
            ``join_slices``, the label of a pixel also depends on the slices beside its slice.
            ``"supervoxels"`` averages the features of the slices of a block over 3D superpixels.
            (default: ``"slices"``)
        uncertainty: The path of an 8-bit map of the uncertainty of the labels, in any format for
            labels. The map has the value 0 where no other label fits, 254 where another label fits
            as well, and 255 where there is no label. See
            :meth:`~sp_graph_seg.Segmenter.predict_with_margin`. After an interruption, the map is
            continued together with the labels. It is finished before the labels. (default: no map)
        relabel: The post-processing of the labels of each slice. (default: the post-processing that
            the model stores)
        block: The number of slices in a block. (default: as many slices as have about 32 MiB of
            labels, but at most 32)
        skip_bad: Whether to leave slices that cannot be read unlabelled, and to list them in
            ``skipped``. If False, a volume with such a slice is refused.
        resume: Whether to accept a complete output of the same model and settings.
        overwrite: Whether to replace an existing output.
        workers: The number of processes on this machine. If it is 0, this process labels all blocks
            with all its threads. (default: one process for each GPU. Without a GPU, one process for
            every eight cores, or for every core in the mode ``"supervoxels"``. There are never more
            processes than blocks. Processes are started only if the first block, which this process
            labels, shows that they save more time than they take to start.)
        scheduler: The address of a Dask scheduler. Its workers are used instead of processes on
            this machine, and they must have access to the same files.
        preflight: Whether to read all slices once before any slice is labelled. If False, a slice
            that cannot be used is found only when its block is labelled.
        finish: Whether to assemble the output and remove the blocks. If False, the caller can still
            read the blocks, and must then call ``finish`` of the returned job.
        progress: Function that is called with the number of labelled slices and the number of all
            slices, first before and then after each block. An exception that it raises ends the
            work like an interruption.
        head: A module equal to the head that was used in training, as for
            :meth:`Segmenter.load <sp_graph_seg.Segmenter.load>`. It is not needed if the
            configuration names the head.

    Returns:
        The job. Its ``path`` is the output. Its ``skipped`` holds the numbers of the slices that
        could not be used, with the reasons. Its ``unlabelled`` is the value of pixels without a
        label.

    Raises:
        InputError: The model or the volume cannot be used or was replaced during the work, a slice
            cannot be read, the output exists or was begun with another model, volume or settings,
            another process is writing the output, or a worker failed.
    """
    output = parse_output(output)  # refuses an invalid name at once
    beside = None if uncertainty is None else parse_output(uncertainty)
    loaded = load_model(model, head)
    segmenter = copy.copy(loaded.segmenter)  # the cached one must not change
    if mode == "supervoxels":
        _check_supervoxels(segmenter, with_uncertainty=beside is not None)
    if preflight:
        check_slices(volume, segmenter.config_, segmenter.in_channels_, skip_bad)
    segmenter.relabel_ = relabel = segmenter.relabel_ if relabel is None else relabel
    settings = _describe(loaded.digest, volume, mode, relabel)
    inputs = [model, volume.path]
    check_label_output(output, inputs, overwrite=overwrite, resume=resume)
    with locked(output.path):
        goes_on = output.partial.exists()
        open_job = partial(
            open_label_job,
            shape=(len(volume), volume.height, volume.width),
            geometry=volume.geometry,
            inputs=inputs,
            overwrite=overwrite,
        )
        job = open_job(
            output,
            num_labels=segmenter.num_labels_,
            settings=settings,
            labels=_legend(segmenter),
            block=block,
            resume=resume,
        )
        maps = None
        if beside is not None:
            maps = open_job(
                beside,
                num_labels=NO_LABEL,
                settings=settings | {"content": "uncertainty"},
                labels=None,
                block=job.block,
                resume=resume or goes_on,
            )
        missing = sorted({*job.missing_blocks(), *(maps.missing_blocks() if maps else ())})
        if missing:
            # A relative path is invalid for workers elsewhere.
            labeler = BlockLabeler(
                Path(model).absolute(), volume, job, mode, relabel, skip_bad, maps, head
            )
            _label_blocks(labeler, missing, workers, scheduler, progress)
            check_unchanged(volume, settings["input"])
        record = record_labels(model, volume) if (finish or maps) and not job.complete else None
        if maps:
            maps.finish(record=record)
        if not finish:
            return job
        skipped = job.finish(record=record)
        return replace(job, complete=True, skipped=skipped)


def _check_supervoxels(segmenter: Segmenter, with_uncertainty: bool) -> None:
    """Raises an error if a model cannot label supervoxels."""
    net = segmenter.paper_net  # refuses models that label by prototypes
    config = segmenter.config_
    if net.head is not None:
        check_image_head(net.head, config.num_features, segmenter.in_channels_, ndim=3)
    check_superpixel_method(config.superpixel_method, ndim=3)
    if with_uncertainty:
        raise InputError(
            "uncertainty: cannot be used with mode='supervoxels'; leave it out, or use "
            "mode='slices'."
        )


def check_unchanged(volume: Volume, before: str) -> None:
    """Raises an error if the files of a volume were replaced while they were read.

    Args:
        volume: The volume.
        before: The value of ``volume.fingerprint()`` when the work began.

    Raises:
        InputError: The fingerprint of the volume has changed.
    """
    if volume.fingerprint() != before:
        raise InputError(
            f"{volume.path}: was replaced while it was read; repeat the command with --overwrite."
        )


def record_labels(model: str | os.PathLike[str], volume: Volume) -> dict[str, Any]:
    """Makes the record that `LabelJob.finish` stores with the labels of a volume.

    The record names the input and the model. It also holds a copy of two things in the model file:
    how the model was trained, and its configuration. The whole input is read once to compute its
    checksum.
    """
    file = read_model(Path(model))
    trained = {"record": file.record, "config": file.metadata["config"]}
    return make_record([volume.source.file, model], part=volume.part_read, model=trained)


def _legend(segmenter: Segmenter) -> dict[int, dict[str, str]]:
    """Returns the colour of each label of a model and, if the label has a name, its name."""
    names = segmenter.relabel_.names if segmenter.relabel_ else {}
    return {
        label: {"color": color} | ({"name": names[label]} if label in names else {})
        for label, color in segmenter.colors_.items()
    }


def _describe(digest: str, volume: Volume, mode: Mode, relabel: Relabel | None) -> dict[str, Any]:
    """Returns the settings that the labels depend on.

    Work in progress with other settings is not continued.
    """
    return {
        "version": __version__,
        "model": digest,
        "input": volume.fingerprint(),
        "mode": mode,
        "relabel": None if relabel is None else relabel.to_dict(),
    }


@dataclass(frozen=True)
class _Timed:
    """Calls a labeler, and returns the seconds that it took."""

    labeler: BlockLabeler

    def __call__(self, block: tuple[int, int]) -> float:
        start = time.perf_counter()
        self.labeler(block)
        return time.perf_counter() - start


def _label_blocks(
    labeler: BlockLabeler,
    missing: list[tuple[int, int]],
    workers: int | None,
    scheduler: str | None,
    report: Callable[[int, int], None] | None,
) -> None:
    total = len(labeler.volume)
    done = total - sum(stop - start for start, stop in missing)
    with WorkProgress(total, labeler.volume.noun, done=done, report=report) as progress:
        if workers is None and scheduler is None:
            cores = _THREADS if labeler.mode == "slices" else 1
            workers = min(count_workers(None, None, cores), len(missing) - 1)
            if workers > 1:
                first, *missing = missing
                seconds = _label_with(0, None, labeler, [first], progress)
                workers = workers if _pays(workers, len(missing) * seconds) else 0
            else:
                workers = 0
        start = time.perf_counter()
        worked = _label_with(workers, scheduler, labeler, missing, progress)
        if workers and scheduler is None:
            worked /= min(workers, len(missing))  # further workers had no block
            waited = time.perf_counter() - start - worked
            progress.advance(0, note=_describe_start(workers, waited, worked))


def _pays(workers: int, seconds: float) -> bool:
    """Returns whether processes save more of the given seconds of work than they take to start."""
    return seconds * (1 - 1 / workers) > _START_SECONDS


def _describe_start(workers: int, waited: float, worked: float) -> str:
    """Returns a note if processes took longer to start than to work; otherwise, an empty text."""
    if waited <= worked:
        return ""
    noun = "worker" if workers == 1 else "workers"
    return (
        f"starting {workers} {noun} took {format_seconds(waited)}, longer than their work: "
        "--workers 0 starts none"
    )


def _label_with(
    workers: int | None,
    scheduler: str | None,
    labeler: BlockLabeler,
    blocks: list[tuple[int, int]],
    progress: WorkProgress,
) -> float:
    """Labels blocks. Returns the sum of the seconds that they took."""
    worked = 0.0
    # Closed when a block fails, to stop the workers from labelling the others.
    outcomes = closing(map_unordered(_Timed(labeler), blocks, workers, scheduler))  # type: ignore[type-var]
    with outcomes as results:
        for (start, stop), outcome in results:
            if isinstance(outcome, BaseException):
                raise _failure(labeler.job, start, stop, outcome)
            worked += outcome
            progress.advance(stop - start)
    return worked


def _failure(job: LabelJob, start: int, stop: int, error: BaseException) -> InputError:
    if isinstance(error, InputError):
        return error
    if is_out_of_memory(error):
        _, height, width = job.shape
        return InputError(
            f"{job.output}: there is not enough memory to label slices of {height}x{width} pixels; "
            "use --crop, --binning or --workers 0 (one process), then repeat the same command."
        )
    reason = " ".join(str(error).split()) or type(error).__name__
    return InputError(
        f"{job.output}: labelling slices {start} to {stop - 1} failed ({reason}); repeat the "
        "same command to continue."
    )
