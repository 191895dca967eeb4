"""``sp-graph-seg predict``: labels images or a volume with a trained model."""

from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from sp_graph_seg.cli.app import PROGRAM, Folder, Images, Masks, Switch, app
from sp_graph_seg.cli.inputs import read_checked, read_mask
from sp_graph_seg.cli.interruptible import WORK, Inputs, describe
from sp_graph_seg.cli.outputs import (
    check_outputs,
    prediction_files,
    report_predictions,
    unlabelled_value,
    write_predictions,
)
from sp_graph_seg.cli.volume_flags import VolumeFlags, is_volume
from sp_graph_seg.cli.volumes import predict_volume
from sp_graph_seg.errors import InputError
from sp_graph_seg.io.staging import staged


@app.command(sort_key=2, usage=f"Usage: {PROGRAM} predict MODEL IMAGE... --output FOLDER [OPTIONS]")
def predict(
    model: Annotated[Path, Parameter(name="MODEL")],
    images: Images,
    /,
    *,
    output: Folder,
    mask: Masks = None,
    overwrite: Switch = False,
    volume: VolumeFlags = VolumeFlags(),  # noqa: B008, it is frozen
) -> None:
    """Label images, or a volume or video, with a model that train or segment made.

    For each image NAME this writes NAME_labels.png, one channel whose grey value is the label, and
    NAME_overlay.png to look at. A volume or video goes to one output: .zarr, .tif, .h5, .npy or a
    folder of PNGs. After an interruption, the same command continues.

    Args:
        model: Model file, ending in .safetensors.
        images: Images to label, with as many channels as the training images; or one volume or
            video.
        output: Folder for the results, made if it is missing; for a volume, the file or folder of
            its labels.
        mask: A mask of the same size for each image, 0 where there is no data; those pixels get no
            label.
        overwrite: Replace files that exist.
        volume: What is read of a volume, and how it is labelled.
    """
    if is_volume(images, output, volume):
        if mask:
            raise InputError("--mask: is for single images, not for a volume; leave it out.")
        predict_volume(model, images[0], output, overwrite, volume)
        return
    if mask and len(mask) != len(images):
        raise InputError(f"--mask: got {len(mask)} for {len(images)} images; give one for each.")
    inputs, work = Inputs(model, *images, *(mask or [])), output / WORK
    results = prediction_files(images, output)
    check_outputs(results, inputs.files, overwrite or work.exists())
    from sp_graph_seg import Segmenter

    segmenter = Segmenter.load(model)

    def read(number: int) -> tuple[np.ndarray, np.ndarray | None]:
        path = images[number]
        array = read_checked(path, segmenter.in_channels_, segmenter.config_)
        return array, read_mask(mask[number], path, array) if mask else None

    for number in range(len(images)):  # check all before labelling the first, without keeping any
        read(number)
    with staged(work, results, describe("predict", inputs), overwrite) as stage:
        if not stage.is_complete:
            write_predictions(segmenter, images, read, stage.folder)
            inputs.check_unchanged()
    report_predictions(unlabelled_value(segmenter), images, output)
