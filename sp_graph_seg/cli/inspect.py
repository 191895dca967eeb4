"""``sp-graph-seg inspect``: tables, slices and surfaces of the labels of a volume."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter

from sp_graph_seg.cli.app import PROGRAM, Folder, Switch, app
from sp_graph_seg.cli.outputs import report
from sp_graph_seg.cli.pages import check_pages, inspection_pages, write_inspection_pages
from sp_graph_seg.cli.volume_flags import check_spacing
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable, label_colors, refuse_existing, write_text

if TYPE_CHECKING:
    from sp_graph_seg.labels.relabel import Relabel
    from sp_graph_seg.labels.tables import LabelCounter
    from sp_graph_seg.volumes import Volume

#: Surfaces of larger volumes are made from every second voxel, every third and so on.
_SURFACE_VOXELS = 256**3


@app.command(sort_key=7, usage=f"Usage: {PROGRAM} inspect LABELS --output FOLDER [OPTIONS]")
def inspect(
    labels: Annotated[Path, Parameter(name="LABELS")],
    /,
    *,
    output: Folder,
    axes: str | None = None,
    spacing: Annotated[
        tuple[float, float, float] | None, Parameter(metavar="Z Y X", negative=())
    ] = None,
    unit: str | None = None,
    names: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    meshes: Annotated[list[int] | None, Parameter(consume_multiple=True, negative=())] = None,
    overwrite: Switch = False,
) -> None:
    """Measure and look at the labels of a volume.

    This writes regions.csv (voxels, volume fraction, components and surface of each label) and
    components.csv (a row for each component), counted slice by slice. Voxels with the largest value
    of their type, such as 255, have no label. For the labels of --meshes it writes label_N.ply and
    surfaces.png. To look at, it writes preview.png and report.html.

    Args:
        labels: Labels of a volume, as segment and predict write them.
        output: Folder for the results; made if it is missing.
        axes: Meaning of the stored axes if the file does not declare it, such as zyx.
        spacing: Size of a voxel along slices, rows and columns; by default that of the file.
        unit: Unit of the spacing, such as um.
        names: YAML file with names and colours of labels, see the command relabel.
        meshes: Labels whose surface is extracted by marching cubes.
        overwrite: Replace files that exist.
    """
    from sp_graph_seg.labels.relabel import read_relabel
    from sp_graph_seg.labels.tables import LabelCounter
    from sp_graph_seg.volumes import open_volume

    volume = open_volume(labels, axes=axes)
    if volume.channels != 1 or volume.dtype.kind not in "bui":
        raise InputError(
            f"{labels}: holds {volume.channels} channels of {volume.dtype}, not labels; give the "
            "output of segment or predict."
        )
    check_spacing(spacing, unit)
    given_spacing = spacing
    if spacing is None and volume.spacing is not None:
        spacing, unit = volume.spacing, volume.spacing_unit
        unit = unit or "unit"
    tables = [output / "regions.csv", output / "components.csv"]
    surfaces = {label: output / f"label_{label}.ply" for label in meshes or []}
    picture = output / "surfaces.png"
    refuse_existing([*tables, *surfaces.values(), *([picture] if meshes else [])], overwrite)
    check_pages(inspection_pages(output), [labels], overwrite)
    about = _stored_legend(labels) if names is None else read_relabel(names)
    unlabelled = None if volume.dtype.kind == "b" else int(np.iinfo(volume.dtype).max)
    counter = LabelCounter(spacing, unit, about.names, unlabelled)
    check_writable(output)
    _count(volume, counter)
    _check_meshes(surfaces, counter, labels)
    _write_tables(counter, tables)
    report("tables", f"{tables[0]} and {tables[1].name}")
    found = counter.label_table()["label"].tolist()
    colors = label_colors(range(max(found, default=0) + 1), about.colors)
    if meshes:
        _extract(volume, surfaces, picture, spacing, unit, about.names, colors)
        report("meshes", f"{', '.join(file.name for file in surfaces.values())} and {picture}")
    if given_spacing is not None:
        volume = open_volume(labels, axes=axes, spacing=given_spacing, unit=unit)
    made = {"Labels": counter.label_table(), "Components": counter.component_table()}
    pictures = [picture] if meshes else []
    write_inspection_pages(output, volume, about.names, colors, made, pictures)


def _stored_legend(labels: Path) -> "Relabel":
    """Returns the names and colours that the labels themselves keep."""
    from sp_graph_seg.label_jobs import parse_output
    from sp_graph_seg.label_jobs.finished import read_finished
    from sp_graph_seg.labels.relabel import Relabel

    try:
        finished = read_finished(parse_output(labels))
    except InputError:  # of a format that this program does not write
        finished = None
    rows = finished.provenance.get("legend", []) if finished else []
    return Relabel(labels={row.pop("label"): row for row in map(dict, rows)})


def _count(volume: "Volume", counter: "LabelCounter") -> None:
    from sp_graph_seg.progress import WorkProgress

    with WorkProgress(len(volume), "slices") as progress:
        for image in volume:
            counter.add(image[0])
            progress.advance()


def _check_meshes(meshes: Iterable[int], counter: "LabelCounter", labels: Path) -> None:
    """Refuses labels that do not occur, before anything is written."""
    found = counter.label_table()["label"].tolist()
    for label in meshes:
        if label not in found:
            there = ", ".join(map(str, found)) or "none"
            raise InputError(f"--meshes {label}: {labels} has no such label; it has {there}.")


def _write_tables(counter: "LabelCounter", files: list[Path]) -> None:
    for file, table in zip(files, (counter.label_table(), counter.component_table()), strict=True):
        write_text(file, table.to_csv())


def _extract(
    volume: "Volume",
    files: dict[int, Path],
    picture: Path,
    spacing: tuple[float, float, float] | None,
    unit: str | None,
    names: dict[int, str],
    colors: dict[int, str],
) -> None:
    from sp_graph_seg.io.mesh import write_mesh
    from sp_graph_seg.labels.surfaces import extract_surface
    from sp_graph_seg.plot import save_figure
    from sp_graph_seg.plot.surfaces import render_surfaces

    voxels = len(volume) * volume.height * volume.width
    step = max(1, int(np.ceil((voxels / _SURFACE_VOXELS) ** (1 / 3))))
    thin = [volume[n][0, ::step, ::step] for n in range(0, len(volume), step)]
    size = tuple(step * length for length in spacing or (1.0, 1.0, 1.0))
    surfaces = {label: extract_surface(np.stack(thin), label, size) for label in files}
    for label, file in files.items():
        write_mesh(file, *surfaces[label], color=colors[label])
    figure = render_surfaces(surfaces, names, colors, unit or "voxels")
    save_figure(picture, figure)
