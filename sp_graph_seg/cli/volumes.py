"""Volumes and videos on the command line: trains on a few slices and labels all."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sp_graph_seg.cli.inputs import read_masks
from sp_graph_seg.cli.interruptible import train_in, work_folder
from sp_graph_seg.cli.outputs import MODEL_FILES, check_outputs, report, report_model
from sp_graph_seg.cli.volume_flags import VolumeFlags
from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable, refuse_existing
from sp_graph_seg.io.fingerprint import fingerprint
from sp_graph_seg.io.locks import locked
from sp_graph_seg.io.staging import Stage, finish_staged, staged
from sp_graph_seg.label_jobs import LabelOutput, parse_output

if TYPE_CHECKING:
    from sp_graph_seg.cli.flags import ConfigSource
    from sp_graph_seg.label_jobs import LabelJob
    from sp_graph_seg.labels.relabel import Relabel
    from sp_graph_seg.streaming import Survey
    from sp_graph_seg.volumes import Volume

#: Frames per second of an overlay if the input has no frame rate.
_FRAME_RATE = 10.0


def segment_volume(
    path: Path,
    output: Path,
    train_on: str | None,
    masks: Sequence[Path] | None,
    intensity_range: tuple[float, float] | None,
    overwrite: bool,
    training_flags: "ConfigSource",
    flags: VolumeFlags,
) -> None:
    """Trains on a few slices and labels all of them."""
    target = parse_output(output)
    volume = flags.open(path)
    config = training_flags.resolve(_kind(volume), for_volume=True)
    _check_mode(flags, config)
    numbers, count = _parse_train_on(train_on, volume)
    folder = target.given.parent
    model, *training_files = (folder / name for name in MODEL_FILES)
    inputs = [volume.source.file, *(masks or [])]
    relabel, overlay = _check(target, volume, inputs, overwrite, flags)
    check_outputs([model, *training_files], inputs, overwrite=True)
    read = _read_masks(masks, volume, count or len(numbers))
    training: dict[str, Any] = {
        "input": volume.fingerprint(),
        "train_on": train_on,
        "masks": [fingerprint(mask=mask.read_bytes()) for mask in masks or []],
        "range": intensity_range and list(intensity_range),
        "config": config.to_dict(),
    }
    work = work_folder(model)
    finish_staged(work)
    is_trained = _is_trained(model, training, overwrite)
    if not is_trained and not work.exists():
        refuse_existing(training_files, overwrite)
    from sp_graph_seg.streaming import survey_volume
    from sp_graph_seg.streaming.label import check_unchanged

    survey = survey_volume(volume) if is_trained else survey_volume(volume, numbers, count)
    survey.check(config, skip_bad=flags.skip_bad)
    check_writable(folder)
    if is_trained:
        report("model", f"{model} exists, trained by the same command")
    else:
        with staged(work, [model, *training_files], training, overwrite) as stage:
            if not stage.is_complete:
                _train(stage, survey, numbers, count, read, intensity_range, config, training)
                check_unchanged(volume, training["input"])
        report_model(model, training_files)
    _label(model, volume, target, overwrite, flags, relabel, overlay, preflight=False)


def predict_volume(
    model: Path, path: Path, output: Path, overwrite: bool, flags: VolumeFlags
) -> None:
    """Labels a volume or video with a trained model."""
    target = parse_output(output)
    volume = flags.open(path)
    inputs = [volume.source.file, model]
    relabel, overlay = _check(target, volume, inputs, overwrite, flags)
    _label(model, volume, target, overwrite, flags, relabel, overlay, preflight=True)


def _train(
    stage: Stage,
    survey: "Survey",
    numbers: Sequence[int],
    count: int,
    masks: Sequence[np.ndarray] | None,
    intensity_range: tuple[float, float] | None,
    config: Config,
    notes: Mapping[str, Any],
) -> None:
    from sp_graph_seg.streaming import read_slice

    for number in numbers:
        if number in survey.unusable:
            reason = survey.unusable[number].removesuffix(".")
            raise InputError(
                f"--train-on: slice {number} cannot be used ({reason}); give another one."
            )
    volume = survey.volume
    measured = intensity_range or survey.intensity_range()
    if count:
        numbers = survey.choose(count, measured)
    report("chosen", f"{_slices(volume)} {', '.join(map(str, numbers))} of {len(volume)}")
    images = [survey.kept[n] if n in survey.kept else read_slice(volume, n) for n in numbers]
    if intensity_range is None and masks is None:  # otherwise the range inside the masks counts
        intensity_range = measured
    train_in(stage, stage.names, config, images, masks, intensity_range, notes)


def _label(
    model: Path,
    volume: "Volume",
    output: LabelOutput,
    overwrite: bool,
    flags: VolumeFlags,
    relabel: "Relabel | None",
    overlay: Path | None,
    preflight: bool,
) -> None:
    from sp_graph_seg.streaming import label_volume
    from sp_graph_seg.streaming.block import load_model

    with locked(output.path):
        job = label_volume(
            model,
            volume,
            output,
            mode=flags.mode,
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
        if (
            overlay is not None and has_blocks
        ):  # before finish, so that a killed command resumes here
            segmenter = load_model(model).segmenter
            look = relabel or segmenter.relabel_
            colors = look.colors if look else {}
            _write_overlay(overlay, volume, job, segmenter.intensity_range_, colors)
        skipped = job.finish()
    report("labels", f"{len(volume)} {_slices(volume)} in {job.path}")
    if overlay is not None:
        kept = "" if has_blocks else ": not written again, the labels were complete"
        report("overlay", f"{overlay}{kept}")
    for number, reason in sorted(skipped.items()):
        report("skipped", f"slice {number} has the value {job.unlabelled}: {reason}")


def _kind(volume: "Volume") -> str:
    """Returns the preset that suits a volume: that of videos for frames or colours."""
    is_video = volume.frame_rate is not None or volume.channels == 3
    return "video" if is_video else "tomogram"


def _check_mode(flags: VolumeFlags, config: Config) -> None:
    if flags.mode == "slices":
        return
    from sp_graph_seg.transforms.superpixels import check_superpixel_method

    if config.label_by != "argmax":
        raise InputError(
            f"--mode supervoxels: needs features of the paper's model, but labels are made by "
            f"{config.label_by}; leave it out, or add --preset fast."
        )
    check_superpixel_method(config.superpixel_method, ndim=3)


def _slices(volume: "Volume") -> str:
    return "slices" if volume.frame_rate is None else "frames"


def _write_overlay(
    path: Path,
    volume: "Volume",
    job: "LabelJob",
    intensity_range: tuple[float, float],
    colors: Mapping[int, str],
) -> None:
    """Writes a video of the labels over the frames, from the finished blocks."""
    from sp_graph_seg.io import write_overlay_video
    from sp_graph_seg.plot import overlay_labels
    from sp_graph_seg.streaming import read_slice

    def frames() -> Iterator[np.ndarray]:
        for start, _ in job.blocks:
            block = job.read_block(start)
            assert block is not None, "all blocks are labelled"
            for number, labels in enumerate(block.labels, start=start):
                if number in block.skipped:
                    yield np.zeros((*job.shape[1:], 3), np.uint8)
                else:
                    frame = read_slice(volume, number)
                    yield overlay_labels(
                        frame,
                        np.where(labels == job.unlabelled, -1, labels.astype(np.int64)),
                        intensity_range=intensity_range,
                        colors=colors,
                    )

    write_overlay_video(path, frames(), volume.frame_rate or _FRAME_RATE, volume.frame_times)


def _check(
    output: LabelOutput,
    volume: "Volume",
    inputs: Sequence[Path],
    overwrite: bool,
    flags: VolumeFlags,
) -> tuple["Relabel | None", Path | None]:
    """Checks, before anything is read, what would otherwise fail after training.

    Returns:
        The post-processing, and the path of the overlay.
    """
    from sp_graph_seg.label_jobs import check_label_output
    from sp_graph_seg.labels.relabel import read_relabel

    check_label_output(output, inputs, overwrite=overwrite, resume=flags.resume)
    relabel = None if flags.relabel is None else read_relabel(flags.relabel)
    overlay = flags.overlay
    if overlay is None and volume.frame_rate is not None:
        overlay = output.given.with_name(f"{output.given.stem}_overlay.mp4")
    if overlay is not None:
        if overlay.suffix.lower() != ".mp4":
            raise InputError(f"--overlay {overlay}: does not end in .mp4; rename it.")
        # Work in progress was allowed to replace it when it began.
        goes_on = flags.resume or output.partial.exists()
        check_outputs([overlay], inputs, overwrite or goes_on)
        check_writable(overlay.parent)
    flags.check_workers()
    return relabel, overlay


def _read_masks(
    masks: Sequence[Path] | None, volume: "Volume", count: int
) -> list[np.ndarray] | None:
    """Reads a mask for each slice to train on."""
    if masks and len(masks) != count:
        raise InputError(
            f"--mask: got {len(masks)} for {count} training {_slices(volume)}; give one for each."
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
            f"{model}: exists, but was trained differently; add --overwrite, choose another folder "
            "for --output, or use the model with predict."
        )
    return False


def _parse_train_on(text: str | None, volume: "Volume") -> tuple[list[int], int]:
    """Returns the numbers of the slices to train on, or how many to choose."""
    total = len(volume)
    if text is None:
        raise InputError(
            f"--train-on: is missing; say which of the {total} {_slices(volume)} to train on, such "
            f"as 0,{total // 2}, or auto:3 for those that represent the rest best."
        )
    kind, _, number = text.partition(":")
    try:
        if kind == "auto":
            count = int(number or 1)
            if not 1 <= count <= total:
                raise ValueError
            return [], count
        numbers = [int(part) for part in text.split(",")]
        if any(not -total <= n < total for n in numbers):
            raise ValueError
    except ValueError as error:
        raise InputError(
            f"--train-on {text}: does not name any of the {total} {_slices(volume)}; give numbers "
            f"from 0 to {total - 1}, such as 0,{total // 2}, or auto:3."
        ) from error
    return list(dict.fromkeys(n % total for n in numbers)), 0
