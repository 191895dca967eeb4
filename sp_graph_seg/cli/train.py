"""``sp-graph-seg train``: trains a model on images."""

from sp_graph_seg.cli.app import PROGRAM, File, Images, Masks, Range, Switch, app
from sp_graph_seg.cli.flags import TrainingFlags
from sp_graph_seg.cli.inputs import check_range, kind_of_image, read_images, read_masks
from sp_graph_seg.cli.interruptible import Inputs, describe, train_in, work_folder
from sp_graph_seg.cli.outputs import check_outputs, check_suffix, report_model
from sp_graph_seg.io.staging import finish_staged, staged


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
    every step, NAME.csv and NAME.png. After an interruption, the same command continues.

    Args:
        images: Images to train on, of any sizes but with the same number of channels.
        output: File for the model, ending in .safetensors.
        mask: A mask of the same size for each image, 0 where there is no data. auto leaves out the
            air around a sample.
        intensity_range: Intensities that become black and white to the network; by default the
            range of the data without dead and hot pixels.
        overwrite: Replace files that exist.
        flags: The configuration.
    """
    check_range(intensity_range)
    config = flags.resolve(kind_of_image(images[0]))
    check_suffix(output, ".safetensors")
    results = [output, *(output.with_suffix(suffix) for suffix in (".yaml", ".csv", ".png"))]
    inputs, work = Inputs(*images, *(mask or [])), work_folder(output)
    finish_staged(work)
    check_outputs(results, inputs.files, overwrite or work.exists())
    arrays = read_images(images, config)
    masks = read_masks(mask, images, arrays)
    description = describe("train", inputs, config=config.to_dict(), range=intensity_range)
    with staged(work, results, description, overwrite) as stage:
        if not stage.is_complete:
            train_in(stage, stage.names, config, arrays, masks, intensity_range)
            inputs.check_unchanged()
    report_model(results[0], results[1:])
