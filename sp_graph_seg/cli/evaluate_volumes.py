"""Scores the labels of a volume against the truth. Both are read slice by slice."""

import json
from pathlib import Path
from typing import Any

from sp_graph_seg._version import __version__
from sp_graph_seg.cli.label_volumes import LabelVolume, is_label_volume, open_label_volume
from sp_graph_seg.cli.messages import report
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable, to_csv, write_text
from sp_graph_seg.io.record import make_record

_COLUMNS = ("class", "label", "IoU", "Dice", "precision", "recall", "share")


def are_two_volumes(labels: Path, truth: Path) -> bool:
    """Returns whether both paths are volumes, and not images or folders of images."""
    paths = (labels, truth)
    if truth.suffix.lower() == ".mat":
        return False  # annotators of an image, though HDF5 files may have that name too
    if all(path.is_dir() and path.suffix.lower() != ".zarr" for path in paths):
        return False  # folders of images are matched by their names
    return all(is_label_volume(path) for path in paths)


def evaluate_volumes(
    labels: Path, truth: Path, unlabelled: int | None, axes: str | None, output: Path | None
) -> None:
    """Scores labels against the truth, and prints the scores.

    If ``output`` is given, the scores are also written to this file.
    """
    ours, theirs = (_open(path, axes) for path in (labels, truth))
    if unlabelled is not None:
        ours = ours._replace(unlabelled=unlabelled)
    sizes = [_size(own) for own in (ours, theirs)]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"{labels}: has {sizes[0]} {ours.volume.elements}, but {truth} has {sizes[1]}; give "
            "labels and truth of the same part of the volume, with the same binning."
        )
    if output is not None:
        check_writable(output.parent)
    scores, classes = _score(ours, theirs)
    _print(scores, classes)
    if output is None:
        return
    if output.suffix == ".csv":
        write_text(output, to_csv(_COLUMNS, (row.values() for row in classes)))
    else:
        record = make_record([ours.volume.source.file, theirs.volume.source.file])
        content = {"version": __version__, "record": record, "scores": scores, "classes": classes}
        write_text(output, json.dumps(content, indent=2) + "\n")
    report("scores", str(output))


def _open(path: Path, axes: str | None) -> LabelVolume:
    """Opens labels. The value of unlabelled voxels is known only for labels of this program."""
    found = open_label_volume(path, axes)
    return found._replace(unlabelled=found.provenance.get("unlabelled"))


def _size(labels: LabelVolume) -> str:
    volume = labels.volume
    return "x".join(map(str, (len(volume), volume.height, volume.width)))


def _score(ours: LabelVolume, theirs: LabelVolume) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Returns the scores of all voxels together, and a row for each class of the truth."""
    from sp_graph_seg.evaluation import score_classes, score_clustering, score_regions
    from sp_graph_seg.evaluation.contingency import ContingencyCounter
    from sp_graph_seg.progress import WorkProgress

    counter = ContingencyCounter()
    with WorkProgress(len(ours.volume), ours.volume.noun) as progress:
        for found, truth in zip(ours.slices(), theirs.slices(), strict=True):
            counter.add(found, truth)
            progress.advance()
    table = counter.contingency()
    regions, labels = counter.regions().tolist(), counter.labels().tolist()
    rows = []
    for score in score_classes(table):
        label = "" if score.column is None else labels[score.column]
        share = float(table.region_sizes[score.row] / table.num_pixels)
        rows.append(
            dict(zip(_COLUMNS, (regions[score.row], label, *score[2:], share), strict=True))
        )
    means = {f"mean_{name}": sum(row[name] for row in rows) / len(rows) for name in ("IoU", "Dice")}
    scores = {**score_clustering(table), **score_regions([table]), **means}
    return {**scores, "num_labels": len(labels), "voxels": table.num_pixels}, rows


def _print(scores: dict[str, float], classes: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    for row in classes:
        number, label, *values = row.values()
        table.add_row(str(number), str(label) or "none", *(f"{value:.3f}" for value in values))
    table.add_section()
    mean = (f"{scores[f'mean_{name}']:.3f}" for name in ("IoU", "Dice"))
    table.add_row("mean", "", *mean)
    Console(highlight=False, markup=False).print(table)
    names = {"rand": "Rand", "ami": "A-MI", "v": "V", "vi": "VI", "covering": "Cov"}
    report("all", ", ".join(f"{name} {scores[key]:.3f}" for key, name in names.items()))
