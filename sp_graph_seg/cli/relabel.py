"""``sp-graph-seg relabel``: cleans label images as a file describes, or makes such a file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter

from sp_graph_seg.cli.app import PROGRAM, Switch, app
from sp_graph_seg.cli.outputs import check_outputs, join_names, report
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable, read_labels, write_image, write_labels, write_text

if TYPE_CHECKING:
    from sp_graph_seg.labels.relabel import Relabel

_MARK = "_labels"
"""The suffix that segment and predict append to the name of an image."""

_LARGEST = 65535
"""The largest label that a label image can hold."""

_ENDINGS = (f"{_MARK}.png", "_colors.png")


@app.command(
    sort_key=6,
    usage=f"Usage: {PROGRAM} relabel LABELS... (--map MAP --output FOLDER | --make MAP) [OPTIONS]",
)
def relabel(
    labels: Annotated[list[Path], Parameter(name="LABELS")],
    /,
    *,
    map_file: Annotated[Path | None, Parameter(name="--map", metavar="FILE")] = None,
    make: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    output: Annotated[Path | None, Parameter(alias="-o", metavar="FOLDER")] = None,
    overwrite: Switch = False,
) -> None:
    """Merge, name and clean the labels of label images.

    With --make this writes a YAML file that lists every label with its share of the pixels. Edit
    it: name labels, give them colours, and say what to merge, smooth, remove or fill. With --map
    and --output this does what the file says: for each NAME.png or NAME_labels.png it writes
    NAME_labels.png, and NAME_colors.png to look at.

    Args:
        labels: Label images (PNG, TIFF or .npy), such as those of segment and predict.
        map_file: YAML file with the description.
        make: YAML file to write instead, as a start.
        output: Folder for the results; made if it is missing.
        overwrite: Replace files that exist.
    """
    if (map_file is None) == (make is None):
        raise InputError(
            "--map, --make: exactly one is needed; give --make MAP to start a file, or --map "
            "MAP to use it."
        )
    if make is not None:
        if output is not None:
            raise InputError("--output: is not used with --make; leave it out.")
        _make(labels, make, overwrite)
        return
    if output is None:
        raise InputError("--map: lacks a folder for the new label images; add --output FOLDER.")
    assert map_file is not None
    _apply(labels, map_file, output, overwrite)


def _make(paths: Sequence[Path], target: Path, overwrite: bool) -> None:
    """Writes a description to edit, with the labels of all files."""
    check_outputs([target], paths, overwrite)
    counts: Counter[int] = Counter()
    for path in paths:
        values, pixels = np.unique(_read(path), return_counts=True)
        counts.update(dict(zip(values.tolist(), pixels.tolist(), strict=True)))
    check_writable(target.parent)
    from sp_graph_seg.labels.relabel import starter_yaml

    text = starter_yaml(counts, _colors(list(counts)))
    write_text(target, text)
    noun = "label" if len(counts) == 1 else "labels"
    report("map", f"{len(counts)} {noun} in {target}; edit it, then give it with --map")


def _apply(paths: Sequence[Path], description: Path, output: Path, overwrite: bool) -> None:
    """Writes the new labels of all files, and pictures of them."""
    files = [output / f"{_name(path)}{end}" for end in _ENDINGS for path in paths]
    check_outputs(files, [description, *paths], overwrite)
    from sp_graph_seg.labels.relabel import read_relabel

    relabel = read_relabel(description)
    largest = max((int(target) for target in relabel.merge), default=0)
    if largest > _LARGEST:
        raise InputError(
            f"{description}: merge: label {largest} does not fit a PNG; use up to {_LARGEST}."
        )
    for path in paths:  # check all before changing the first, without keeping any
        _read(path)
    check_writable(output)

    changed = total = 0
    found: set[int] = set()
    for path, file, picture in zip(paths, files[: len(paths)], files[len(paths) :], strict=True):
        before = _read(path)
        after = relabel.apply(before)
        write_labels(file, after)
        write_image(picture, _paint(after, relabel).transpose(2, 0, 1))
        changed += int(np.count_nonzero(before != after))
        total += before.size
        found.update(np.unique(after[after != relabel.unlabelled]).tolist())
    noun = "label" if len(found) == 1 else "labels"
    where = join_names(str(file) for file in files[: len(paths)])
    report("labels", f"{len(found)} {noun} in {where}; {changed / total:.1%} of the pixels changed")
    report("colors", join_names(str(file) for file in files[len(paths) :]))


def _name(path: Path) -> str:
    """Returns the name of the image of a label file."""
    return path.stem.removesuffix(_MARK)


def _read(path: Path) -> np.ndarray:
    """Reads labels, and checks that a label image can hold them."""
    labels = read_labels(path)
    for label in (labels.min(), labels.max()):
        if not 0 <= label <= _LARGEST:
            raise InputError(
                f"{path}: holds the label {label}; give labels from 0 to {_LARGEST}, and "
                "unlabelled pixels a separate value, such as 255."
            )
    return labels


def _colors(labels: Sequence[int], given: Mapping[int, str] | None = None) -> dict[int, str]:
    """Returns the colours of these labels in overlays."""
    from sp_graph_seg.io.colors import label_colors

    numbered = label_colors(range(max(labels) + 1), given)
    return {label: numbered[label] for label in labels}


def _paint(labels: np.ndarray, relabel: "Relabel") -> np.ndarray:
    """Paints labels with their colours, and black without one: ``(H, W, 3)`` uint8."""
    values, inverse = np.unique(labels, return_inverse=True)
    colors = _colors(values.tolist(), relabel.colors)
    if relabel.unlabelled is not None:
        colors[relabel.unlabelled] = "#000000"
    palette = [bytes.fromhex(colors[label].removeprefix("#")) for label in values.tolist()]
    rgb = np.array([list(color) for color in palette], dtype=np.uint8)
    return rgb[inverse.reshape(labels.shape)]
