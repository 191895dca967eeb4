"""Writes a YAML file for a relabelling, with statistics and proposed mergers, and a picture."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.cli.inputs import read_map
from sp_graph_seg.cli.label_volumes import (
    LabelVolume,
    is_label_volume,
    open_image_of,
    open_label_volume,
)
from sp_graph_seg.cli.messages import report
from sp_graph_seg.cli.outputs import check_outputs
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable, read_image, read_labels, write_text

if TYPE_CHECKING:
    from sp_graph_seg.labels.greys import Grey
    from sp_graph_seg.labels.relabel import Relabel
    from sp_graph_seg.plot.legend import LegendRow

MARK = "_labels"
"""The suffix that segment and predict append to the name of an image."""

LARGEST_LABEL = 65535
"""The largest label that a label image can hold."""

#: Slices or images on the picture.
_MOST_SHOWN = 3


class Slice(NamedTuple):
    """The labels of an image or slice, and the image if it is known. -1 means unlabelled."""

    labels: NDArray[np.int64]
    image: NDArray | None
    is_shown: bool


def make_map(
    paths: Sequence[Path],
    target: Path,
    images: Sequence[Path] | None,
    num_labels: int | None,
    overwrite: bool,
    axes: str | None,
) -> None:
    """Writes a YAML file to edit, with the labels of all files, and a picture of the labels."""
    if images is not None and len(images) != len(paths):
        raise InputError(
            f"--image: got {len(images)} images for {len(paths)} files of labels; give an image "
            "for each file."
        )
    picture = target.with_suffix(".png")
    check_outputs([target, picture], [*paths, *(images or [])], overwrite)
    from sp_graph_seg.labels.greys import GreyCounter
    from sp_graph_seg.labels.relabel import propose_merges, starter_yaml

    volumes = {path: open_label_volume(path, axes) for path in paths if is_label_volume(path)}
    about = _stored_legend(volumes.values())
    counter, counts, shown = GreyCounter(), np.zeros(0, np.int64), []
    for piece in _slices(paths, images, volumes):
        counts = _added(counts, np.bincount(piece.labels[piece.labels >= 0]))
        if piece.image is not None:
            counter.add(piece.labels, piece.image)
            if piece.is_shown:
                shown.append(piece)
    greys = counter.greys()
    if num_labels is not None and not greys:
        raise InputError("--labels: needs grey values to choose labels to merge; add --image FILE.")
    merge = propose_merges(greys, num_labels) if greys else {}
    found = {label: count for label, count in enumerate(counts.tolist()) if count}
    check_writable(target.parent)
    colors, names = colors_of(list(found), about.colors), about.names
    text = starter_yaml(found, colors, greys, merge, num_labels is not None, names)
    write_text(target, text)
    noun = "label" if len(found) == 1 else "labels"
    report("map", f"{len(found)} {noun} in {target}; edit it, then give it with --map")
    if shown:
        few = shown[:: -(-len(shown) // _MOST_SHOWN)]
        _draw(picture, few, _legend(found, colors, names, greys), greys, merge)
        report("picture", f"{picture}, each label by itself")
    else:
        report("picture", "none, as the image is not known; --image FILE adds it and grey values")


def name_of(path: Path) -> str:
    """Returns the name of the image that a label file belongs to."""
    return path.stem.removesuffix(MARK)


def read_label_image(path: Path) -> NDArray[np.int64]:
    """Reads a label map from a file, and refuses labels below 0 or above ``LARGEST_LABEL``."""
    labels = read_labels(path)
    for label in (labels.min(), labels.max()):
        if not 0 <= label <= LARGEST_LABEL:
            raise InputError(
                f"{path}: holds the label {label}; use labels from 0 to {LARGEST_LABEL}, and a "
                "separate value, such as 255, for unlabelled pixels."
            )
    return labels


def colors_of(labels: Sequence[int], given: Mapping[int, str] | None = None) -> dict[int, str]:
    """Returns the colours that the given labels have in overlays."""
    from sp_graph_seg.io.colors import label_colors

    numbered = label_colors(range(max(labels) + 1), given)
    return {label: numbered[label] for label in labels}


def _stored_legend(volumes: "Iterable[LabelVolume]") -> "Relabel":
    """Returns the names and colours that are stored with volumes. The first volume decides.

    A name that an earlier volume gives to another label is left out.
    """
    from sp_graph_seg.labels.relabel import Relabel

    entries: dict[int, dict[str, str]] = {}
    for volume in volumes:
        names = {entry["name"] for entry in entries.values() if "name" in entry}
        for label, entry in volume.legend().labels.items():
            if label not in entries:
                is_taken = entry.get("name") in names
                entries[label] = {k: v for k, v in entry.items() if k != "name" or not is_taken}
    return Relabel(labels=entries)


def _legend(
    counts: Mapping[int, int],
    colors: Mapping[int, str],
    names: Mapping[int, str],
    greys: "Mapping[int, Grey]",
) -> "list[LegendRow]":
    from sp_graph_seg.plot.legend import LegendRow

    total = sum(counts.values())
    return [
        LegendRow(
            label,
            colors[label],
            names.get(label, ""),
            count / total,
            greys[label].mean if label in greys else np.nan,
        )
        for label, count in sorted(counts.items())
    ]


def _slices(
    paths: Sequence[Path], images: Sequence[Path] | None, volumes: "Mapping[Path, LabelVolume]"
) -> Iterator[Slice]:
    """Yields the labels and images of all files. Checks all label images first."""
    singles = {path: read_label_image(path) for path in paths if path not in volumes}
    for number, path in enumerate(paths):
        image = images[number] if images else None
        if path in volumes:
            labels = volumes[path]
            of = open_image_of(labels, image)
            count = len(labels.volume)
            places = {(2 * k + 1) * count // (2 * _MOST_SHOWN) for k in range(_MOST_SHOWN)}
            for place, found in enumerate(labels.slices()):
                yield Slice(found, None if of is None else of[place], place in places)
        else:
            array = None if image is None else read_image(image)
            if image is not None and array is not None:
                read_map(path, image, array)  # refuses another size
            yield Slice(singles[path], array, True)


def _draw(
    file: Path,
    shown: Sequence[Slice],
    legend: "Sequence[LegendRow]",
    greys: "Mapping[int, Grey]",
    merge: Mapping[int, Sequence[int]],
) -> None:
    """Draws each label by itself over the images. Labels with more pixels come first."""
    from sp_graph_seg.plot import contact_sheet, save_figure
    from sp_graph_seg.transforms.prepare import measure_intensity_range

    target = {other: kept for kept, others in merge.items() for other in others}
    captions, candidates = [f"all {len(legend)} labels"], [[piece.labels for piece in shown]]
    for row in sorted(legend, key=lambda row: -row.share):
        label, grey = row.label, greys.get(row.label)
        lines = [f"{row.name or f'label {label}'}: {100 * row.share:.3g} %"]
        lines += [f"grey {grey.mean:.4g} ± {grey.std:.2g}"] if grey else []
        lines += [f"proposed to become {target[label]}"] if label in target else []
        captions.append("\n".join(lines))
        candidates.append([np.where(p.labels == label, label, -1) for p in shown])
    images = [np.asarray(piece.image, dtype=np.float32) for piece in shown]
    scale = measure_intensity_range(images)
    sheet = contact_sheet(images, candidates, captions, intensity_range=scale, legend=legend)
    save_figure(file, sheet)


def _added(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.zeros(max(len(one), len(other)), np.int64)
    total[: len(one)] += one
    total[: len(other)] += other
    return total
