"""The command ``sp-graph-seg info``, which shows what a file is and how it was made."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from sp_graph_seg.cli.app import PROGRAM, Switch, app
from sp_graph_seg.cli.messages import show
from sp_graph_seg.errors import InputError
from sp_graph_seg.io.record import find_record, read_records

Facts = dict[str, Any]


@app.command(sort_key=8, usage=f"Usage: {PROGRAM} info FILE [OPTIONS]")
def info(
    file: Annotated[Path, Parameter(name="FILE")],
    /,
    *,
    as_json: Annotated[Switch, Parameter(name="--json")] = False,
) -> None:
    """Show what a file is and how it was made.

    FILE is an image, a volume or video, a model, or any result of these commands. For a result,
    this prints the command that made the result, the date, the versions of the software, and the
    path, size and checksum (SHA-256) of each input.

    Args:
        file: The file or folder. To name a dataset inside an HDF5 file, write
            scan.h5:/entry/labels.
        as_json: Print all known facts, in JSON format.
    """
    facts = _describe(file)
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    for name, text in _lines(facts):
        show(name, text)


def _describe(file: Path) -> Facts:
    """Returns what is known about a file."""
    from sp_graph_seg.label_jobs.finished import find_finished

    if file.suffix == ".safetensors":
        return _describe_model(file)
    finished = find_finished(file)
    if finished is not None:
        return {
            "file": str(file),
            "kind": "labels of a volume",
            "shape": list(finished.shape),
            "type": str(finished.dtype),
            "record": {},
            **finished.provenance,
        }
    records = read_records(file)
    if records:
        return {"file": str(file), "kind": "a folder of results", "records": records}
    record = find_record(file)
    facts = {} if record and file.is_dir() else _describe_input(file)
    if not facts and record is None:
        raise InputError(
            f"{file}: is not an image, volume or model, and {file.parent / 'records.json'} does "
            "not say how it was made; give an image, a volume, a model or a result of this program."
        )
    return {"file": str(file), "kind": "a result", **facts, "record": record or {}}


def _describe_model(file: Path) -> Facts:
    from sp_graph_seg.segmenter.model_file import read_model

    model = read_model(file)
    names = ("in_channels", "intensity_range", "relabel", "config", "notes")
    return {
        "file": str(file),
        "kind": "a model",
        "stability": model.metadata.get("labeller", {}).get("stability", []),
        **{name: model.metadata.get(name) for name in names},
        "digest": model.digest(),
        "record": model.record,
    }


def _describe_input(file: Path) -> Facts:
    """Describes an image or volume. Returns an empty dictionary for any other file."""
    from sp_graph_seg.cli.volume_flags import looks_like_volume

    if looks_like_volume(file):
        from sp_graph_seg.volumes import open_volume

        volume = open_volume(file)
        return {
            "kind": "a video" if volume.frame_rate else "a volume",
            "shape": [len(volume), volume.channels, volume.height, volume.width],
            "type": str(volume.dtype),
            "geometry": volume.geometry.to_json(),
        }
    from sp_graph_seg.io import read_image

    if not file.exists():
        raise InputError(f"{file}: does not exist; check the path.")
    try:
        image = read_image(file)
    except InputError:
        return {}
    low, high = float(image.min()), float(image.max())
    return {"kind": "an image", "shape": list(image.shape), "values": [low, high]}


def _lines(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yields a name and a text for each printed line. Only --json shows all facts."""
    yield "file", f"{facts['file']}, {facts['kind']}"
    if "shape" in facts:
        size = " x ".join(map(str, facts["shape"]))
        yield "size", f"{size} {facts.get('type', '')}".rstrip()
    if "geometry" in facts:
        yield from _place(facts["geometry"])
    if "num_labels" in facts:
        yield "labels", f"{_legend(facts)}; {facts['unlabelled']} is unlabelled"
    if "values" in facts:
        yield "values", "{:g} to {:g}".format(*facts["values"])
    if facts.get("intensity_range"):
        yield "range", "{:g} to {:g}".format(*facts["intensity_range"])
    config = facts.get("config") or facts.get("record", {}).get("model", {}).get("config")
    if config:
        yield "trained", f"label_by {config['label_by']}, seed {config['seed']}"
    if "stability" in facts:
        from sp_graph_seg.prototypes.stability import describe_stability

        yield "stable", describe_stability(facts["stability"])
    for record in facts.get("records", []):
        yield "results", ", ".join(record["outputs"])
        yield from _made(record)
    if "record" in facts:
        yield from _made(facts["record"])
    for number, reason in facts.get("skipped", {}).items():
        yield "skipped", f"slice {number}: {reason}"


def _legend(facts: Facts) -> str:
    """Returns the numbers and names of the labels in use, or the range if they are unknown."""
    rows = facts.get("legend") or []
    if not rows:
        return f"0 to {facts['num_labels'] - 1}"
    return ", ".join(f"{row['label']} {row.get('name', '')}".rstrip() for row in rows)


def _place(geometry: Facts) -> Iterator[tuple[str, str]]:
    axes = geometry["axes"]
    if any(axis["spacing"] is not None for axis in axes):
        known = [axis for axis in axes if axis["spacing"] is not None]
        yield "voxel", ", ".join(f"{a['name']} {a['spacing']:g} {a['unit'] or ''}" for a in known)
    part = geometry["part"]
    if part:
        names = zip(part["axes"], (part[p] for p in ("slices", "rows", "columns")), strict=True)
        ranges = (f"{name} {start}:{stop}:{step}" for name, (start, stop, step) in names)
        yield "part", f"{', '.join(ranges)}, binning {'x'.join(map(str, part['binning']))}"


def _made(record: Facts) -> Iterator[tuple[str, str]]:
    if not record:
        yield "made", "not known: no record of this program"
        return
    yield "made", f"{record['date']} in {record['folder']}"
    yield "by", record["command"]
    yield "with", ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    for given in record["inputs"]:
        yield "from", f"{given['path']}, {given['bytes']} bytes, sha256 {given['sha256']}"
