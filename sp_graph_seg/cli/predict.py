"""``sp-graph-seg predict``: labels images or a volume with a trained model."""

from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from sp_graph_seg.cli.app import PROGRAM, Folder, Images, Masks, Switch, app
from sp_graph_seg.cli.inputs import match_masks, read_checked, read_mask
from sp_graph_seg.cli.interruptible import WORK, Inputs, describe
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
    volume: VolumeFlags = VolumeFlags(),  # noqa: B008, it is frozen
) -> None:
    """Label images, or volumes and videos, with a model that train or segment made.

    For each image NAME this writes NAME_labels.png, one channel whose grey value is the label, and
    NAME_overlay.png to look at. For each volume or video NAME it writes NAME_labels.tif, or another
    --format. After an interruption, repeat the command to continue.

    Args:
        model: Model file, ending in .safetensors.
        images: Images to label, with as many channels as the training images; or volumes and
            videos.
        output: Folder for the results, made if it is missing; for one volume, also the file of its
            labels, such as labels.zarr.
        mask: A mask of the same size for each image, 0 where there is no data; those pixels get no
            label. For a volume, give one picture for all slices, or a volume. auto leaves out the
            air around a sample.
        uncertainty: Also write the uncertainty of the labels, NAME_uncertainty, in 8 bits: from 0
            (certain) to 254 (another label fits as well); 255 where there is no label.
        overwrite: Replace files that exist.
        volume: Which part of a volume is read, and how it is labelled.
    """
    if are_volumes(images, output, volume):
        predict_volumes(model, images, output, mask, uncertainty, overwrite, volume)
        return
    mask = match_masks(mask, images) if mask else None
    inputs, work = Inputs(model, *images, *(mask or [])), output / WORK
    results = prediction_files(images, output, uncertainty)
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

    for number in range(len(images)):  # check all before labelling the first, without keeping any
        read(number)
    with staged(
        work, results, describe("predict", inputs, uncertainty=uncertainty), overwrite
    ) as stage:
        if not stage.is_complete:
            write_predictions(segmenter, images, read, stage.folder, uncertainty)
            inputs.check_unchanged()
            labels = prediction_files(images, stage.folder)[: len(images)]
            pairs = dict(zip(images, labels, strict=True))
            write_image_page(output / PAGE, model, inputs.files, pairs, model)
    report_predictions(unlabelled_value(segmenter), images, output, uncertainty)
    report_page(output / PAGE)
