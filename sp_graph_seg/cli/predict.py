"""The command ``sp-graph-seg predict``, which labels images or a volume with a trained model."""

from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from sp_graph_seg.cli.app import PROGRAM, Folder, Images, Masks, Switch, app
from sp_graph_seg.cli.dry_run import show_cost, show_images, show_masks, show_results, try_labelling
from sp_graph_seg.cli.inputs import match_masks, read_checked, read_mask
from sp_graph_seg.cli.interruptible import WORK, Inputs, describe, record_images
from sp_graph_seg.cli.memory import check_memory
from sp_graph_seg.cli.outputs import (
    check_outputs,
    prediction_files,
    report_predictions,
    unlabelled_value,
    write_predictions,
)
from sp_graph_seg.cli.pages import PAGE, check_pages, report_page, write_image_page
from sp_graph_seg.cli.volume_flags import VolumeFlags, are_volumes
from sp_graph_seg.cli.volumes import predict_volumes
from sp_graph_seg.io.record import RECORDS
from sp_graph_seg.io.staging import finish_staged, staged


@app.command(sort_key=2, usage=f"Usage: {PROGRAM} predict MODEL IMAGE... --output FOLDER [OPTIONS]")
def predict(
    model: Annotated[Path, Parameter(name="MODEL")],
    images: Images,
    /,
    *,
    output: Folder,
    mask: Masks = None,
    uncertainty: Switch = False,
    overwrite: Switch = False,
    dry_run: Switch = False,
    volume: VolumeFlags = VolumeFlags(),  # noqa: B008, it is frozen
) -> None:
    """Label images, volumes or videos with a model that train or segment made.

    For each image NAME, the command writes NAME_labels.png and NAME_overlay.png. The first has one
    channel, whose grey value is the label. The second shows the labels over the image. For each
    volume or video NAME, it writes NAME_labels.tif, or a file in another --format. After an
    interruption, repeat the command to continue.

    Args:
        model: Model file, ending in .safetensors.
        images: Images to label, or volumes and videos. They must have as many channels as the
            training images.
        output: Folder for the results. It is made if it is missing. For a single volume, you can
            also give the file of its labels, such as labels.zarr.
        mask: A mask of the same size for each image. Pixels where the mask is 0 have no data and
            get no label. For a volume, give one picture for all slices, or a volume. auto makes a
            mask that leaves out the air around a sample.
        uncertainty: Also write NAME_uncertainty, the uncertainty of the labels in 8 bits. Its
            values go from 0 (certain) to 254 (another label fits just as well). 255 marks pixels
            without a label.
        overwrite: Replace files that exist.
        dry_run: Only say what would be read and written, with the time and memory that this
            would take, as estimated from a short trial.
        volume: Which part of a volume is read, and how it is labelled.
    """
    if are_volumes(images, output, volume):
        predict_volumes(model, images, output, mask, uncertainty, overwrite, dry_run, volume)
        return
    mask = match_masks(mask, images) if mask else None
    inputs, work = Inputs(model, *images, *(mask or [])), output / WORK
    results = prediction_files(images, output, uncertainty)
    if not dry_run:
        finish_staged(work)
    may_replace = overwrite or work.exists()
    check_outputs(results, inputs.files, may_replace)
    check_pages([output / PAGE], inputs.files, may_replace)
    from sp_graph_seg import Segmenter

    segmenter = Segmenter.load(model)

    def read(number: int) -> tuple[np.ndarray, np.ndarray | None]:
        path = images[number]
        array = read_checked(path, segmenter.in_channels_, segmenter.config_)
        return array, read_mask(mask[number], path, array) if mask else None

    # Checks all before labelling the first, without keeping any.
    sizes = [read(number)[0].shape[1:] for number in range(len(images))]
    if dry_run:
        show_images(images, [read(number)[0] for number in range(len(images))])
        show_masks(mask)
        show_results([*results, output / PAGE, output / RECORDS])
        array, inside = read(0)
        cost = try_labelling(array, segmenter, inside)
        show_cost({"labelling": cost.label * len(images)}, cost.memory, "a short trial")
        return
    check_memory(images, sizes, segmenter.config_)
    with staged(
        work, results, describe("predict", inputs, uncertainty=uncertainty), overwrite
    ) as stage:
        if not stage.is_complete:
            write_predictions(segmenter, images, read, stage.folder, uncertainty)
            inputs.check_unchanged()
            labels = prediction_files(images, stage.folder)[: len(images)]
            pairs = dict(zip(images, labels, strict=True))
            write_image_page(output / PAGE, model, inputs.files, pairs, model)
            record_images(stage, output / PAGE, inputs, model)
    report_predictions(unlabelled_value(segmenter), images, output, uncertainty)
    report_page(output / PAGE)
