"""Volumes and videos on the command line: train on a few slices, label all of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sp_graph_seg.cli.inputs import read_map
from sp_graph_seg.cli.outputs import report, write_model
from sp_graph_seg.cli.volume_flags import VolumeFlags
from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable

if TYPE_CHECKING:
    from sp_graph_seg.io import Volume
    from sp_graph_seg.io.label_stores import LabelJob
    from sp_graph_seg.streaming import Labelled

#: What ``segment`` leaves in the folder of its output.
RECORDS = ("config.yaml", "history.csv", "history.png")
MODEL = "model.safetensors"

#: Frames a second of an overlay whose input does not tell.
_FRAME_RATE = 10.0


def segment_volume(
    path: Path,
    output: Path,
    train_on: str | None,
    masks: Sequence[Path] | None,
    overwrite: bool,
    config: Config,
    flags: VolumeFlags,
) -> None:
    """Trains on a few slices and labels all of them."""
    volume = flags.open(path)
    numbers, count = _parse_train_on(train_on, volume)
    _check_output(output, path, overwrite, flags)
    model, *records = (output.parent / name for name in (MODEL, *RECORDS))
    training = {
        "input": volume.fingerprint(),
        "train_on": train_on,
        "masks": [str(mask) for mask in masks or []],
        "config": config.to_dict(),
    }
    is_trained = _is_trained(model, training, overwrite)
    from sp_graph_seg.streaming import check_slices

    check_slices(volume, config, skip_bad=flags.skip_bad)
    check_writable(output.parent)
    if is_trained:
        report("model", f"{model} is there, trained as asked")
    else:
        _train(volume, numbers, count, masks, config, training, model, records)
    _label(model, volume, output, overwrite, flags, preflight=False)


def predict_volume(
    model: Path, path: Path, output: Path, overwrite: bool, flags: VolumeFlags
) -> None:
    """Labels a volume or video with a trained model."""
    volume = flags.open(path)
    _check_output(output, path, overwrite, flags)
    _label(model, volume, output, overwrite, flags, preflight=True)


def _train(
    volume: "Volume",
    numbers: Sequence[int],
    count: int,
    masks: Sequence[Path] | None,
    config: Config,
    training: dict[str, Any],
    model: Path,
    records: Sequence[Path],
) -> None:
    from sp_graph_seg import Segmenter
    from sp_graph_seg.io import measure_range
    from sp_graph_seg.streaming import choose_slices, read_slice

    intensity_range = measure_range(volume)
    if count:
        numbers = choose_slices(volume, count, intensity_range)
    report("chosen", f"{_slices(volume)} {', '.join(map(str, numbers))} of {len(volume)}")
    images = [read_slice(volume, number) for number in numbers]
    read = [read_map(mask, Path(volume.path), images[0]) != 0 for mask in masks or []]
    if read and len(read) != len(images):
        raise InputError(
            f"--mask: {len(read)} for {len(images)} slices to train on; give one for each."
        )
    segmenter = Segmenter(config).fit(
        images, masks=read or None, intensity_range=intensity_range, progress=True
    )
    write_model(segmenter, model, records, notes=training)


def _label(
    model: Path,
    volume: "Volume",
    output: Path,
    overwrite: bool,
    flags: VolumeFlags,
    preflight: bool,
) -> None:
    from sp_graph_seg.streaming import label_volume
    from sp_graph_seg.transforms.relabel import read_relabel

    relabel = None if flags.relabel is None else read_relabel(flags.relabel)
    overlay = flags.overlay
    if overlay is None and volume.frame_rate is not None:
        overlay = output.with_name(f"{output.stem}_overlay.mp4")

    def before_finish(job: "LabelJob") -> None:
        if overlay is not None:
            _write_overlay(overlay, volume, job)

    labelled = label_volume(
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
        before_finish=before_finish,
    )
    _report(labelled, volume, overlay)


def _report(labelled: "Labelled", volume: "Volume", overlay: Path | None) -> None:
    report("labels", f"{len(volume)} {_slices(volume)} in {labelled.path}")
    if overlay is not None:
        report("overlay", str(overlay))
    for number, reason in sorted(labelled.skipped.items()):
        report("skipped", f"slice {number} has the value {labelled.unlabelled}: {reason}")


def _slices(volume: "Volume") -> str:
    return "slices" if volume.frame_rate is None else "frames"


def _write_overlay(path: Path, volume: "Volume", job: "LabelJob") -> None:
    """The labels over the frames, read from the blocks that are done."""
    from sp_graph_seg.io.label_stores import write_overlay_video
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
                    yield overlay_labels(read_slice(volume, number), labels.astype(np.int64))

    write_overlay_video(path, frames(), volume.frame_rate or _FRAME_RATE, volume.frame_times)


def _check_output(output: Path, path: Path, overwrite: bool, flags: VolumeFlags) -> None:
    """Refuses, before anything is read, what would be refused after training."""
    from sp_graph_seg.io.label_stores import check_label_output

    check_label_output(output, [path], overwrite=overwrite, resume=flags.resume)
    if flags.overlay is not None and flags.overlay.suffix.lower() != ".mp4":
        raise InputError(f"--overlay {flags.overlay}: must end in .mp4; rename it.")


def _is_trained(model: Path, training: dict[str, Any], overwrite: bool) -> bool:
    """Whether the model of this very command is there, from a run that was interrupted."""
    if not model.exists():
        return False
    from sp_graph_seg.inference.model_file import read_notes

    try:
        if read_notes(model) == training:
            return True
    except InputError:
        if not overwrite:
            raise
    if not overwrite:
        raise InputError(
            f"{model}: is there, but trained otherwise; add --overwrite, choose another folder for "
            "--output, or use it with predict."
        )
    return False


def _parse_train_on(text: str | None, volume: "Volume") -> tuple[list[int], int]:
    """The numbers of the slices to train on, or how many to choose."""
    total = len(volume)
    if text is None:
        raise InputError(
            f"--train-on: say which of the {total} {_slices(volume)} to train on, such as 0,"
            f"{total // 2}, or auto:3 for those that represent the rest best."
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
            f"--train-on {text}: is not of the {total} {_slices(volume)}; give numbers from 0 to "
            f"{total - 1} such as 0,{total // 2}, or auto:3."
        ) from error
    return list(dict.fromkeys(n % total for n in numbers)), 0
