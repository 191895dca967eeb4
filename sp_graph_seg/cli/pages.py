"""Writes the HTML page and the preview of each result. Failures only cause warnings."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sp_graph_seg.cli.layout import place_pages
from sp_graph_seg.cli.messages import report
from sp_graph_seg.cli.outputs import check_outputs, unlabelled_value
from sp_graph_seg.config import config_to_yaml
from sp_graph_seg.errors import ReportWarning
from sp_graph_seg.io import read_image, read_labels, write_text
from sp_graph_seg.io.record import make_record

if TYPE_CHECKING:
    from sp_graph_seg import Segmenter
    from sp_graph_seg.label_jobs import LabelJob
    from sp_graph_seg.labels.tables import Table as LabelTable
    from sp_graph_seg.report import Page, Sample, Table
    from sp_graph_seg.training import History
    from sp_graph_seg.volumes import Volume

Facts = dict[str, Any]

#: The page of a folder of results.
PAGE = "report.html"

#: Most inputs that a page names.
_NAMED = 10

#: Most rows of a table of components.
_LISTED = 25


def check_pages(files: Sequence[Path], inputs: Sequence[Path], overwrite: bool) -> None:
    """Raises an error if files exist and may not be replaced.

    All files may be replaced if ``overwrite`` is true. They may also be replaced if the last file,
    which is the page, was written by this program.
    """
    if files[-1].exists() and not overwrite:
        from sp_graph_seg.report import is_own_page

        overwrite = is_own_page(files[-1])
    check_outputs(files, inputs, overwrite)


def write_volume_pages(
    job: "LabelJob",
    volume: "Volume",
    segmenter: "Segmenter",
    model: Path,
    record: Facts | None,
    skipped: Mapping[int, str],
) -> None:
    """Writes the preview and the page of a volume whose labels are complete.

    If ``record`` is None, the page shows the record that is stored with the labels.
    """
    preview, file = place_pages(job.output)
    with only_a_warning(file):
        from sp_graph_seg.report import Page, sample_volume
        from sp_graph_seg.volumes import open_volume

        is_page = len(volume) == 1 and job.output.path.suffix.lower() in (".tif", ".tiff")
        order = job.geometry.order[1:] if is_page else job.geometry.order  # a page has two axes
        labels = open_volume(str(job.output), axes=order, axis=volume.axis)
        record = record or _stored_record(job) or make_record()
        trained_on = _trained_on(record)
        sample = sample_volume(
            volume,
            labels,
            trained_on=trained_on,
            names=segmenter.names_,
            colors=segmenter.colors_,
        )
        _write_preview(preview, volume.name, sample)
        page = Page(
            title=volume.name,
            summary=summary(f"{len(volume)} {sample.noun}s", _count_labels(sample), record),
            sample=sample,
            history=_history_of(model),
            facts=_volume_facts(volume, trained_on)
            | {"Model": f"{model}, {_in_words(segmenter)}", "Labels": str(job.output)}
            | _stability(segmenter)
            | _checksums(record),
            settings=config_to_yaml(segmenter.config_),
            record=record,
            warnings=[_skipped(skipped, sample.noun)] if skipped else [],
        )
        write_page(file, page)
        report("report", f"{file}, with {preview.name}")


def write_image_page(
    file: Path, model: Path, inputs: Sequence[Path], pairs: Mapping[Path, Path], placed: Path
) -> None:
    """Writes one page for the labels of one or several images.

    The page is written before the labels are moved to their final paths. Thus labels are never
    there without their page, even if the command is killed.

    Args:
        file: The page.
        model: The model.
        inputs: All files that the labels were made from.
        pairs: Maps the file of each image to the file of its labels.
        placed: The final path of the model, which the page shows. The command moves the model from
            ``model`` to this path after the page is written.
    """
    images = list(pairs)
    with only_a_warning(file):
        from sp_graph_seg import Segmenter
        from sp_graph_seg.report import sample_images

        segmenter = Segmenter.load(model)
        unlabelled = unlabelled_value(segmenter)

        def labelled() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
            for image, labels in pairs.items():
                found = read_labels(labels).astype(np.int64)
                yield image.name, read_image(image), np.where(found == unlabelled, -1, found)

        names, colors = segmenter.names_, segmenter.colors_
        sample = sample_images(labelled(), len(images), names=names, colors=colors)
        _write_image_page(file, sample, segmenter, model, images, make_record(inputs), placed)


def report_page(file: Path) -> None:
    """Prints the path of the page if the page exists."""
    if file.exists():
        report("report", str(file))


def _write_image_page(
    file: Path,
    sample: "Sample",
    segmenter: "Segmenter",
    model: Path,
    images: Sequence[Path],
    record: Facts,
    placed: Path,
) -> None:
    from sp_graph_seg.report import Page

    names = ", ".join(map(str, images[:_NAMED]))
    if len(images) > _NAMED:
        names += f" and {len(images) - _NAMED} more"
    page = Page(
        title=images[0].stem if len(images) == 1 else f"{images[0].stem} to {images[-1].stem}",
        summary=summary(
            f"{len(images)} images" if len(images) > 1 else "1 image", _count_labels(sample), record
        ),
        sample=sample,
        history=_history_of(model),
        facts={"Input": names, "Model": f"{placed}, {_in_words(segmenter)}"}
        | _stability(segmenter)
        | _checksums(record),
        settings=config_to_yaml(segmenter.config_),
        record=record,
    )
    write_page(file, page)


def write_inspection_pages(
    folder: Path,
    labels: "Volume",
    image: "Volume | None",
    names: Mapping[int, str],
    colors: Mapping[int, str],
    tables: Mapping[str, "LabelTable"],
    pictures: Sequence[Path],
) -> None:
    """Writes the preview and the page of the command inspect.

    Args:
        folder: The folder to write to.
        labels: The labels.
        image: The image that the labels were made from. None if it is unknown.
        names: The names of labels.
        colors: The colour of each label.
        tables: The tables of labels, components and sizes, keyed by their titles.
        pictures: Files of pictures to show on the page.
    """
    preview, file = inspection_pages(folder)
    with only_a_warning(file):
        from sp_graph_seg.report import Page, sample_volume

        sample = sample_volume(image, labels, names=names, colors=colors)
        _write_preview(preview, labels.name, sample)
        record = make_record([labels.source.file])
        page = Page(
            title=labels.name,
            summary=summary(f"{len(labels)} {sample.noun}s", _count_labels(sample), record),
            sample=sample,
            pictures={picture.stem.capitalize(): picture.read_bytes() for picture in pictures},
            tables=[_page_table(name, table) for name, table in tables.items() if len(table)],
            facts=_volume_facts(labels, []) | _checksums(record),
            record=record,
        )
        write_page(file, page)
        report("report", f"{file}, with {preview.name}")


def inspection_pages(folder: Path) -> list[Path]:
    """Returns the paths of the preview and the page of the command inspect."""
    return [folder / "preview.png", folder / PAGE]


def _page_table(name: str, table: "LabelTable") -> "Table":
    from sp_graph_seg.report import Table

    columns = [name for name in table.columns if name != "name" or any(table["name"])]
    headers = [table.headers[column].replace("_", " ") for column in columns]
    rows = list(table)
    note = ""
    if len(rows) > _LISTED:
        rows = sorted(rows, key=lambda row: -row["size"])[:_LISTED]
        note = f"The {_LISTED} largest of {len(table)}; all are in the file."
    return Table(name, headers, [[_cell(row[column]) for column in columns] for row in rows], note)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_page(file: Path, page: "Page") -> None:
    """Writes a page. If this fails, no incomplete file remains."""
    from sp_graph_seg.report import render_page

    write_text(file, render_page(page))


def _write_preview(file: Path, title: str, sample: "Sample") -> None:
    from sp_graph_seg.plot import save_figure
    from sp_graph_seg.report.preview import draw_preview

    save_figure(file, draw_preview(title, sample))


@contextmanager
def only_a_warning(file: Path) -> Iterator[None]:
    """Turns any error in making a page into a warning."""
    try:
        yield
    except Exception as error:  # of the input, of the encoders, of the disk
        reason = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(
            f"{file}: cannot be made ({reason.removesuffix('.')}); the labels are complete.",
            ReportWarning,
            stacklevel=3,
        )


def summary(count: str, labels: str, record: Facts) -> list[str]:
    """Returns the texts below the title of a page: counts of images and labels, and the date."""
    date = datetime.fromisoformat(record["date"])
    return [*filter(None, (count, labels)), f"{date.day} {date:%B %Y, %H:%M} UTC"]


def _count_labels(sample: "Sample") -> str:
    return f"{len(sample.legend)} labels" if len(sample.legend) != 1 else "1 label"


def _stored_record(job: "LabelJob") -> Facts | None:
    """Returns the record that is stored with the labels, if their format can store one."""
    from sp_graph_seg.label_jobs.finished import read_finished

    finished = read_finished(job.output)
    return finished.provenance.get("record") if finished else None


def _trained_on(record: Facts) -> list[int]:
    """Returns the slices of this volume that the model was trained on, or an empty list."""
    training = record.get("model", {}).get("record", {})
    contents = [{given["sha256"] for given in one.get("inputs", [])} for one in (record, training)]
    is_same = record.get("part") == training.get("part") and contents[0] & contents[1]
    return training.get("trained_on", []) if is_same else []


def _checksums(record: Facts) -> dict[str, str]:
    files = [
        f"{Path(given['path']).name}: {given['sha256']}" for given in record["inputs"][:_NAMED]
    ]
    return {"SHA-256": ", ".join(files)} if files else {}


def _volume_facts(volume: "Volume", trained_on: Sequence[int]) -> dict[str, str]:
    from sp_graph_seg.report.sample import short_unit

    sizes = " × ".join(map(str, (len(volume), volume.height, volume.width)))
    names = ", ".join(volume.geometry.names)
    facts = {"Input": volume.path, "Size": f"{sizes} ({names}), {volume.dtype}"}
    if volume.channels > 1:
        facts["Size"] += f", {volume.channels} channels"
    if volume.spacing is not None:
        lengths = " × ".join(f"{length:.4g}" for length in volume.spacing)
        facts["Voxel"] = f"{lengths} {short_unit(volume.spacing_unit)} ({names})"
    if volume.frame_rate is not None:
        facts["Frames"] = f"{volume.frame_rate:.4g} per second"
    if trained_on:
        facts["Trained on"] = volume.named(*sorted(trained_on))
    return facts


def _in_words(segmenter: "Segmenter") -> str:
    low, high = segmenter.intensity_range_
    return f"which sees intensities from {low:.5g} to {high:.5g}"


def _stability(segmenter: "Segmenter") -> dict[str, str]:
    from sp_graph_seg.prototypes.stability import describe_stability

    return {"Stability": describe_stability(segmenter.label_stability_)}


def _skipped(skipped: Mapping[int, str], noun: str) -> str:
    number, reason = min(skipped.items())
    more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
    return f"{noun.capitalize()} {number}{more} cannot be read and has no labels: {reason}"


def _history_of(model: Path) -> "History | None":
    """Reads the losses of a model, if segment or train wrote them beside the model."""
    from sp_graph_seg.training import History

    for file in (model.with_name("history.csv"), model.with_suffix(".csv")):
        if file.is_file():
            return History.from_csv(file.read_text(encoding="utf-8"))
    return None
