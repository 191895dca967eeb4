"""Labels volumes and videos for the command line. If needed, trains on a few slices first."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sp_graph_seg.cli.dry_run_volumes import plan_labelling, plan_segmentation
from sp_graph_seg.cli.inputs import match_masks, read_masks
from sp_graph_seg.cli.interruptible import train_in, work_folder
from sp_graph_seg.cli.layout import place_labels, place_overlay, place_pages, place_uncertainty
from sp_graph_seg.cli.messages import report
from sp_graph_seg.cli.outputs import MODEL_FILES, check_outputs, report_model, training_results
from sp_graph_seg.cli.overlays import write_overlay
from sp_graph_seg.cli.pages import check_pages, write_volume_pages
from sp_graph_seg.cli.training_slices import (
    choose_or_check,
    default_train_on,
    kind_of_volume,
    leave_out_void,
    parse_train_on,
    read_chosen,
)
from sp_graph_seg.cli.volume_flags import VolumeFlags
from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable, refuse_existing
from sp_graph_seg.io.fingerprint import fingerprint
from sp_graph_seg.io.locks import locked
from sp_graph_seg.io.record import RECORDS, add_record, find_record, make_record
from sp_graph_seg.io.staging import finish_staged, staged
from sp_graph_seg.label_jobs import LabelOutput

if TYPE_CHECKING:
    from sp_graph_seg.cli.flags import ConfigSource
    from sp_graph_seg.labels.relabel import Relabel
    from sp_graph_seg.volumes import Volume


class Training(NamedTuple):
    """The slices, masks and intensity range of a training, and the flags of its configuration."""

    train_on: str | None
    masks: Sequence[Path] | None
    intensity_range: tuple[float, float] | None
    flags: "ConfigSource"


def segment_volume(
    path: Path,
    output: Path,
    training: Training,
    uncertainty: bool,
    overwrite: bool,
    dry_run: bool,
    flags: VolumeFlags,
) -> None:
    """Trains on a few slices of a volume, and labels all of its slices."""
    volume, masks, intensity_range = flags.open(path), training.masks, training.intensity_range
    if masks and len(masks) == 1:
        volume, masks = flags.mask(volume, masks[0]), None
    elif not masks:
        volume = leave_out_void(volume, flags)
    (target,) = place_labels([volume], output, flags.format)
    kind = kind_of_volume(volume)
    config = training.flags.resolve(kind, for_volume=True)
    _check_mode(flags, config)
    train_on = training.train_on or default_train_on(volume)
    numbers, count = parse_train_on(train_on, volume)
    folder = target.given.parent
    model, *training_files = (folder / name for name in MODEL_FILES)
    inputs = [volume.source.file, *(training.masks or [])]
    beside = _beside(target, uncertainty, flags)
    relabel, overlay = _check(target, beside, volume, inputs, overwrite, dry_run, flags)
    check_outputs([model, *training_files], inputs, overwrite=True)
    read = _read_masks(masks, volume, count or len(numbers))
    notes: dict[str, Any] = {
        "input": volume.fingerprint(),
        "train_on": train_on,
        "masks": [fingerprint(mask=mask.read_bytes()) for mask in masks or []],
        "range": intensity_range and list(intensity_range),
        "config": config.to_dict(),
    }
    work = work_folder(model)
    if dry_run:
        trained = training_results([model, *training_files], config)
        files = [*trained, *_beside_labels(target, overlay), folder / RECORDS]
        numbers_of = count or len(numbers)
        plan_segmentation(
            volume,
            training.flags.preset,
            kind,
            config,
            f"{numbers_of} of them ({train_on})",
            numbers_of,
            files,
            _sizes([target, beside], volume),
            training.masks,
            flags.skip_bad,
        )
        return
    finish_staged(work)
    is_trained = _is_trained(model, notes, overwrite)
    if not is_trained and not work.exists():
        refuse_existing(training_files, overwrite)
    from sp_graph_seg.segmenter.model_file import read_model
    from sp_graph_seg.streaming import survey_volume
    from sp_graph_seg.streaming.label import check_unchanged

    survey = survey_volume(volume) if is_trained else survey_volume(volume, numbers, count)
    survey.check(config, skip_bad=flags.skip_bad)
    check_writable(folder)
    if overlay is not None:
        check_writable(overlay.parent)
    if is_trained:
        report("model", f"{model} exists, trained by the same command")
        if find_record(model) is None:  # killed before the record was written
            add_record(folder, [model, *training_files], read_model(model).record)
    else:
        numbers, intensity_range = choose_or_check(survey, numbers, count, read, intensity_range)
        why = f", as --train-on {train_on} does" if training.train_on is None else ""
        report("chosen", f"{volume.named(*numbers)} of {len(volume)}{why}")
        made_from = [file for file in inputs if file.exists()]  # a mask may be "auto"
        record = make_record(made_from, part=volume.part_read, seed=config.seed, trained_on=numbers)
        with staged(work, [model, *training_files], notes, overwrite) as stage:
            if not stage.is_complete:
                images = read_chosen(survey, numbers)
                train_in(stage, stage.names, config, images, read, intensity_range, notes, record)
                check_unchanged(volume, notes["input"])
        report_model(model, training_files)
        add_record(folder, [model, *training_files], read_model(model).record)
    _label(model, volume, target, beside, overwrite, flags, relabel, overlay, preflight=False)


def predict_volumes(
    model: Path,
    paths: Sequence[Path],
    output: Path,
    masks: Sequence[Path] | None,
    uncertainty: bool,
    overwrite: bool,
    dry_run: bool,
    flags: VolumeFlags,
) -> None:
    """Labels volumes or videos with a trained model.

    All volumes are checked before the first one is labelled.
    """
    volumes = [flags.open(path) for path in paths]
    if masks:
        pairs = zip(volumes, match_masks(masks, paths), strict=True)
        volumes = [flags.mask(volume, mask) for volume, mask in pairs]
    else:
        volumes = [leave_out_void(volume, flags) for volume in volumes]
    targets = place_labels(volumes, output, flags.format)
    if len(volumes) > 1 and flags.overlay is not None:
        raise InputError(
            "--overlay: works only with one volume; leave it out, or label one volume at a time."
        )
    inputs = [model, *(volume.source.file for volume in volumes), *(masks or [])]
    besides = [_beside(target, uncertainty, flags) for target in targets]
    checked = [
        _check(target, beside, volume, inputs, overwrite, dry_run, flags)
        for target, beside, volume in zip(targets, besides, volumes, strict=True)
    ]
    if dry_run:
        parts = zip(targets, besides, volumes, strict=True)
        sizes = [size for target, beside, own in parts for size in _sizes([target, beside], own)]
        files = [
            file
            for target, (_, overlay) in zip(targets, checked, strict=True)
            for file in _beside_labels(target, overlay)
        ]
        plan_labelling(model, volumes, files, sizes, masks, flags.skip_bad)
        return
    jobs = zip(targets, besides, volumes, checked, strict=True)
    for target, beside, volume, (relabel, overlay) in jobs:
        check_writable(target.given.parent)
        if overlay is not None:
            check_writable(overlay.parent)
        _label(model, volume, target, beside, overwrite, flags, relabel, overlay, preflight=True)


def _label(
    model: Path,
    volume: "Volume",
    output: LabelOutput,
    beside: LabelOutput | None,
    overwrite: bool,
    flags: VolumeFlags,
    relabel: "Relabel | None",
    overlay: Path | None,
    preflight: bool,
) -> None:
    from sp_graph_seg.streaming import label_volume, record_labels
    from sp_graph_seg.streaming.block import load_model

    segmenter = copy.copy(load_model(model).segmenter)  # the cached one must not change
    segmenter.relabel_ = relabel or segmenter.relabel_
    with locked(output.path):
        job = label_volume(
            model,
            volume,
            output,
            mode=flags.mode,
            uncertainty=beside,
            relabel=relabel,
            block=flags.block,
            skip_bad=flags.skip_bad,
            resume=flags.resume,
            overwrite=overwrite,
            workers=flags.workers,
            scheduler=flags.scheduler,
            preflight=preflight,
            finish=False,
        )
        has_blocks = not job.is_assembled()
        if overlay is not None and has_blocks:  # before finish, where a killed command goes on
            write_overlay(overlay, volume, job, segmenter)
        record = None if job.complete else record_labels(model, volume)
        skipped = job.finish(record=record)
    report("labels", f"{len(volume)} {volume.noun} in {job.path}")
    if beside is not None:
        report("unsure", str(beside.path))
    if overlay is not None:
        kept = "" if has_blocks else ": not written again, the labels were complete"
        report("overlay", f"{overlay}{kept}")
    for number, reason in sorted(skipped.items()):
        report("skipped", f"{volume.named(number)} has the value {job.unlabelled}: {reason}")
    write_volume_pages(job, volume, segmenter, model, record, skipped)


def _beside_labels(target: LabelOutput, overlay: Path | None) -> list[Path]:
    return [*place_pages(target), *([overlay] if overlay else [])]


def _sizes(outputs: Sequence[LabelOutput | None], volume: "Volume") -> list[tuple[Path, int]]:
    """Returns the files of labels, and the bytes that they take if nothing is compressed."""
    voxels = len(volume) * volume.height * volume.width
    return [(output.given, voxels) for output in outputs if output is not None]


def _check_mode(flags: VolumeFlags, config: Config) -> None:
    if flags.mode == "slices":
        return
    from sp_graph_seg.transforms.superpixels import check_superpixel_method

    if config.label_by != "argmax":
        raise InputError(
            f"--mode supervoxels: needs label_by argmax, but label_by is {config.label_by}; leave "
            "out --mode, or add --preset fast."
        )
    check_superpixel_method(config.superpixel_method, ndim=3)


def _beside(output: LabelOutput, uncertainty: bool, flags: VolumeFlags) -> LabelOutput | None:
    """Returns where to write the uncertainty of the labels, or None if it is not wanted."""
    if uncertainty and flags.mode == "supervoxels":
        raise InputError(
            "--uncertainty: cannot be used with --mode supervoxels; leave out one of the two."
        )
    return place_uncertainty(output) if uncertainty else None


def _check(
    output: LabelOutput,
    beside: LabelOutput | None,
    volume: "Volume",
    inputs: Sequence[Path],
    overwrite: bool,
    dry_run: bool,
    flags: VolumeFlags,
) -> tuple["Relabel | None", Path | None]:
    """Checks outputs and flags before any slice is read, so that errors do not appear late.

    Returns:
        The relabelling and the file of the overlay. Either is None if it is not wanted.
    """
    from sp_graph_seg.label_jobs import check_label_output
    from sp_graph_seg.labels.relabel import read_relabel

    goes_on = flags.resume or output.partial.exists()
    for place, resume in ((output, flags.resume), (beside, goes_on)):
        if place is not None:
            check_label_output(
                place, inputs, overwrite=overwrite, resume=resume, make_folder=not dry_run
            )
    relabel = None if flags.relabel is None else read_relabel(flags.relabel)
    overlay = flags.overlay
    if overlay is None and volume.frame_rate is not None:
        overlay = place_overlay(output)
    # Work in progress was allowed to replace them when it began.
    check_pages(place_pages(output), inputs, overwrite or goes_on)
    if overlay is not None:
        if overlay.suffix.lower() != ".mp4":
            raise InputError(f"--overlay {overlay}: does not end in .mp4; rename it.")
        check_outputs([overlay], inputs, overwrite or goes_on)
    flags.check_workers()
    return relabel, overlay


def _read_masks(
    masks: Sequence[Path] | None, volume: "Volume", count: int
) -> list[np.ndarray] | None:
    """Reads a mask for each slice to train on."""
    if masks and len(masks) != count:
        raise InputError(
            f"--mask: got {len(masks)} masks for {count} training {volume.noun}; give as "
            f"many masks as {volume.noun}."
        )
    like = np.broadcast_to(np.uint8(0), (volume.channels, volume.height, volume.width))
    return read_masks(masks, [Path(volume.path)] * count, [like] * count)


def _is_trained(model: Path, training: dict[str, Any], overwrite: bool) -> bool:
    """Returns whether an interrupted run of this command has already written the model."""
    if not model.exists():
        return False
    from sp_graph_seg.streaming.block import load_model

    try:
        if load_model(model).notes == training:
            return True
    except InputError:
        if not overwrite:
            raise
    if not overwrite:
        raise InputError(
            f"{model}: exists, but was trained with other images or settings; add --overwrite, "
            "choose another folder for --output, or label with this model by the command predict."
        )
    return False
