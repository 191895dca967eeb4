"""Names, checks, writes and reports the output files of the commands."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sp_graph_seg.config import config_to_yaml
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import refuse_existing, write_image, write_labels, write_text

if TYPE_CHECKING:
    from sp_graph_seg import Segmenter

#: The files that ``segment`` writes once, and for each image.
MODEL_FILES = ("model.safetensors", "config.yaml", "history.csv", "history.png")
ENDINGS = ("_labels.png", "_overlay.png")
UNCERTAINTY_ENDING = "_uncertainty.png"


def prediction_files(images: Iterable[Path], output: Path, uncertainty: bool = False) -> list[Path]:
    """Returns the label files of all images, then their overlays and maps of uncertainty."""
    endings = (*ENDINGS, UNCERTAINTY_ENDING) if uncertainty else ENDINGS
    return [output / f"{image.stem}{end}" for end in endings for image in images]


def check_suffix(output: Path, suffix: str) -> None:
    """Refuses a name without the suffix of its format."""
    if output.suffix != suffix:
        raise InputError(f"--output {output}: does not end in {suffix}; rename it.")


def check_outputs(outputs: Sequence[Path], inputs: Iterable[Path], overwrite: bool) -> None:
    """Refuses to write a file twice, over an input or, without ``overwrite``, over any file."""
    twice = [path for path, count in Counter(outputs).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: would be written for two images; rename one of them.")
    read = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in read:
            raise InputError(f"{path}: is an input and would be replaced; choose another --output.")
    refuse_existing(outputs, overwrite)


def write_model(
    segmenter: "Segmenter",
    model: Path,
    training_files: Sequence[Path],
    notes: Mapping[str, Any] | None = None,
    record: Mapping[str, Any] | None = None,
) -> str:
    """Writes a trained model, and its configuration, history and picture of the history.

    If the training had no steps, there is no history.

    Returns:
        What was written, in words.
    """
    config_file, history_file, picture = training_files
    history = segmenter.history_
    assert history is not None, "a model that was just trained has a history"
    write_text(config_file, config_to_yaml(segmenter.config_))
    written = [config_file]
    if len(history):
        from sp_graph_seg.plot import plot_history, save_figure

        write_text(history_file, history.to_csv())
        save_figure(picture, plot_history(history))
        written = [config_file, history_file, picture]
    segmenter.save(model, notes, record)  # last: where it lies, all of them do
    return f"{model}, with {join_names(file.name for file in written)}"


def write_predictions(
    segmenter: "Segmenter",
    images: Sequence[Path],
    arrays: Iterable[tuple[np.ndarray, np.ndarray | None]],
    output: Path,
    uncertainty: bool = False,
) -> int:
    """Writes the labels and overlay of each image, and returns the total number of labels.

    Pixels without data get the largest value of the type of the labels, as in a volume.

    Args:
        segmenter: A trained model.
        images: Files of the images, for the names.
        arrays: The image and the mask of each.
        output: Folder to write to.
        uncertainty: Also write the uncertainty of each label.
    """
    from sp_graph_seg.label_jobs.manifest import label_dtype
    from sp_graph_seg.plot import overlay_labels
    from sp_graph_seg.segmenter.uncertainty import uncertainty_map

    unlabelled = np.iinfo(label_dtype(segmenter.num_labels_)).max
    colors = segmenter.colors_
    found: set[int] = set()
    for path, (array, mask) in zip(images, arrays, strict=True):
        labels_file, overlay_file, *map_file = prediction_files([path], output, uncertainty)
        if map_file:
            labels, margins = segmenter.predict_with_margin(array, mask=mask)
            write_labels(map_file[0], uncertainty_map(labels, margins))
        else:
            labels = segmenter.predict(array, mask=mask)
        write_labels(labels_file, np.where(labels < 0, unlabelled, labels))
        write_image(overlay_file, overlay_labels(array, labels, colors=colors).transpose(2, 0, 1))
        found.update(np.unique(labels[labels >= 0]).tolist())
    return len(found)


def report_predictions(
    num_labels: int, images: Sequence[Path], output: Path, uncertainty: bool = False
) -> None:
    """Prints how many labels were found and where the files are."""
    files = list(map(str, prediction_files(images, output, uncertainty)))
    count = len(images)
    noun = "label" if num_labels == 1 else "labels"
    report("labels", f"{num_labels} {noun} in {join_names(files[:count])}")
    report("overlay", join_names(files[count : 2 * count]))
    if uncertainty:
        report("unsure", join_names(files[2 * count :]))


def report(what: str, where: str) -> None:
    """Prints in one line what was made and where."""
    print(f"{what + ':':9}{where}")


def join_names(names: Iterable[str]) -> str:
    """Formats names as ``a, b and c`` or, if more than three, as ``a to z (26 files)``."""
    *first, last = names
    if len(first) > 2:
        return f"{first[0]} to {last} ({len(first) + 1} files)"
    return f"{', '.join(first)} and {last}" if first else last
