"""The command ``sp-graph-seg evaluate``, which scores labels against ground truth."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from sp_graph_seg._version import __version__
from sp_graph_seg.cli.app import PROGRAM, Switch, app
from sp_graph_seg.cli.evaluate_volumes import are_two_volumes, evaluate_volumes
from sp_graph_seg.cli.messages import report
from sp_graph_seg.cli.outputs import check_outputs, join_names
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable, read_labels, to_csv, write_text

_LABEL_SUFFIXES = frozenset((".npy", ".png", ".tif", ".tiff"))
_BSDS_SUFFIXES = frozenset((".mat", ".seg"))
_TRUTH_SUFFIXES = _LABEL_SUFFIXES | _BSDS_SUFFIXES
_MARK = "_labels"
"""The suffix that segment and predict append to the name of an image."""

#: Columns of the table: heading and score. The other scores are only in the file.
_COLUMNS = {
    "Rand": "rand",
    "A-MI": "ami",
    "FM": "fm",
    "Hom": "h",
    "Com": "c",
    "V": "v",
    "PRI": "pri",
    "VI": "vi",
    "Cov": "covering",
    "mIoU": "miou_all",
}

Scores = dict[str, float]


@dataclass(frozen=True)
class Pair:
    """The name of an image, the file of its labels, and the files of its annotators."""

    name: str
    labels: Path
    truth: tuple[Path, ...]


@app.command(sort_key=4, usage=f"Usage: {PROGRAM} evaluate LABELS TRUTH [OPTIONS]")
def evaluate(
    labels: Annotated[Path, Parameter(name="LABELS")],
    truth_files: Annotated[Path, Parameter(name="TRUTH")],
    /,
    *,
    combine: Literal["mean", "first", "best"] = "mean",
    unlabelled: int | None = None,
    axes: str | None = None,
    output: Annotated[Path | None, Parameter(alias="-o", metavar="FILE")] = None,
    overwrite: Switch = False,
) -> None:
    """Score labels of images or of a volume against ground truth.

    LABELS and TRUTH are two files, or two folders. In two folders, files with the same name apart
    from the suffix belong together. A file NAME_labels.png, which segment and predict write,
    belongs to the image NAME. If a folder holds any file NAME_labels, its files with other names
    are ignored. Negative labels count as unlabelled.

    The table shows the Rand index, adjusted mutual information (A-MI), Fowlkes-Mallows index,
    homogeneity, completeness, V-measure, probabilistic Rand index (PRI), variation of information
    (VI, in bits; lower is better), Covering, mIoU over all annotators, and the number of labels.
    The last row holds the means over the images. For Covering, this mean is weighted by the number
    of annotated pixels of each image. For mIoU, it is weighted by the number of truth regions of
    each image.

    Two volumes are compared slice by slice. The table then has a row for each class, that is, for
    each label of the truth. The row shows the label in LABELS that is assigned to the class, IoU,
    Dice, precision, recall, and the share of the class in the volume. A class gets at most one
    label, and a label belongs to at most one class, such that the sum of IoU is as large as
    possible.

    Args:
        labels: A label image (PNG, TIFF or .npy), a folder of label images, or the labels of a
            volume.
        truth_files: The ground truth, which must have the same size as the labels. It is a label
            image, a .mat file of BSDS500 (with all annotators), a .seg file of BSDS300, the labels
            of a volume, or a folder of such files. If the folder holds folders, as human/color of
            BSDS300 does, each inner folder holds the files of one annotator.
        combine: How the first six scores combine several annotators. mean takes the mean over the
            annotators, first takes the first annotator, and best the annotator with the best
            V-measure. The other scores always use all annotators.
        unlabelled: Value in LABELS that marks pixels without a label, such as 255 or 65535. These
            pixels are not scored.
        axes: Names of the stored axes of two volumes in order, such as zyx. Needed if the files do
            not declare them.
        output: File for all scores of every image. Its name must end in .csv or .json. A .json file
            also holds the scores for each annotator.
        overwrite: Replace the output if it exists.
    """
    if output is not None and output.suffix not in (".json", ".csv"):
        raise InputError(f"--output {output}: must end in .json or .csv; rename it.")
    if are_two_volumes(labels, truth_files):
        check_outputs([] if output is None else [output], [labels, truth_files], overwrite)
        evaluate_volumes(labels, truth_files, unlabelled, axes, output)
        return
    pairs = _match(labels, truth_files)
    if output is not None:
        check_outputs(
            [output], [f for pair in pairs for f in (pair.labels, *pair.truth)], overwrite
        )
    for pair in pairs:  # check all before scoring the first, without keeping any
        _read(pair, unlabelled)
    if output is not None:
        check_writable(output.parent)
    from sp_graph_seg.evaluation import mean_scores, score_in_detail

    scored = [score_in_detail(*_read(pair, unlabelled), combine) for pair in pairs]
    scores = {pair.name: total for pair, (total, _) in zip(pairs, scored, strict=True)}
    mean = mean_scores(list(scores.values()))
    _print_table(scores, mean)
    if output is None:
        return
    if output.suffix == ".csv":
        _write_csv(output, scores, mean)
    else:
        annotators = {pair.name: each for pair, (_, each) in zip(pairs, scored, strict=True)}
        _write_json(output, combine, scores, annotators, mean)
    report("scores", str(output))


def _match(labels: Path, truth: Path) -> list[Pair]:
    """Pairs two files, or pairs the files of two folders by their names."""
    for path in (labels, truth):
        if not path.exists():
            raise InputError(f"{path}: does not exist; give a file or a folder.")
    if labels.is_dir() != truth.is_dir():
        folder, file = (labels, truth) if labels.is_dir() else (truth, labels)
        raise InputError(
            f"{folder}: is a folder, but {file} is a file; give two files or two folders."
        )
    if not labels.is_dir():
        return [Pair(_name(labels), labels, (truth,))]
    ours, theirs = _files_by_name(labels, _LABEL_SUFFIXES), _truth_by_name(truth)
    lost = [name for name in ours if name not in theirs]
    if lost:
        raise InputError(
            f"{truth}: holds no ground truth for {join_names(lost)} of {labels}; add the missing "
            "files, or remove these labels."
        )
    unused = [name for name in theirs if name not in ours]
    if unused:
        print(
            f"{PROGRAM}: note: {labels} holds no labels for {join_names(unused)} of {truth}; "
            f"{len(ours)} of {len(theirs)} images are scored",
            file=sys.stderr,
        )
    return [Pair(name, file, theirs[name]) for name, file in ours.items()]


def _truth_by_name(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Finds the truth files of each image in a folder, or in its inner folders for annotators."""
    people = sorted(
        person
        for person in folder.iterdir()
        if person.is_dir()
        and any(file.suffix.lower() in _TRUTH_SUFFIXES for file in person.iterdir())
    )
    if any(file.suffix.lower() in _TRUTH_SUFFIXES for file in folder.iterdir()) or not people:
        return {name: (file,) for name, file in _files_by_name(folder, _TRUTH_SUFFIXES).items()}
    found: dict[str, tuple[Path, ...]] = {}
    for person in people:
        for name, file in _files_by_name(person, _TRUTH_SUFFIXES).items():
            found[name] = (*found.get(name, ()), file)
    return found


def _files_by_name(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """Maps images to files. If any file is named NAME_labels, files named otherwise are ignored."""
    files = sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in suffixes and not file.name.startswith(".")
    )
    if not files:
        raise InputError(
            f"{folder}: holds no file of the types {', '.join(sorted(suffixes))}; give another "
            "folder."
        )
    marked = [file for file in files if file.stem.endswith(_MARK)]
    found: dict[str, Path] = {}
    for file in marked or files:
        other = found.setdefault(_name(file), file)
        if other is not file:
            raise InputError(
                f"{file}: belongs to the same image as {other}; remove one of the two files."
            )
    return found


def _name(labels: Path) -> str:
    """Returns the name of the image of a label file."""
    return labels.stem.removesuffix(_MARK)


def _read(pair: Pair, unlabelled: int | None) -> tuple[np.ndarray, list[np.ndarray]]:
    """Reads the labels of an image and of each annotator, and checks that their sizes agree."""
    labels = read_labels(pair.labels)
    if unlabelled is not None:
        labels = np.where(labels == unlabelled, -1, labels.astype(np.int64))
    if labels.max() < 0:
        raise InputError(f"{pair.labels}: every pixel is unlabelled; leave this file out.")
    truths = []
    for file in pair.truth:
        for truth in _read_truth(file):
            if truth.shape != labels.shape:
                own, wanted = ("x".join(map(str, array.shape)) for array in (labels, truth))
                raise InputError(
                    f"{pair.labels}: has {own} pixels, but {file} has {wanted}; "
                    "resize the labels with nearest-neighbour interpolation."
                )
            if not ((truth >= 0) & (labels >= 0)).any():
                raise InputError(
                    f"{file}: has no labels where {pair.labels} has labels, so nothing can be "
                    "scored; leave this file out."
                )
            truths.append(truth)
    return labels, truths


def _read_truth(file: Path) -> list[np.ndarray]:
    """Reads each annotator's labels from a file. Loads torch only for the formats of BSDS."""
    if file.suffix.lower() not in _BSDS_SUFFIXES:
        return [read_labels(file)]
    from sp_graph_seg.datasets import read_truth

    return read_truth(file)


def _print_table(scores: Mapping[str, Scores], mean: Scores) -> None:
    """Prints a row for each image and, if there are several, a row of means."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("image", overflow="fold", min_width=5)
    for heading in (*_COLUMNS, "labels"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in scores.items():
        table.add_row(name, *_cells(row), str(int(row["num_labels"])))
    if len(scores) > 1:
        table.add_section()
        table.add_row("mean", *_cells(mean), f"{mean['num_labels']:.1f}")
    Console(highlight=False, markup=False).print(table)


def _cells(row: Scores) -> list[str]:
    return [f"{row[score]:.3f}" for score in _COLUMNS.values()]


def _write_csv(path: Path, scores: Mapping[str, Scores], mean: Scores) -> None:
    """Writes a row for each image and a last row of means."""
    names = list(next(iter(scores.values())))
    rows = [
        [image, *(row.get(name, "") for name in names)]
        for image, row in (*scores.items(), ("mean", mean))
    ]
    write_text(path, to_csv(["image", *names], rows))


def _write_json(
    path: Path,
    combine: str,
    scores: Mapping[str, Scores],
    annotators: Mapping[str, Sequence[Scores]],
    mean: Scores,
) -> None:
    """Writes the scores of each image, the scores for each of its annotators, and the means."""
    images: list[dict[str, Any]] = [
        {"image": name, **row, "annotators": annotators[name]} for name, row in scores.items()
    ]
    content = {"version": __version__, "combine": combine, "images": images, "mean": mean}
    write_text(path, json.dumps(content, indent=2) + "\n")
