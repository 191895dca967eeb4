"""The command ``sp-graph-seg segment``, which trains on images or a volume and labels them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sp_graph_seg.cli.app import PROGRAM, Folder, Images, Masks, Range, Switch, app
from sp_graph_seg.cli.dry_run import (
    show_cost,
    show_images,
    show_masks,
    show_results,
    show_settings,
    show_training,
    training_seconds,
    try_training,
)
from sp_graph_seg.cli.flags import TrainingFlags
from sp_graph_seg.cli.inputs import check_range, kind_of_image, read_images, read_masks
from sp_graph_seg.cli.interruptible import WORK, Inputs, describe, record_images, train_in
from sp_graph_seg.cli.memory import check_memory
from sp_graph_seg.cli.outputs import (
    MODEL_FILES,
    check_outputs,
    prediction_files,
    report_model,
    report_predictions,
    training_results,
    unlabelled_value,
    write_predictions,
)
from sp_graph_seg.cli.pages import PAGE, check_pages, report_page, write_image_page
from sp_graph_seg.cli.volume_flags import VolumeFlags, are_volumes
from sp_graph_seg.cli.volumes import Training, segment_volume
from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.io.record import RECORDS, make_record
from sp_graph_seg.io.staging import finish_staged, staged


@app.command(sort_key=0, usage=f"Usage: {PROGRAM} segment IMAGE... --output FOLDER [OPTIONS]")
def segment(
    images: Images,
    /,
    *,
    output: Folder,
    train_on: str | None = None,
    mask: Masks = None,
    intensity_range: Range = None,
    uncertainty: Switch = False,
    overwrite: Switch = False,
    dry_run: Switch = False,
    volume: VolumeFlags = VolumeFlags(),  # noqa: B008, it is frozen
    flags: TrainingFlags = TrainingFlags(),  # noqa: B008, it is frozen
) -> None:
    """Train on unlabelled images and label them, or train on a few slices and label the volume.

    For each image NAME, the command writes NAME_labels.png and NAME_overlay.png. The first has one
    channel, whose grey value is the label. The second shows the labels over the image. For all
    images together, it writes model.safetensors, config.yaml, history.csv and history.png. All
    these files appear together, at the end.

    For a volume or video NAME, the command writes NAME_labels.tif, or a file in another --format.
    Before the labels, it writes model.safetensors, config.yaml, history.csv and history.png. After
    an interruption, repeat the command to continue.

    Args:
        images: Images to train on and to label. They may have different sizes, but must have the
            same number of channels. Or give one volume or video.
        output: Folder for the results. It is made if it is missing. For a volume, you can also give
            the file of its labels, such as labels.zarr. Then the other results are written beside
            this file.
        train_on: Slices or frames of a volume to train on, such as 0,120,300. auto:3 chooses the
            three slices that represent all others best. The default is auto:2.
        mask: A mask of the same size for each image. Pixels where the mask is 0 have no data and
            get no label. For a volume, give one picture for all slices, or a volume. You can also
            give a picture for each slice to train on, which affects only the training. auto makes a
            mask that leaves out the air around a sample.
        intensity_range: The two intensities that the network sees as black and as white. By
            default, the range of the data without dead and hot pixels.
        uncertainty: Also write NAME_uncertainty, the uncertainty of the labels in 8 bits. Its
            values go from 0 (certain) to 254 (another label fits just as well). 255 marks pixels
            without a label.
        overwrite: Replace files that exist.
        dry_run: Only say what would be read, trained and written, with the time and memory that
            this would take, as estimated from a short trial.
        volume: Which part of a volume is read, and how it is labelled.
        flags: The configuration.
    """
    check_range(intensity_range)
    if are_volumes(images, output, volume, train_on):
        if len(images) > 1:
            raise InputError(
                f"{images[1]}: is a second volume, but segment labels only one; train on all "
                "volumes with train and label them with predict, or put slices into one folder."
            )
        training = Training(train_on, mask, intensity_range, flags)
        segment_volume(images[0], output, training, uncertainty, overwrite, dry_run, volume)
        return
    kind = kind_of_image(images[0])
    config = flags.resolve(kind)
    model = [output / name for name in MODEL_FILES]
    results = [*model, *prediction_files(images, output, uncertainty)]
    inputs, work = Inputs(*images, *(mask or [])), output / WORK
    if not dry_run:
        finish_staged(work)
    may_replace = overwrite or work.exists()
    check_outputs(results, inputs.files, may_replace)
    check_pages([output / PAGE], inputs.files, may_replace)
    arrays = read_images(images, config)
    masks = read_masks(mask, images, arrays)
    if dry_run:
        show_images(images, arrays)
        show_masks(mask)
        show_settings(flags.preset, kind, config)
        show_training(f"{len(arrays)} images", config, len(arrays))
        labelled = prediction_files(images, output, uncertainty)
        show_results([*training_results(model, config), *labelled, output / PAGE, output / RECORDS])
        _show_cost(arrays, masks, config)
        return
    check_memory(images, [array.shape[1:] for array in arrays], config)
    description = describe(
        "segment", inputs, config=config.to_dict(), range=intensity_range, uncertainty=uncertainty
    )
    with staged(work, results, description, overwrite) as stage:
        if not stage.is_complete:
            made_from = [file for file in inputs.files if file.exists()]  # a mask may be "auto"
            record = make_record(made_from, seed=config.seed)
            segmenter = train_in(
                stage, MODEL_FILES, config, arrays, masks, intensity_range, None, record
            )

            def read(number: int) -> tuple[np.ndarray, np.ndarray | None]:
                return arrays[number], masks[number] if masks else None

            write_predictions(segmenter, images, read, stage.folder, uncertainty)
            inputs.check_unchanged()
            labels = prediction_files(images, stage.folder)[: len(images)]
            pairs = dict(zip(images, labels, strict=True))
            made = stage.file(model[0].name)
            write_image_page(output / PAGE, made, inputs.files, pairs, model[0])
            record_images(stage, output / PAGE, inputs, made, seed=config.seed)
    _report(model, images, output, uncertainty)


def _show_cost(
    arrays: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None, config: Config
) -> None:
    """Prints the time and memory of training on images and labelling them, for --dry-run."""
    cost = try_training(arrays[0], config, masks[0] if masks else None)
    seconds = {
        "training": training_seconds(cost, config, len(arrays)),
        "labelling": cost.label * len(arrays),
    }
    show_cost(seconds, cost.memory, "a short trial")


def _report(model: Sequence[Path], images: Sequence[Path], output: Path, uncertainty: bool) -> None:
    """Prints which files were written."""
    from sp_graph_seg import Segmenter

    unlabelled = unlabelled_value(Segmenter.load(model[0]))
    report_predictions(unlabelled, images, output, uncertainty)
    report_model(model[0], model[1:])
    report_page(output / PAGE)
