"""Relabels volumes for the command line, slice by slice and without a network."""

from collections.abc import Sequence
from pathlib import Path

from sp_graph_seg.cli.label_volumes import open_label_volume
from sp_graph_seg.cli.layout import place_labels
from sp_graph_seg.cli.outputs import report
from sp_graph_seg.io import check_writable
from sp_graph_seg.io.record import make_record


def relabel_volumes(
    paths: Sequence[Path],
    description: Path | None,
    output: Path,
    suffix: str | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Relabels volumes as a YAML file describes. Without a file, only converts their format."""
    from sp_graph_seg.label_jobs import check_label_output
    from sp_graph_seg.labels.relabel import Relabel, read_relabel, relabel_volume

    about = Relabel() if description is None else read_relabel(description)
    labels = [open_label_volume(path, about=about) for path in paths]
    suffix = suffix or ("png" if paths[0].is_dir() and not paths[0].suffix else paths[0].suffix)
    targets = place_labels([own.volume for own in labels], output, suffix)
    files = [own.volume.source.file for own in labels]
    used = [] if description is None else [description]
    for target in targets:
        check_label_output(target, [*files, *used], overwrite=overwrite, resume=resume)
    for own, target in zip(labels, targets, strict=True):
        check_writable(target.given.parent)
        record = make_record([own.volume.source.file, *used], relabel=about.to_dict())
        before = own.provenance.get("record")
        job = relabel_volume(
            own.volume,
            about,
            target,
            geometry=own.geometry,
            record=record | ({"before": before} if before else {}),
            overwrite=overwrite,
            resume=resume,
        )
        report("labels", f"{len(own.volume)} slices in {job.path}")
