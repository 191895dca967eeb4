"""What the widget does, without Qt: train, preview, label a volume, merge, save and load."""

import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.cli.flags import TrainingFlags
from sp_graph_seg.cli.layout import place_labels
from sp_graph_seg.cli.outputs import MODEL_FILES, write_model
from sp_graph_seg.cli.pages import write_volume_pages
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable, write_text
from sp_graph_seg.io.fingerprint import fingerprint
from sp_graph_seg.io.record import add_record, make_record, recorded_as
from sp_graph_seg.label_jobs import LabelOutput, parse_output
from sp_graph_seg.label_jobs.finished import read_finished
from sp_graph_seg.label_jobs.manifest import label_dtype
from sp_graph_seg.labels.relabel import relabel_to_yaml, relabel_volume
from sp_graph_seg.napari_plugin.layers import LabelsShown
from sp_graph_seg.napari_plugin.relabel_editor import RelabelEditor, as_stored, labels_in
from sp_graph_seg.napari_plugin.scan import Scan
from sp_graph_seg.segmenter import Segmenter
from sp_graph_seg.segmenter.model_file import read_model
from sp_graph_seg.streaming import label_volume
from sp_graph_seg.training import count_steps
from sp_graph_seg.training.history import Step

MAP = "map.yaml"
"""The file with the relabelling, for ``--map`` and ``--relabel``."""

#: What records name as the command.
_COMMAND = ("napari", "--with", "sp_graph_seg", "Segment")

#: Slices of a block, so that a job stops and reports soon.
_BLOCK = 8

#: The preview of a training takes at most one part in this many of its time, and comes at most once
#: in this many seconds.
_PARTS, _BETWEEN_PREVIEWS = 5, 1.0


class Settings(NamedTuple):
    """What a person sets before training."""

    preset: Literal["auto", "tomogram", "photo", "video", "paper", "fast"] = "auto"
    """``auto`` for the preset that suits the data."""
    num_labels: int = 0
    """0 to find the number in the data."""
    epochs: int = 0
    """0 for that of the preset."""


class TrainingStep(NamedTuple):
    """What is known after a step of the training."""

    row: Step
    total: int
    """Number of steps; for textures there are more."""
    shown: dict[int, LabelsShown]
    """The labels of the slices so far, by their numbers; empty after most steps."""


class Session:
    """One model with its relabelling, from the training or from a file.

    Methods that take long call ``report`` with their progress. An exception that it raises ends
    them: a training leaves the model of before, and a job goes on when it is called again.

    Attributes:
        segmenter: The model; None before the first training.
        editor: Its names, colours and mergers.
        record: Who made the model from what.
        notes: The notes in the file of a model that was loaded.
    """

    def __init__(self) -> None:
        self.segmenter: Segmenter | None = None
        self.editor: RelabelEditor | None = None
        self.record: dict[str, Any] = {}
        self.notes: dict[str, Any] = {}

    def train(
        self,
        scan: Scan,
        numbers: Sequence[int],
        settings: Settings,
        report: Callable[[TrainingStep], None],
    ) -> dict[int, LabelsShown]:
        """Trains a model on slices, and replaces the model of before.

        Args:
            scan: The scan.
            numbers: The numbers of the slices.
            settings: The settings.
            report: Called after every step.

        Returns:
            The labels of these slices, by their numbers.

        Raises:
            InputError: A slice does not exist or cannot be used, or training fails.
        """
        count = scan.shape[0]
        for number in numbers:
            if not 0 <= number < count:
                raise InputError(f"slice {number}: does not exist; give 0 to {count - 1}.")
        flags = TrainingFlags(  # type: ignore[call-arg]  # its fields are made from Config
            preset=settings.preset,
            num_labels=settings.num_labels or None,
            epochs=settings.epochs or None,
        )
        config = flags.resolve(scan.kind, for_volume=True)
        images = [scan.read(number) for number in numbers]
        total, next_preview = count_steps(config, len(images)), time.monotonic() + _BETWEEN_PREVIEWS

        def follow(row: Step, so_far: Callable[[], Segmenter]) -> None:
            nonlocal next_preview
            start, shown = time.monotonic(), {}
            if start >= next_preview:
                model = so_far()
                shown = self._shown(model, RelabelEditor(model.colors_), images, numbers)
                took = time.monotonic() - start
                next_preview = start + took + max(_BETWEEN_PREVIEWS, (_PARTS - 1) * took)
            report(TrainingStep(row, total, shown))

        limits = scan.intensity_range()
        segmenter = Segmenter(config).fit(images, intensity_range=limits, on_step=follow)
        self.segmenter, self.editor = segmenter, RelabelEditor(segmenter.colors_)
        with recorded_as(_COMMAND):
            files = [] if scan.volume is None else [scan.volume.source.file]
            part = {} if scan.volume is None else {"part": scan.volume.part_read}
            self.record = make_record(files, **part, seed=config.seed, trained_on=list(numbers))
        self.notes = {}
        return self._shown(segmenter, self.editor, images, numbers)

    def preview(self, scan: Scan, number: int) -> LabelsShown:
        """Labels one slice with the model.

        Raises:
            InputError: There is no model, or the slice does not suit it.
        """
        segmenter, editor = self._model()
        return self._shown(segmenter, editor, [scan.read(number)], [number])[number]

    def load(self, path: Path) -> None:
        """Reads a model with its relabelling.

        Raises:
            InputError: The file is not a model.
        """
        file = read_model(path)
        segmenter = Segmenter.from_file(file, path)
        self.editor = RelabelEditor(segmenter.colors_, segmenter.relabel_)
        self.segmenter, self.record, self.notes = segmenter, file.record, file.notes

    def save(self, folder: Path, overwrite: bool = False) -> Path:
        """Writes the model with its map, ``model.safetensors``, and the map alone, ``map.yaml``.

        Args:
            folder: The folder, made if it is missing.
            overwrite: Replace another model in the folder.

        Returns:
            The file of the model.

        Raises:
            InputError: There is no model, the folder holds another one, or it cannot be written.
        """
        segmenter, editor = self._model()
        check_writable(folder)
        file = folder / MODEL_FILES[0]
        own = _with_relabel(segmenter, editor)
        if file.exists() and not overwrite and not _is_trained_alike(own, file):
            raise InputError(
                f"{file}: is another model; allow to replace it, or choose another folder."
            )
        beside = [folder / name for name in MODEL_FILES[1:]]
        if segmenter.history_ is None:
            own.save(file, self.notes, self.record)
        else:
            write_model(own, file, beside, record=self.record)
        write_map(folder / MAP, editor)
        add_record(folder, [file, *beside, folder / MAP], self.record)
        return file

    def label(
        self,
        scan: Scan,
        folder: Path,
        suffix: str,
        report: Callable[[int, int], None],
        overwrite: bool = False,
    ) -> LabelOutput:
        """Labels all slices of a scan with the model and its relabelling, and saves the model.

        After an interruption, the same call does the remaining blocks.

        Args:
            scan: The scan.
            folder: The folder of the results, see "Where results lie" in the documentation.
            suffix: The format of the labels, such as ``zarr``.
            report: Called with the number of labelled slices, and of all slices.
            overwrite: Replace other results in the folder.

        Returns:
            The output.
        """
        volume = scan.on_disk(folder)
        (output,) = place_labels([volume], folder, suffix)
        model = self.save(folder, overwrite)
        segmenter = Segmenter.load(model)
        with recorded_as(_COMMAND):
            job = label_volume(
                model,
                volume,
                output,
                block=None if output.partial.exists() else min(_BLOCK, len(volume)),
                workers=0,
                preflight=False,
                resume=True,
                overwrite=overwrite,
                progress=report,
            )
            write_volume_pages(job, volume, segmenter, model, None, job.skipped or {})
        return output

    def _model(self) -> tuple[Segmenter, RelabelEditor]:
        if self.segmenter is None or self.editor is None:
            raise InputError("model: there is none; train one, or load one.")
        return self.segmenter, self.editor

    def _shown(
        self,
        segmenter: Segmenter,
        editor: RelabelEditor,
        images: Sequence[NDArray],
        numbers: Sequence[int],
    ) -> dict[int, LabelsShown]:
        """Labels images, before mergers."""
        dtype = label_dtype(segmenter.num_labels_)
        unlabelled = int(np.iinfo(dtype).max)
        plain = _with_relabel(segmenter, None)
        found = [as_stored(plain.predict(image), dtype) for image in images]
        used = sorted({label for labels in found for label in labels_in(labels, unlabelled)})
        return {
            number: LabelsShown(labels[np.newaxis], editor, unlabelled, used=used)
            for number, labels in zip(numbers, found, strict=True)
        }


def write_merged(
    shown: LabelsShown,
    folder: Path,
    suffix: str,
    report: Callable[[int, int], None],
    overwrite: bool = False,
) -> LabelOutput:
    """Writes the labels of a volume after mergers, in the folder ``merged`` of a folder.

    The network is not needed. After an interruption, the same call does the remaining blocks.

    Args:
        shown: The labels, which must be on the disk.
        folder: The folder of the results.
        suffix: The format of the labels, such as ``zarr``.
        report: Called with the number of written slices, and of all slices.
        overwrite: Replace other results in the folder.

    Returns:
        The output.
    """
    if shown.volume is None:
        raise InputError("labels: are those of one slice; label the volume first.")
    folder = folder / "merged"
    (output,) = place_labels([shown.volume], folder, suffix)
    check_writable(folder)
    relabel = shown.editor.to_relabel()
    with recorded_as(_COMMAND):
        record = make_record([shown.volume.source.file], relabel=relabel.to_dict())
    finished = read_finished(parse_output(shown.volume.path))
    stored = finished.provenance if finished else {}
    before, place = stored.get("record"), shown.volume.geometry
    part = stored.get("geometry", {}).get("part") or place.part  # of the scan, not of its labels
    write_map(folder / MAP, shown.editor)
    relabel_volume(
        shown.volume,
        relabel,
        output,
        geometry=replace(place, part=part),
        record=record | ({"before": before} if before else {}),
        overwrite=overwrite,
        resume=True,
        progress=report,
    )
    return output


def write_map(file: Path, editor: RelabelEditor) -> None:
    """Writes names, colours and mergers as YAML, for the command line."""
    write_text(file, relabel_to_yaml(editor.to_relabel()))


def _with_relabel(segmenter: Segmenter, editor: RelabelEditor | None) -> Segmenter:
    """Returns the same model with another relabelling; the given one is not changed."""
    own = copy.copy(segmenter)
    own.relabel_ = None if editor is None else editor.to_relabel()
    return own


def _is_trained_alike(segmenter: Segmenter, file: Path) -> bool:
    """Returns whether a file holds the same weights and settings, whatever its relabelling."""
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "own.safetensors"
        segmenter.save(own)
        return _trained(own) == _trained(file)


def _trained(file: Path) -> str:
    model = read_model(file)
    metadata = {**model.metadata, "relabel": None, "notes": None}
    return fingerprint(weights=model.weights, metadata=metadata)
