"""Functions that name, check, write and report the output files of the commands."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sp_graph_seg.cli.memory import enough_memory
from sp_graph_seg.cli.messages import report
from sp_graph_seg.config import Config, config_to_yaml
from sp_graph_seg.errors import InputError, OutputError, ReportWarning
from sp_graph_seg.io import read_labels, refuse_existing, write_image, write_labels, write_text

if TYPE_CHECKING:
    from sp_graph_seg import Segmenter

#: The files that ``segment`` writes once, and for each image.
MODEL_FILES = ("model.safetensors", "config.yaml", "history.csv", "history.png")
ENDINGS = ("_labels.png", "_overlay.png")
UNCERTAINTY_ENDING = "_uncertainty.png"


def training_results(files: Sequence[Path], config: Config) -> list[Path]:
    """Returns the files that a training writes, of a model and its training files.

    A training without a network has no steps, and so no history.
    """
    model, config_file, *history = files
    return [model, config_file, *([] if config.label_by == "regions" else history)]


def prediction_files(images: Iterable[Path], output: Path, uncertainty: bool = False) -> list[Path]:
    """Returns the paths of all label files, then of all overlays, then of all uncertainty maps."""
    endings = (*ENDINGS, UNCERTAINTY_ENDING) if uncertainty else ENDINGS
    return [output / f"{image.stem}{end}" for end in endings for image in images]


def check_suffix(output: Path, suffix: str) -> None:
    """Raises an error if the name of an output does not end in the suffix of its format."""
    if output.suffix != suffix:
        raise InputError(f"--output {output}: does not end in {suffix}; rename it.")


def check_outputs(outputs: Sequence[Path], inputs: Iterable[Path], overwrite: bool) -> None:
    """Raises an error if two outputs have the same path, or an output is an input or exists.

    If ``overwrite`` is true, outputs may exist already.
    """
    twice = [path for path, count in Counter(outputs).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: would hold results of two images; rename one image.")
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
) -> None:
    """Writes a trained model, then its history, a picture of the history, and its configuration.

    If the training had no steps, no history is written. If a file other than the model cannot be
    written, the function only warns, because the model itself is complete.
    """
    segmenter.save(model, notes, record)
    config_file, history_file, picture = training_files
    history = segmenter.history_
    assert history is not None, "a model that was just trained has a history"
    if len(history):
        from sp_graph_seg.plot import plot_history, save_figure

        with _only_a_warning():
            write_text(history_file, history.to_csv())
        with _only_a_warning():
            save_figure(picture, plot_history(history))
    with _only_a_warning():
        write_text(config_file, config_to_yaml(segmenter.config_))  # last: all is done


@contextmanager
def _only_a_warning() -> Iterator[None]:
    """Turns an error in writing a file beside a complete model into a warning."""
    try:
        yield
    except OutputError as error:
        warnings.warn(f"{error} The model is written.", ReportWarning, stacklevel=4)


def report_model(model: Path, training_files: Sequence[Path]) -> None:
    """Prints the path of a model, its training files, and how stable its labels are."""
    from sp_graph_seg import Segmenter
    from sp_graph_seg.prototypes.stability import describe_stability

    written = [file.name for file in training_files if file.exists()]
    report("model", f"{model}, with {join_names(written)}" if written else str(model))
    report("stable", describe_stability(Segmenter.load(model).label_stability_))


def write_predictions(
    segmenter: "Segmenter",
    images: Sequence[Path],
    read: Callable[[int], tuple[np.ndarray, np.ndarray | None]],
    output: Path,
    uncertainty: bool = False,
) -> None:
    """Writes the labels and overlay of each image that has no labels yet.

    Pixels without data get the largest value of the integer type of the file, as in the labels of a
    volume.

    Args:
        segmenter: A trained model.
        images: Files of the images. Only their names are used.
        read: Function that returns the image and the mask for an index into ``images``.
        output: Folder to write to.
        uncertainty: Also write the uncertainty of each label.
    """
    from sp_graph_seg.plot import overlay_labels
    from sp_graph_seg.plot.legend import LegendCounter
    from sp_graph_seg.plot.strip import with_legend
    from sp_graph_seg.segmenter.uncertainty import uncertainty_map

    unlabelled = unlabelled_value(segmenter)
    colors = segmenter.colors_
    for number, path in enumerate(images):
        labels_file, overlay_file, *map_file = prediction_files([path], output, uncertainty)
        if labels_file.exists():
            continue  # done before an interruption
        array, mask = read(number)
        _, height, width = array.shape
        with enough_memory(path, height, width, segmenter.config_):
            if map_file:
                labels, margins = segmenter.predict_with_margin(array, mask=mask)
                write_labels(map_file[0], uncertainty_map(labels, margins))
            else:
                labels = segmenter.predict(array, mask=mask)
            legend = LegendCounter()
            legend.add(labels)
            overlay = overlay_labels(array, labels, colors=colors)
        overlay = with_legend(overlay, legend.rows(segmenter.names_, colors))
        write_image(overlay_file, overlay.transpose(2, 0, 1))
        write_labels(labels_file, np.where(labels < 0, unlabelled, labels))  # last: it is done


def unlabelled_value(segmenter: "Segmenter") -> int:
    """Returns the value that pixels without a label have in files: 255 or 65535."""
    from sp_graph_seg.label_jobs.manifest import label_dtype

    return int(np.iinfo(label_dtype(segmenter.num_labels_)).max)


def report_predictions(
    unlabelled: int, images: Sequence[Path], output: Path, uncertainty: bool = False
) -> None:
    """Prints how many labels the files hold, and where the files are."""
    paths = prediction_files(images, output, uncertainty)
    files, count = list(map(str, paths)), len(images)
    found = [np.unique(read_labels(path)).tolist() for path in paths[:count]]
    num_labels = len(set().union(*found) - {unlabelled})
    noun = "label" if num_labels == 1 else "labels"
    report("labels", f"{num_labels} {noun} in {join_names(files[:count])}")
    report("overlay", join_names(files[count : 2 * count]))
    if uncertainty:
        report("unsure", join_names(files[2 * count :]))


def join_names(names: Iterable[str]) -> str:
    """Formats up to three names as ``a, b and c``, and more names as ``a to z (26 files)``."""
    *first, last = names
    if len(first) > 2:
        return f"{first[0]} to {last} ({len(first) + 1} files)"
    return f"{', '.join(first)} and {last}" if first else last
