"""Labels a volume or video block by block, in bounded memory and with many workers."""

import copy
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
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
from sp_graph_seg.progress import WorkProgress
from sp_graph_seg.segmenter import Segmenter
from sp_graph_seg.segmenter.model_file import read_model
from sp_graph_seg.segmenter.uncertainty import NO_LABEL
from sp_graph_seg.streaming.block import BlockLabeler, Mode, load_model
from sp_graph_seg.streaming.survey import check_slices
from sp_graph_seg.transforms.superpixels import check_superpixel_method
from sp_graph_seg.volumes import Volume

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
    """Labels every slice of a volume, or frame of a video, with a trained model.

    Slices are read, labelled and written in blocks, so that memory does not grow with their number.
    Finished blocks are kept in ``<output>.partial``. After an interruption, even ``kill -9``, the
    same call does the remaining blocks. Labels do not depend on the number of workers.

    Args:
        model: Model file.
        volume: From :func:`~sp_graph_seg.volumes.open_volume`.
        output: ``.zarr``, ``.tif``, ``.h5``, ``.npy`` or a folder of PNGs, see
            :func:`~sp_graph_seg.label_jobs.open_label_job`.
        mode: ``"slices"`` labels each slice by itself or, if the model uses ``memory`` or
            ``join_slices``, together with slices beside it; ``"supervoxels"`` averages the features
            of the slices of a block over 3D superpixels. (default: ``"slices"``)
        uncertainty: Output for an 8-bit map of how uncertain the labels are, in any format of
            labels: 0 where no other label fits, 254 where another fits as well, 255 where there is
            no label; see :meth:`~sp_graph_seg.Segmenter.predict_with_margin`. The map is resumed
            together with the labels, and finished before them. (default: none)
        relabel: Post-processing of the labels of each slice. (default: that of the model)
        block: Slices in a block. (default: about 32 MiB of labels, 32 slices at most)
        skip_bad: Leave slices that cannot be read unlabelled and list them, instead of refusing
            the volume.
        resume: Accept a complete output of the same model and settings.
        overwrite: Replace an existing output.
        workers: Number of processes on this machine; 0 for this process with all its threads.
            (default: one for each GPU; without a GPU, one for every eight cores, or for each core
            in the mode ``"supervoxels"``; never more than there are blocks)
        scheduler: Address of a Dask scheduler to use instead. Its workers must see the same files.
        preflight: Read all slices once before labelling any. Otherwise a slice that cannot be used
            is found only when its block is labelled.
        finish: Assemble the output and remove the blocks. If False, the caller reads what else it
            needs from the blocks, and then must call ``finish`` of the job.
        progress: Called with the number of labelled slices and the number of all slices, first
            before and then after each block. An exception that it raises ends the work like an
            interruption.
        head: A module equal to the head of the training, as for
            :meth:`Segmenter.load <sp_graph_seg.Segmenter.load>`, unless the configuration names it.

    Returns:
        The job: ``path`` is the output, ``skipped`` has the slices that could not be used and the
        reasons, ``unlabelled`` is the value of pixels without a label.

    Raises:
        InputError: The model or volume cannot be used or was replaced meanwhile, a slice cannot be
            read, the output exists or was begun with another model, volume or settings, another
            process is labelling it, or a worker failed.
    """
    output = parse_output(output)  # refuses an invalid name at once
    beside = None if uncertainty is None else parse_output(uncertainty)
    loaded = load_model(model, head)
    segmenter = copy.copy(loaded.segmenter)  # the cached one must not change
    if mode == "supervoxels":
        net = segmenter.paper_net  # refuses models that label by prototypes
        if net.head is not None:
            channels = segmenter.in_channels_
            check_image_head(net.head, segmenter.config_.num_features, channels, ndim=3)
        check_superpixel_method(segmenter.config_.superpixel_method, ndim=3)
        if beside is not None:
            raise InputError(
                "uncertainty: cannot be used with mode='supervoxels'; leave it out, or use "
                "mode='slices'."
            )
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


def check_unchanged(volume: Volume, before: str) -> None:
    """Refuses results of a volume whose files were replaced while they were read.

    Args:
        volume: The volume.
        before: Its fingerprint when the work began.
    """
    if volume.fingerprint() != before:
        raise InputError(
            f"{volume.path}: was replaced meanwhile; repeat the command with --overwrite."
        )


def record_labels(model: str | os.PathLike[str], volume: Volume) -> dict[str, Any]:
    """Makes the record of the labels of a volume, which `LabelJob.finish` stores with them.

    The record names the input and the model, with the record and the configuration of the
    training of the model. The whole input is read once for its checksum.
    """
    file = read_model(Path(model))
    trained = {"record": file.record, "config": file.metadata["config"]}
    return make_record([volume.source.file, model], part=volume.part_read, model=trained)


def _legend(segmenter: Segmenter) -> dict[int, dict[str, str]]:
    """Returns the color and, if there is one, the name of each label of a model."""
    names = segmenter.relabel_.names if segmenter.relabel_ else {}
    return {
        label: {"color": color} | ({"name": names[label]} if label in names else {})
        for label, color in segmenter.colors_.items()
    }


def _describe(digest: str, volume: Volume, mode: Mode, relabel: Relabel | None) -> dict[str, Any]:
    """Returns what the labels depend on. Work with another description is not continued."""
    return {
        "version": __version__,
        "model": digest,
        "input": volume.fingerprint(),
        "mode": mode,
        "relabel": None if relabel is None else relabel.to_dict(),
    }


def _label_blocks(
    labeler: BlockLabeler,
    missing: list[tuple[int, int]],
    workers: int | None,
    scheduler: str | None,
    report: Callable[[int, int], None] | None,
) -> None:
    total = len(labeler.volume)
    done = total - sum(stop - start for start, stop in missing)
    if workers is None and scheduler is None:
        cores = _THREADS if labeler.mode == "slices" else 1
        workers = min(count_workers(None, None, cores), len(missing))
        workers = 0 if workers == 1 else workers
    # Closed when a block fails, to stop the workers from labelling the others.
    outcomes = closing(map_unordered(labeler, missing, workers, scheduler))  # type: ignore[type-var]
    bar = WorkProgress(total, "slices", done=done, report=report)
    with bar as progress, outcomes as results:
        for (start, stop), outcome in results:
            if isinstance(outcome, BaseException):
                raise _failure(labeler.job, start, stop, outcome)
            progress.advance(stop - start)


def _failure(job: LabelJob, start: int, stop: int, error: BaseException) -> InputError:
    if isinstance(error, InputError):
        return error
    if is_out_of_memory(error):
        _, height, width = job.shape
        return InputError(
            f"{job.output}: there is not enough memory to label slices of {height}x{width} pixels; "
            "use --crop or --binning, or --workers 0 for one process, then repeat the same command."
        )
    reason = " ".join(str(error).split()) or type(error).__name__
    return InputError(
        f"{job.output}: labelling slices {start} to {stop - 1} failed ({reason}); repeat the "
        "same command to continue."
    )
