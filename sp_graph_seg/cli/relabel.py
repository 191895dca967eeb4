"""The command ``sp-graph-seg relabel``, which changes labels as a YAML file describes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter

from sp_graph_seg.cli.app import PROGRAM, Switch, app
from sp_graph_seg.cli.label_volumes import is_label_volume
from sp_graph_seg.cli.messages import report
from sp_graph_seg.cli.outputs import check_outputs, join_names
from sp_graph_seg.cli.relabel_make import (
    LARGEST_LABEL,
    MARK,
    colors_of,
    make_map,
    name_of,
    read_label_image,
)
from sp_graph_seg.cli.relabel_volumes import relabel_volumes
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable, write_image, write_labels
from sp_graph_seg.io.record import add_record, make_record

if TYPE_CHECKING:
    from sp_graph_seg.labels.relabel import Relabel

_ENDINGS = (f"{MARK}.png", "_colors.png")


@app.command(
    sort_key=6,
    usage=f"Usage: {PROGRAM} relabel LABELS... (--make MAP | --map MAP --output FOLDER) [OPTIONS]",
)
def relabel(
    labels: Annotated[list[Path], Parameter(name="LABELS")],
    /,
    *,
    make: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    image: Annotated[
        list[Path] | None, Parameter(metavar="FILE...", consume_multiple=True, negative=())
    ] = None,
    num_labels: Annotated[int | None, Parameter(name=("--labels", "--num-labels"))] = None,
    map_file: Annotated[Path | None, Parameter(name="--map", metavar="FILE")] = None,
    output: Annotated[Path | None, Parameter(alias="-o", metavar="FOLDER")] = None,
    form: Annotated[str | None, Parameter(name="--format")] = None,
    axes: str | None = None,
    resume: Switch = False,
    overwrite: Switch = False,
    dry_run: Switch = False,
) -> None:
    """Merge, name and clean the labels of images and volumes. This needs no network.

    There are two steps. In the first step, --make writes a YAML file and a picture of each label.
    The file lists every label with its share of the pixels and its grey values, and proposes to
    merge labels with similar grey values. Edit the file: name labels, give them colours, and say
    what to merge, smooth, remove or fill.

    In the second step, --map and --output apply the edited file. For each NAME_labels.png, this
    writes a new NAME_labels.png to the output, and NAME_colors.png, which shows the new labels in
    their colours. For each volume NAME, this writes NAME_labels in the given --format. After an
    interruption, repeat the command to continue. Without --map, the labels of volumes are only
    converted to another format.

    Args:
        labels: Labels of images (PNG, TIFF or .npy) or of volumes, such as those that segment and
            predict write.
        make: YAML file to write. You then edit this file.
        image: With --make, the images that the labels were made from, in the order of the labels.
            For volumes, the default is the image whose path is stored with the labels, if the image
            is still there.
        num_labels: With --make, the number of labels to keep. The file then proposes to merge the
            most similar labels until this number is left.
        map_file: YAML file that describes the relabelling, such as the edited file of --make.
        output: Folder for the results. It is made if it is missing. For a single volume, you can
            also give the file of its labels, such as merged.zarr.
        form: Format of the labels of volumes if --output is a folder: tif, ome.tif, zarr, h5, nxs,
            nrrd, vti, npy or png. By default, the format of the input.
        axes: Names of the stored axes of volumes in order, such as zyx. Needed if the files do not
            declare them.
        resume: Keep volumes that the same command has already completed. By default, they cause an
            error.
        overwrite: Replace files that exist.
        dry_run: With --output, only say which volumes would be read, and what would be written.
    """
    if (make is None) == (output is None):
        raise InputError(
            "--make, --output: exactly one is needed; give --make MAP to write a file to edit, or "
            "--map MAP and --output FOLDER to apply an edited file."
        )
    if make is not None:
        if dry_run:
            raise InputError("--dry-run: cannot be used with --make; leave out one of the two.")
        if map_file is not None:
            raise InputError("--map: cannot be used with --make; leave out one of the two.")
        make_map(labels, make, image, num_labels, overwrite, axes)
        return
    assert output is not None
    if image is not None or num_labels is not None:
        raise InputError("--image, --labels: work only with --make; leave these flags out.")
    if all(is_label_volume(path) for path in labels):
        relabel_volumes(labels, map_file, output, form, resume, overwrite, dry_run, axes)
        return
    if dry_run:
        raise InputError("--dry-run: works only with labels of volumes; leave it out.")
    if map_file is None:
        for path in labels:
            read_label_image(path)  # refuses what is not there
        raise InputError(
            "--map: is missing; write a file with --make MAP, edit this file, and add --map MAP."
        )
    _apply(labels, map_file, output, overwrite)


def _apply(paths: Sequence[Path], description: Path, output: Path, overwrite: bool) -> None:
    """Writes the new labels of all files, and pictures of the new labels."""
    files = [output / f"{name_of(path)}{end}" for end in _ENDINGS for path in paths]
    check_outputs(files, [description, *paths], overwrite)
    from sp_graph_seg.labels.relabel import read_relabel

    relabel = read_relabel(description)
    largest = max((int(target) for target in relabel.merge), default=0)
    if largest > LARGEST_LABEL:
        raise InputError(
            f"{description}: merge: label {largest} is too large for a PNG; merge into a label "
            f"from 0 to {LARGEST_LABEL}."
        )
    for path in paths:  # check all before changing the first, without keeping any
        read_label_image(path)
    check_writable(output)

    changed = total = 0
    found: set[int] = set()
    for path, file, picture in zip(paths, files[: len(paths)], files[len(paths) :], strict=True):
        before = read_label_image(path)
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
    add_record(output, files, make_record([*paths, description], relabel=relabel.to_dict()))


def _paint(labels: np.ndarray, relabel: "Relabel") -> np.ndarray:
    """Paints labels in their colours, ``(H, W, 3)`` uint8. Unlabelled pixels are black."""
    values, inverse = np.unique(labels, return_inverse=True)
    colors = colors_of(values.tolist(), relabel.colors)
    if relabel.unlabelled is not None:
        colors[relabel.unlabelled] = "#000000"
    palette = [bytes.fromhex(colors[label].removeprefix("#")) for label in values.tolist()]
    rgb = np.array([list(color) for color in palette], dtype=np.uint8)
    return rgb[inverse.reshape(labels.shape)]
