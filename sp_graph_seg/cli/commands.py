"""Segment, train, predict and graph; each checks all inputs and outputs before the work begins."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import App, Parameter

from sp_graph_seg._version import __version__
from sp_graph_seg.cli.flags import GraphFlags, TrainingFlags
from sp_graph_seg.cli.inputs import (
    check_range,
    read_checked,
    read_images,
    read_map,
    read_mask,
    read_masks,
)
from sp_graph_seg.cli.outputs import (
    MODEL_AND_RECORDS,
    check_outputs,
    check_suffix,
    join_names,
    prediction_files,
    report,
    report_predictions,
    write_model,
    write_predictions,
)
from sp_graph_seg.cli.volume_flags import VolumeFlags, is_volume
from sp_graph_seg.cli.volumes import predict_volume, segment_volume
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import atomic_write, check_writable, read_image

PROGRAM = "sp-graph-seg"

app = App(
    name=PROGRAM,
    version=__version__,
    help="Unsupervised few-shot image segmentation on superpixel graphs.",
    help_format="markdown",
    print_error=False,
    exit_on_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)

Images = Annotated[list[Path], Parameter(name="IMAGE")]
Masks = Annotated[
    list[Path] | None, Parameter(metavar="FILE...", consume_multiple=True, negative=())
]
Range = Annotated[
    tuple[float, float] | None, Parameter(name="--range", metavar="LOW HIGH", negative=())
]
Folder = Annotated[Path, Parameter(alias="-o", metavar="FOLDER")]
File = Annotated[Path, Parameter(alias="-o", metavar="FILE")]
Switch = Annotated[bool, Parameter(negative=())]


@app.command(sort_key=0, usage=f"Usage: {PROGRAM} segment IMAGE... --output FOLDER [OPTIONS]")
def segment(
    images: Images,
    /,
    *,
    output: Folder,
    train_on: str | None = None,
    mask: Masks = None,
    intensity_range: Range = None,
    overwrite: Switch = False,
    volume: VolumeFlags = VolumeFlags(),  # noqa: B008, it is frozen
    flags: TrainingFlags = TrainingFlags(),  # noqa: B008, it is frozen
) -> None:
    """Train on images without labels and label them, or on a few slices and label a volume.

    For each image NAME this writes NAME_labels.png, one channel whose grey value is the label, and
    NAME_overlay.png to look at; and once model.safetensors, config.yaml, history.csv and
    history.png.

    A volume or video goes to one output: .zarr, .tif, .h5, .npy or a folder of PNGs, with the model
    beside it. Interrupted, the same command does the rest.

    Args:
        images: Images to train on and to label; any sizes, the same channels. Or one volume or
            video.
        output: Folder for the results, made if it is missing; the labels of a volume.
        train_on: Slices or frames of a volume to train on, such as 0,120,300, or auto:3 for those
            that represent the rest best.
        mask: For each image, or slice to train on, one of its size, 0 where there is no data; in
            an image those pixels get no label.
        intensity_range: Intensities that become black and white to the network; by default the
            range of the data without dead and hot pixels.
        overwrite: Replace files that exist.
        volume: What is read of a volume, and how it is labelled.
        flags: The configuration.
    """
    check_range(intensity_range)
    if is_volume(images, output, volume, train_on):
        config = flags.resolve(for_volume=True)
        segment_volume(
            images[0], output, train_on, mask, intensity_range, overwrite, config, volume
        )
        return
    config = flags.resolve()
    model, *records = (output / name for name in MODEL_AND_RECORDS)
    inputs = [*images, *(mask or [])]
    check_outputs([*prediction_files(images, output), model, *records], inputs, overwrite)
    arrays = read_images(images, config)
    masks = read_masks(mask, images, arrays)
    check_writable(output)
    from sp_graph_seg import Segmenter

    segmenter = Segmenter(config).fit(
        arrays, masks=masks, intensity_range=intensity_range, progress=True
    )
    write_model(segmenter, model, records)
    pairs = ((array, masks[number] if masks else None) for number, array in enumerate(arrays))
    num_labels = write_predictions(segmenter, images, pairs, output)
    report_predictions(num_labels, images, output)
    report("model", f"{model}, with {join_names(file.name for file in records)}")


@app.command(sort_key=1, usage=f"Usage: {PROGRAM} train IMAGE... --output MODEL [OPTIONS]")
def train(
    images: Images,
    /,
    *,
    output: File,
    mask: Masks = None,
    intensity_range: Range = None,
    overwrite: Switch = False,
    flags: TrainingFlags = TrainingFlags(),  # noqa: B008, it is frozen
) -> None:
    """Train a model on images without labels.

    Beside the model NAME.safetensors this writes the configuration NAME.yaml and the losses of
    every step, NAME.csv and NAME.png.

    Args:
        images: Images to train on; any sizes, the same channels.
        output: File for the model, ending in .safetensors.
        mask: For each image one of its size, 0 where there is no data.
        intensity_range: Intensities that become black and white to the network; by default the
            range of the data without dead and hot pixels.
        overwrite: Replace files that exist.
        flags: The configuration.
    """
    config = flags.resolve()
    check_range(intensity_range)
    check_suffix(output, ".safetensors")
    records = [output.with_suffix(suffix) for suffix in (".yaml", ".csv", ".png")]
    check_outputs([output, *records], [*images, *(mask or [])], overwrite)
    arrays = read_images(images, config)
    masks = read_masks(mask, images, arrays)
    check_writable(output.parent)
    from sp_graph_seg import Segmenter

    segmenter = Segmenter(config).fit(
        arrays, masks=masks, intensity_range=intensity_range, progress=True
    )
    write_model(segmenter, output, records)
    report("model", f"{output}, with {join_names(file.name for file in records)}")


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
    """Label images, or a volume or video, with a model of train or segment.

    For each image NAME this writes NAME_labels.png, one channel whose grey value is the label, and
    NAME_overlay.png to look at. A volume or video goes to one output: .zarr, .tif, .h5, .npy or a
    folder of PNGs. Interrupted, the same command does the rest.

    Args:
        model: Model file, ending in .safetensors.
        images: Images to label, with the channels of those that the model was trained on. Or one
            volume or video.
        output: Folder for the results, made if it is missing; the labels of a volume.
        mask: For each image one of its size, 0 where there is no data; those pixels get no label.
        overwrite: Replace files that exist.
        volume: What is read of a volume, and how it is labelled.
    """
    if is_volume(images, output, volume):
        if mask:
            raise InputError("--mask: is for single images, not for a volume; leave it out.")
        predict_volume(model, images[0], output, overwrite, volume)
        return
    if mask and len(mask) != len(images):
        raise InputError(f"--mask: {len(mask)} for {len(images)} images; give one for each.")
    inputs = [model, *images, *(mask or [])]
    check_outputs(prediction_files(images, output), inputs, overwrite)
    from sp_graph_seg import Segmenter

    segmenter = Segmenter.load(model)

    def read() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for number, path in enumerate(images):
            array = read_checked(path, segmenter.in_channels_, segmenter.config_)
            yield array, read_mask(mask[number], path, array) if mask else None

    for _ in read():  # all of them before the first is labelled, and none of them kept
        pass
    check_writable(output)
    num_labels = write_predictions(segmenter, images, read(), output)
    report_predictions(num_labels, images, output)


@app.command(sort_key=3, usage=f"Usage: {PROGRAM} graph IMAGE --output GRAPH.pt [OPTIONS]")
def graph(
    image: Annotated[Path, Parameter(name="IMAGE")],
    /,
    *,
    output: File,
    labels: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    intensity_range: Range = None,
    overwrite: Switch = False,
    flags: GraphFlags = GraphFlags(),  # noqa: B008, it is frozen
) -> None:
    """Make the region adjacency graph of an image.

    This writes a dictionary of tensors, which Data.from_dict(torch.load("GRAPH.pt")) makes a graph
    of PyTorch Geometric, and a picture of it, GRAPH.png. Colours are between 0 and 1, the ends of
    the range of the image without dead and hot pixels, as in training.

    Args:
        image: Image to make the graph of.
        output: File for the graph, ending in .pt.
        labels: Label map of the size of the image to use instead of superpixels: PNG, TIFF or
            .npy. Every connected region becomes a node, but negative ids and NaN in the image none.
        intensity_range: Intensities that become 0 and 1 instead of those measured.
        overwrite: Replace files that exist.
        flags: The configuration.
    """
    config = flags.resolve()
    check_range(intensity_range)
    check_suffix(output, ".pt")
    picture = output.with_suffix(".png")
    check_outputs([output, picture], [image, *([labels] if labels else [])], overwrite)
    array = read_image(image)
    regions = None if labels is None else read_map(labels, image, array)
    check_writable(output.parent)
    import torch

    from sp_graph_seg import ToRAG
    from sp_graph_seg.plot import draw_graph, save_figure
    from sp_graph_seg.transforms.prepare import (
        find_data,
        measure_intensity_range,
        scale_intensities,
    )

    inside = find_data(array, None, regions)
    to_rag = ToRAG(
        config.n_segments,
        config.compactness,
        config.tau_con,
        regions,
        method=config.superpixels,
        mask=inside,
    )
    low, high = intensity_range or measure_intensity_range([array], [inside])
    data = to_rag(scale_intensities(array, inside, low, high).values)
    with atomic_write(output) as temporary:
        torch.save(data.to_dict(), temporary)
    save_figure(picture, draw_graph(array, data))
    report("graph", f"{data.num_nodes} nodes and {data.num_edges} directed edges in {output}")
    report("picture", str(picture))
