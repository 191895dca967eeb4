"""Relabels volumes for the command line, slice by slice and without a network."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sp_graph_seg.cli.dry_run import read_middle, show_cost, show_results, show_volumes, timed
from sp_graph_seg.cli.label_volumes import open_label_volume
from sp_graph_seg.cli.layout import place_labels
from sp_graph_seg.cli.messages import report, show
from sp_graph_seg.io import check_writable
from sp_graph_seg.io.record import make_record

if TYPE_CHECKING:
    from sp_graph_seg.labels.relabel import Relabel
    from sp_graph_seg.volumes import Volume


def relabel_volumes(
    paths: Sequence[Path],
    description: Path | None,
    output: Path,
    suffix: str | None,
    resume: bool,
    overwrite: bool,
    dry_run: bool,
    axes: str | None,
) -> None:
    """Relabels volumes as a YAML file describes. Without a file, only converts their format."""
    from sp_graph_seg.label_jobs import check_label_output
    from sp_graph_seg.labels.relabel import Relabel, read_relabel, relabel_volume

    about = Relabel() if description is None else read_relabel(description)
    labels = [open_label_volume(path, axes, about) for path in paths]
    suffix = suffix or ("png" if paths[0].is_dir() and not paths[0].suffix else paths[0].suffix)
    targets = place_labels([own.volume for own in labels], output, suffix)
    files = [own.volume.source.file for own in labels]
    used = [] if description is None else [description]
    for target in targets:
        check_label_output(
            target,
            [*files, *used],
            overwrite=overwrite,
            resume=resume,
            make_folder=not dry_run,
        )
    if dry_run:
        _plan([own.volume for own in labels], about, [target.given for target in targets])
        return
    for own, target in zip(labels, targets, strict=True):
        check_writable(target.given.parent)
        record = make_record([own.volume.source.file, *used], relabel=about.to_dict())
        before = own.provenance.get("record")
        job = relabel_volume(
            own.volume,
            _with_names(about, own.legend()),
            target,
            geometry=own.geometry,
            record=record | ({"before": before} if before else {}),
            overwrite=overwrite,
            resume=resume,
        )
        report("labels", f"{len(own.volume)} {own.volume.noun} in {job.path}")


def _with_names(about: "Relabel", stored: "Relabel") -> "Relabel":
    """Adds the stored names and colours of labels that the description does not name."""
    from sp_graph_seg.labels.relabel import Relabel

    given = {entry["name"] for entry in about.labels.values() if "name" in entry}
    kept = {
        label: entry for label, entry in stored.labels.items() if entry.get("name") not in given
    }
    return Relabel.from_dict({**about.to_dict(), "labels": {**kept, **about.labels}})


def _plan(volumes: "Sequence[Volume]", about: "Relabel", targets: Sequence[Path]) -> None:
    """Prints what would be relabelled, for --dry-run."""
    from sp_graph_seg.labels.relabel import relabel_to_yaml

    show_volumes(volumes)
    show("change", " ".join(relabel_to_yaml(about).split()))
    sizes = [len(v) * v.height * v.width * v.dtype.itemsize for v in volumes]
    show_results([], list(zip(targets, sizes, strict=True)))
    seconds = 0.0
    for volume in volumes:
        read, image = read_middle(volume)
        applied, _ = timed(partial(about.apply, image[0].astype(np.int64)))
        seconds += 2 * len(volume) * (read + applied)  # what is written costs as much
    show_cost({"relabelling": seconds}, 0, "the middle slice")
