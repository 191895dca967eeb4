"""The functions behind the widget: train, preview, label, merge, save and load. Needs no Qt."""

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
    """The settings that the user chooses before training."""

    preset: Literal["auto", "tomogram", "photo", "video", "paper", "fast"] = "auto"
    """The preset. ``auto`` stands for the preset that suits the data."""
    num_labels: int = 0
    """Number of labels. 0 means that it is found in the data."""
    epochs: int = 0
    """Number of epochs. 0 means the number in the preset."""


class TrainingStep(NamedTuple):
    """The report of a training after one step."""

    row: Step
    total: int
    """Expected number of steps. A training on textures takes more."""
    shown: dict[int, LabelsShown]
    """The current labels of the training slices, by slice number. It is empty after most steps."""


class Session:
    """The current model and its relabelling, and the methods that use them.

    Methods that take long call their argument ``report`` with the progress. If ``report`` raises an
    exception, the method ends. An interrupted training does not change the current model. An
    interrupted labelling continues when the method is called again.

    Attributes:
        segmenter: The current model. None until a model is trained or loaded.
        editor: The editor of the names, colours and mergers of the model's labels. None until a
            model is trained or loaded.
        record: How the model was made, see :func:`~sp_graph_seg.io.record.make_record`.
        notes: The notes in the model file, if the model was loaded from a file.
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
        """Trains a new model on slices of a scan. It replaces the current model.

        Args:
            scan: The scan.
            numbers: The numbers of the slices to train on.
            settings: The settings that the user chose.
            report: Called after every step of the training.

        Returns:
            The labels of the training slices, by slice number.

        Raises:
            InputError: A slice does not exist or cannot be used, or training fails.
        """
        count = scan.shape[0]
        for number in numbers:
            if not 0 <= number < count:
                raise InputError(
                    f"slice {number}: does not exist; give numbers from 0 to {count - 1}."
                )
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
            InputError: No model is trained or loaded, or the slice does not fit the model.
        """
        segmenter, editor = self._model()
        return self._shown(segmenter, editor, [scan.read(number)], [number])[number]

    def load(self, path: Path) -> None:
        """Reads a model and its relabelling from a file. They replace the current ones.

        Raises:
            InputError: The file is not a model.
        """
        file = read_model(path)
        segmenter = Segmenter.from_file(file, path)
        self.editor = RelabelEditor(segmenter.colors_, segmenter.relabel_)
        self.segmenter, self.record, self.notes = segmenter, file.record, file.notes

    def save(self, folder: Path, overwrite: bool = False) -> Path:
        """Writes the model and its relabelling to the files of a folder.

        ``model.safetensors`` holds the model and its relabelling. ``map.yaml`` holds only the
        relabelling.

        Args:
            folder: The folder. It is made if it is missing.
            overwrite: Whether a different model in the folder may be replaced.

        Returns:
            The path of the model file.

        Raises:
            InputError: No model is trained or loaded, the folder holds a different model, or the
                files cannot be written.
        """
        segmenter, editor = self._model()
        check_writable(folder)
        file = folder / MODEL_FILES[0]
        own = _with_relabel(segmenter, editor)
        if file.exists() and not overwrite and not _is_trained_alike(own, file):
            raise InputError(
                f"{file}: already holds a different model; add --overwrite or choose another "
                "--output."
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

        After an interruption, the same call labels the remaining blocks.

        Args:
            scan: The scan.
            folder: The folder for the results, see "Where results lie" in the documentation.
            suffix: The format of the labels, such as ``zarr``.
            report: Called with the number of labelled slices and the number of all slices.
            overwrite: Whether existing results in the folder may be replaced.

        Returns:
            The file or folder of the labels.
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
            raise InputError("model: no model is trained or loaded; train a model, or load one.")
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
    """Applies the mergers to the labels of a volume, and writes the new labels.

    The new labels are written to the subfolder ``merged`` of ``folder``. No model is needed. After
    an interruption, the same call writes the remaining blocks.

    Args:
        shown: The labels and their mergers. The labels must be on disk.
        folder: The folder of the results.
        suffix: The format of the new labels, such as ``zarr``.
        report: Called with the number of written slices and the number of all slices.
        overwrite: Whether existing results in the subfolder may be replaced.

    Returns:
        The file or folder of the new labels.
    """
    if shown.volume is None:
        raise InputError(
            "labels: a preview of one slice cannot be written; label the volume first."
        )
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
    """Writes the relabelling of an editor as a YAML file. The command ``relabel`` can read it."""
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
