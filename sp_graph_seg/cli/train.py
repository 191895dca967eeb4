"""The command ``sp-graph-seg train``, which trains a model on images or slices of volumes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sp_graph_seg.cli.app import PROGRAM, File, Images, Masks, Range, Switch, app
from sp_graph_seg.cli.dry_run import (
    read_middle,
    show_cost,
    show_images,
    show_masks,
    show_results,
    show_settings,
    show_training,
    show_volumes,
    training_seconds,
    try_training,
)
from sp_graph_seg.cli.flags import TrainingFlags
from sp_graph_seg.cli.inputs import check_range, kind_of_image, read_images, read_masks
from sp_graph_seg.cli.interruptible import Inputs, describe, train_in, work_folder
from sp_graph_seg.cli.outputs import check_outputs, check_suffix, report_model, training_results
from sp_graph_seg.cli.training_slices import (
    default_train_on,
    kind_of_volume,
    open_training_volumes,
    parse_train_on,
    read_training_slices,
)
from sp_graph_seg.cli.volume_flags import ReadFlags, are_volumes
from sp_graph_seg.config import Config
from sp_graph_seg.io.record import make_record
from sp_graph_seg.io.staging import finish_staged, staged


@app.command(sort_key=1, usage=f"Usage: {PROGRAM} train IMAGE... --output MODEL [OPTIONS]")
def train(
    images: Images,
    /,
    *,
    output: File,
    mask: Masks = None,
    train_on: str | None = None,
    intensity_range: Range = None,
    overwrite: Switch = False,
    dry_run: Switch = False,
    volume: ReadFlags = ReadFlags(),  # noqa: B008, it is frozen
    flags: TrainingFlags = TrainingFlags(),  # noqa: B008, it is frozen
) -> None:
    """Train a model on images, or on slices of volumes, without labels.

    The command writes the model NAME.safetensors. Beside the model, it writes the configuration,
    NAME.yaml, and the losses of every step, NAME.csv and NAME.png. After an interruption, repeat
    the command to continue.

    Args:
        images: Images to train on. They may have different sizes, but must have the same number of
            channels. Or give volumes and videos.
        output: File for the model, ending in .safetensors.
        mask: A mask of the same size for each image. Pixels where the mask is 0 have no data. auto
            makes a mask that leaves out the air around a sample.
        train_on: Slices of each volume to train on, such as 0,120,300. auto:3 chooses the three
            slices that represent all others best. The default is auto:2.
        intensity_range: The two intensities that the network sees as black and as white. By
            default, the range of the data without dead and hot pixels.
        overwrite: Replace files that exist.
        dry_run: Only say what would be read, trained and written, with the time and memory that
            this would take, as estimated from a short trial.
        volume: Which part of each volume is read.
        flags: The configuration.
    """
    check_range(intensity_range)
    check_suffix(output, ".safetensors")
    results = [output, *(output.with_suffix(suffix) for suffix in (".yaml", ".csv", ".png"))]
    work = work_folder(output)
    if not dry_run:
        finish_staged(work)
    if are_volumes(images, output, volume, train_on):
        _train_on_volumes(
            images, results, train_on, mask, intensity_range, overwrite, dry_run, volume, flags
        )
        if dry_run:
            return
        report_model(results[0], results[1:])
        return
    kind = kind_of_image(images[0])
    config = flags.resolve(kind)
    inputs = Inputs(*images, *(mask or []))
    check_outputs(results, inputs.files, overwrite or work.exists())
    arrays = read_images(images, config)
    masks = read_masks(mask, images, arrays)
    if dry_run:
        show_images(images, arrays)
        show_masks(mask)
        what, inside = f"{len(arrays)} images", masks[0] if masks else None
        _plan(what, len(arrays), arrays[0], inside, 0.0, results, flags, kind, config)
        return
    description = describe("train", inputs, config=config.to_dict(), range=intensity_range)
    made_from = [file for file in inputs.files if file.exists()]  # a mask may be "auto"
    record = make_record(made_from, seed=config.seed)
    with staged(work, results, description, overwrite) as stage:
        if not stage.is_complete:
            train_in(stage, stage.names, config, arrays, masks, intensity_range, None, record)
            inputs.check_unchanged()
    report_model(results[0], results[1:])


def _train_on_volumes(
    paths: Sequence[Path],
    results: Sequence[Path],
    train_on: str | None,
    masks: Sequence[Path] | None,
    intensity_range: tuple[float, float] | None,
    overwrite: bool,
    dry_run: bool,
    reading: ReadFlags,
    flags: TrainingFlags,
) -> None:
    """Trains on slices of volumes."""
    work = work_folder(results[0])
    volumes = open_training_volumes(paths, masks, reading)
    kind = kind_of_volume(volumes[0])
    config = flags.resolve(kind, for_volume=True)
    files = [*(v.source.file for v in volumes), *(mask for mask in masks or [] if mask.exists())]
    check_outputs(results, files, overwrite or work.exists())
    if dry_run:
        asked = [train_on or default_train_on(volume) for volume in volumes]
        chosen = [parse_train_on(*pair) for pair in zip(asked, volumes, strict=True)]
        count = sum(number or len(numbers) for numbers, number in chosen)
        show_volumes(volumes)
        show_masks(masks)
        seconds, image = read_middle(volumes[0])
        reading_all = seconds * sum(map(len, volumes))
        what = f"{count} {volumes[0].noun} ({', '.join(dict.fromkeys(asked))} of each volume)"
        _plan(what, count, image, None, reading_all, results, flags, kind, config)
        return
    notes = {
        "inputs": [volume.fingerprint() for volume in volumes],
        "train_on": train_on,
        "range": intensity_range and list(intensity_range),
        "config": config.to_dict(),
    }
    slices = read_training_slices(volumes, train_on, intensity_range, config)
    record = make_record(files, seed=config.seed, parts=[volume.part_read for volume in volumes])
    with staged(work, results, notes, overwrite) as stage:
        if not stage.is_complete:
            measured = slices.intensity_range
            train_in(stage, stage.names, config, slices.images, None, measured, notes, record)


def _plan(
    what: str,
    count: int,
    image: np.ndarray,
    mask: np.ndarray | None,
    reading: float,
    results: Sequence[Path],
    flags: TrainingFlags,
    kind: str,
    config: Config,
) -> None:
    """Prints what a training would do, for --dry-run."""
    show_settings(flags.preset, kind, config)
    show_training(what, config, count)
    show_results(training_results(results, config))
    cost = try_training(image, config, mask)
    seconds = {"reading": reading, "training": training_seconds(cost, config, count)}
    show_cost(seconds, cost.memory, "a short trial")
