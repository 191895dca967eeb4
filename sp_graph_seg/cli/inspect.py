"""The command ``sp-graph-seg inspect``, which measures and draws the labels of a volume."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter

from sp_graph_seg.cli.app import PROGRAM, Folder, Switch, app
from sp_graph_seg.cli.label_volumes import LabelVolume, open_image_of, open_label_volume
from sp_graph_seg.cli.messages import report
from sp_graph_seg.cli.pages import check_pages, inspection_pages, write_inspection_pages
from sp_graph_seg.cli.volume_flags import check_spacing
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable, label_colors, refuse_existing, write_text
from sp_graph_seg.io.record import add_record, make_record

if TYPE_CHECKING:
    from sp_graph_seg.labels.greys import Grey
    from sp_graph_seg.labels.tables import LabelCounter, Table
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
    image: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    meshes: Annotated[list[int] | None, Parameter(consume_multiple=True, negative=())] = None,
    triangles: int | None = None,
    overwrite: Switch = False,
) -> None:
    """Measure the labels of a volume, and draw them.

    The command writes regions.csv, with the voxels, volume, share, components, surface area and
    grey values of each label. It also writes components.csv, with a row for each component,
    sizes.csv, with the number of components by diameter, preview.png and report.html.

    For each label N of --meshes, the command writes a mesh, label_N.ply. Its coordinates are in the
    unit of the voxel size. The first voxel lies at the origin that the file declares, or at 0. A
    picture of all meshes is surfaces.png.

    Voxels with the largest value of the data type, such as 255, have no label. The volume is read
    slice by slice.

    Args:
        labels: Labels of a volume, such as those that segment and predict write.
        output: Folder for the results. It is made if it is missing.
        axes: Names of the stored axes in order, such as zyx. Needed if the file does not declare
            them.
        spacing: Size of a voxel along z, y and x. By default, the size in the file.
        unit: Unit of the spacing, such as um.
        names: YAML file with names and colours of labels. The command relabel writes such a file
            with --make.
        image: The image that the labels were made from. It is needed for grey values. By default,
            the image whose path is stored with the labels, if the image is still there.
        meshes: Labels whose surfaces are extracted by marching cubes and written as meshes.
        triangles: Largest number of triangles in a mesh. By default, meshes are not simplified.
        overwrite: Replace files that exist.
    """
    from sp_graph_seg.labels.relabel import read_relabel
    from sp_graph_seg.labels.tables import LabelCounter
    from sp_graph_seg.volumes import open_labels
    from sp_graph_seg.volumes.geometry import unit_in_tables

    opened = open_label_volume(labels, axes)
    volume = opened.volume
    of = open_image_of(opened, image)
    check_spacing(spacing, unit)
    given_spacing = spacing
    if spacing is None and volume.spacing is not None:
        spacing, unit = volume.spacing, volume.spacing_unit or "unit"
    unit = unit_in_tables(unit)
    tables = [output / "regions.csv", output / "components.csv", output / "sizes.csv"]
    surfaces = {label: output / f"label_{label}.ply" for label in meshes or []}
    picture = output / "surfaces.png"
    refuse_existing([*tables, *surfaces.values(), *([picture] if meshes else [])], overwrite)
    check_pages(inspection_pages(output), [labels], overwrite)
    about = opened.legend() if names is None else read_relabel(names)
    counter = LabelCounter(spacing, unit, about.names, -1)
    check_writable(output)
    greys = _count(opened, counter, of)
    _check_meshes(surfaces, counter, labels)
    found = _write_tables(counter, greys, tables)
    report("tables", f"{tables[0]}, {tables[1].name} and {tables[2].name}")
    if of is None:
        report("grey", "none, as the image is not known; --image FILE adds its grey values")
    colors = label_colors(range(max(found["Labels"]["label"], default=0) + 1), about.colors)
    if meshes:
        _extract(volume, surfaces, picture, spacing, unit, about.names, colors, triangles)
        report("meshes", f"{', '.join(file.name for file in surfaces.values())} and {picture}")
    inputs = [source.source.file for source in (volume, of) if source is not None]
    record = make_record([*inputs, *([names] if names else [])], voxel=[spacing, unit])
    if given_spacing is not None:
        volume = open_labels(labels, axes=axes, spacing=given_spacing, unit=unit)
    pictures = [picture] if meshes else []
    write_inspection_pages(output, volume, of, about.names, colors, found, pictures)
    written = [*tables, *surfaces.values(), *pictures, *inspection_pages(output)]
    add_record(output, written, record)


def _count(
    labels: LabelVolume, counter: "LabelCounter", image: "Volume | None"
) -> "dict[int, Grey]":
    """Counts the voxels of all slices. If an image is given, returns the grey values of labels."""
    from sp_graph_seg.labels.greys import GreyCounter
    from sp_graph_seg.progress import WorkProgress

    greys = GreyCounter()
    with WorkProgress(len(labels.volume), labels.volume.noun) as progress:
        for number, found in enumerate(labels.slices()):
            counter.add(found)
            if image is not None:
                greys.add(found, image[number])
            progress.advance()
    return greys.greys()


def _check_meshes(meshes: Iterable[int], counter: "LabelCounter", labels: Path) -> None:
    """Raises an error if a label does not occur. This is checked before anything is written."""
    found = counter.label_table()["label"].tolist()
    for label in meshes:
        if label not in found:
            there = ", ".join(map(str, found)) or "none"
            raise InputError(
                f"--meshes {label}: is not a label of {labels}; use one of its labels: {there}."
            )


def _write_tables(
    counter: "LabelCounter", greys: "dict[int, Grey]", files: list[Path]
) -> "dict[str, Table]":
    """Writes the tables, and returns them by their titles."""
    from sp_graph_seg.labels import size_distribution

    regions, components = counter.label_table(), counter.component_table()
    if greys:
        labels = regions["label"].tolist()
        for name in ("mean", "std", "low", "high"):
            values = [getattr(greys[n], name) if n in greys else np.nan for n in labels]
            regions.columns[f"grey_{name}"] = np.array(values)
            regions.headers[f"grey_{name}"] = f"grey_{name}"
    tables = (regions, components, size_distribution(components))
    for file, table in zip(files, tables, strict=True):
        write_text(file, table.to_csv())
    return dict(zip(("Labels", "Components", "Sizes"), tables, strict=True))


def _extract(
    volume: "Volume",
    files: dict[int, Path],
    picture: Path,
    spacing: tuple[float, float, float] | None,
    unit: str | None,
    names: dict[int, str],
    colors: dict[int, str],
    triangles: int | None,
) -> None:
    from sp_graph_seg.io.mesh import write_mesh
    from sp_graph_seg.labels import extract_surface, simplify_surface
    from sp_graph_seg.plot import save_figure
    from sp_graph_seg.plot.surfaces import render_surfaces

    voxels = len(volume) * volume.height * volume.width
    step = max(1, int(np.ceil((voxels / _SURFACE_VOXELS) ** (1 / 3))))
    thin = [volume[n][0, ::step, ::step] for n in range(0, len(volume), step)]
    size = tuple(step * length for length in spacing or (1.0, 1.0, 1.0))
    is_placed = spacing is not None and spacing == volume.spacing
    origin = [axis.origin if is_placed else 0.0 for axis in volume.geometry.axes]
    begin = np.array(origin[::-1], np.float32)
    surfaces = {}
    for label, file in files.items():
        surface = extract_surface(np.stack(thin), label, size)
        surface = surface if triangles is None else simplify_surface(surface, triangles)
        surfaces[label] = surface._replace(vertices=surface.vertices + begin)
        write_mesh(file, *surfaces[label], color=colors[label])
    figure = render_surfaces(surfaces, names, colors, unit or "voxels")
    save_figure(picture, figure)
