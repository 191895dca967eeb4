"""Decides where the results of volumes are written, as the docs say in "Where results lie"."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sp_graph_seg.cli.volume_flags import is_label_file
from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs import LabelOutput, parse_output
from sp_graph_seg.label_jobs.outputs import suffix_of

if TYPE_CHECKING:
    from sp_graph_seg.volumes import Volume

_MARK = "_labels"

_PAGES = ("_preview.png", "_report.html")


def place_labels(volumes: Sequence["Volume"], output: Path, suffix: str) -> list[LabelOutput]:
    """Returns where to write the labels of each volume, such as ``NAME_labels.tif`` in a folder.

    Args:
        volumes: The volumes.
        output: The folder for the labels. For a single volume, it may also be the file of its
            labels.
        suffix: The format of labels in the folder, such as ``tif``. ``png`` makes a folder of PNG
            files for each volume.

    Raises:
        InputError: The output is a file but there are several volumes, two volumes have the same
            name, or labels cannot be written in this format.
    """
    if is_label_file(output):
        if len(volumes) > 1:
            raise InputError(
                f"--output {output}: is one file, but there are {len(volumes)} volumes; give a "
                "folder."
            )
        return [parse_output(output)]
    _refuse_unknown(output)
    ending = "/" if suffix == "png" else f".{suffix.removeprefix('.')}"
    names = [f"{output}/{volume.name.removesuffix(_MARK)}{_MARK}{ending}" for volume in volumes]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: would hold labels of two volumes; rename one volume.")
    try:
        return [parse_output(name) for name in names]
    except InputError as error:
        raise InputError(f"--format {suffix}: {error}") from error


def place_overlay(labels: LabelOutput) -> Path:
    """Returns the path of the overlay of a video: ``NAME_overlay.mp4`` beside its labels."""
    return labels.given.with_name(f"{_bare_name(labels).removesuffix(_MARK)}_overlay.mp4")


def place_pages(labels: LabelOutput) -> list[Path]:
    """Returns the paths of the preview and the HTML page of a volume, beside its labels."""
    name = _bare_name(labels).removesuffix(_MARK)
    return [labels.given.with_name(f"{name}{ending}") for ending in _PAGES]


def place_uncertainty(labels: LabelOutput) -> LabelOutput:
    """Returns where to write the uncertainty of labels: ``NAME_uncertainty`` beside the labels."""
    name = f"{_bare_name(labels).removesuffix(_MARK)}_uncertainty{suffix_of(labels.given)}"
    dataset = None if labels.dataset is None else "/uncertainty"
    return LabelOutput(labels.path.with_name(name), labels.given.with_name(name), dataset)


def _bare_name(labels: LabelOutput) -> str:
    """Returns the name of labels without its suffix, which may be a double one."""
    name = labels.given.name
    return name[: len(name) - len(suffix_of(labels.given))]


def _refuse_unknown(output: Path) -> None:
    """Raises an error if the suffix of an output is unknown and the output is not a folder."""
    if output.suffix and not output.is_dir():
        parse_output(output)
