"""Says what the commands segment and predict would do with volumes, for the flag --dry-run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sp_graph_seg.cli.dry_run import (
    read_middle,
    reading_seconds,
    show_cost,
    show_masks,
    show_results,
    show_settings,
    show_training,
    show_volumes,
    training_seconds,
    try_labelling,
    try_training,
)
from sp_graph_seg.config import Config

if TYPE_CHECKING:
    from sp_graph_seg.volumes import Volume

_HOW = "a short trial on the middle slice"


def plan_segmentation(
    volume: "Volume",
    preset: str,
    kind: str,
    config: Config,
    what: str,
    count: int,
    files: Sequence[Path],
    labels: Sequence[tuple[Path, int]],
    masks: Sequence[Path] | None,
    skip_bad: bool,
) -> None:
    """Prints what the command ``segment`` would do with a volume.

    Args:
        volume: The volume.
        preset: The preset that the user gave.
        kind: The preset that ``auto`` stands for.
        config: The configuration.
        what: The slices to train on, in words.
        count: The number of slices to train on.
        files: The files that would be written besides the labels.
        labels: The files of labels, and the bytes that they take at most.
        masks: The masks that the user gave.
        skip_bad: Whether slices that cannot be used are skipped.
    """
    show_volumes([volume])
    show_masks(masks)
    show_settings(preset, kind, config)
    show_training(what, config, count)
    show_results(files, labels)
    read, image = read_middle(volume, skip_bad)
    cost = try_training(image, config)._replace(read=read)
    seconds = {
        "reading": reading_seconds(cost, len(volume)),
        "training": training_seconds(cost, config, count),
        "labelling": cost.label * len(volume),
    }
    show_cost(seconds, cost.memory + (count - 1) * image.nbytes, _HOW)


def plan_labelling(
    model: Path,
    volumes: "Sequence[Volume]",
    files: Sequence[Path],
    labels: Sequence[tuple[Path, int]],
    masks: Sequence[Path] | None,
    skip_bad: bool,
) -> None:
    """Prints what the command ``predict`` would do with volumes."""
    from sp_graph_seg import Segmenter
    from sp_graph_seg.transforms.prepare import check_image

    segmenter = Segmenter.load(model)
    show_volumes(volumes)
    show_masks(masks)
    show_results(files, labels)
    reading = labelling = 0.0
    memory = 0
    for volume in volumes:
        read, image = read_middle(volume, skip_bad)
        check_image(image, volume.path, segmenter.in_channels_, segmenter.config_)
        cost = try_labelling(image, segmenter)._replace(read=read)
        reading += reading_seconds(cost, len(volume))
        labelling += cost.label * len(volume)
        memory = max(memory, cost.memory)
    show_cost({"reading": reading, "labelling": labelling}, memory, _HOW)
