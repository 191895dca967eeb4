"""Notices changed inputs, and resumes trainings, for commands that can be interrupted."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sp_graph_seg._version import __version__
from sp_graph_seg.cli.outputs import write_model
from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.io.record import add_record, make_record
from sp_graph_seg.io.staging import Stage

if TYPE_CHECKING:
    from sp_graph_seg import Segmenter


#: Folder of the work in progress, in the folder of the results of images.
WORK = ".partial"


class Inputs:
    """The files that a command reads. Remembers the size and date of each file at the start."""

    def __init__(self, *files: Path) -> None:
        self.files = files
        self._stamps = self._stamp()

    def digests(self) -> list[str]:
        """Returns the SHA-256 checksum of the content of each file, in hexadecimal digits."""
        found = []
        for path in filter(Path.exists, self.files):  # a mask may be "auto"
            with open(path, "rb") as file:
                found.append(hashlib.file_digest(file, "sha256").hexdigest())
        return found

    def check_unchanged(self) -> None:
        """Raises an error if a file has been replaced since the command began."""
        for path, before, now in zip(self.files, self._stamps, self._stamp(), strict=True):
            if before != now:
                raise InputError(f"{path}: was replaced while the command ran; repeat the command.")

    def _stamp(self) -> list[tuple[int, int] | None]:
        return [
            (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None
            for path in self.files
        ]


def describe(command: str, inputs: Inputs, **settings: Any) -> dict[str, Any]:
    """Returns everything that the results of a command depend on, as JSON values."""
    names = [path.name for path in inputs.files]
    return {
        "command": command,
        "version": __version__,
        "inputs": names,
        "contents": inputs.digests(),
        **settings,
    }


def work_folder(result: Path) -> Path:
    """Returns the folder, beside a result, that holds the unfinished work on the result."""
    return result.with_name(f"{result.name}.partial")


def record_images(stage: Stage, page: Path, inputs: Inputs, model: Path, **more: Any) -> None:
    """Records how the labels of images were made, in a file in the folder of the labels.

    The record is written before the results are moved to their final paths. Thus labels are never
    there without their record, even if the command is killed.

    Args:
        stage: The work folder with the results.
        page: The page of the results, in their final folder.
        inputs: The files that the command read.
        model: The model of the labels.
        more: JSON values to add to the record.
    """
    from sp_graph_seg.segmenter.model_file import read_model

    file = read_model(model)
    trained = {"record": file.record, "config": file.metadata["config"]}
    made_from = [path for path in inputs.files if path.exists()]  # a mask may be "auto"
    record = make_record(made_from, model=trained, **more)
    add_record(page.parent, [page], record, moved_later=stage.made())


def train_in(
    stage: Stage,
    names: Sequence[str],
    config: Config,
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray] | None,
    intensity_range: tuple[float, float] | None,
    notes: Mapping[str, Any] | None = None,
    record: Mapping[str, Any] | None = None,
) -> "Segmenter":
    """Trains a model in a work folder, or reads the model that an interrupted run left there.

    Args:
        stage: The work folder.
        names: File name of the model, and then the names of its training files, see
            :func:`~sp_graph_seg.cli.outputs.write_model`.
        config: The hyperparameters.
        images: Images to train on.
        masks: Masks of the images.
        intensity_range: See :meth:`Segmenter.fit <sp_graph_seg.Segmenter.fit>`.
        notes: JSON values to keep with the model.
        record: How the model was made, see :mod:`sp_graph_seg.io.record`.
    """
    from sp_graph_seg import Segmenter

    model, *records = map(stage.file, names)
    if model.exists() and records[0].exists():
        return Segmenter.load(model)
    _compare_threads(stage.places[0], config)
    segmenter = Segmenter(config).fit(
        images,
        masks=masks,
        intensity_range=intensity_range,
        progress=True,
        checkpoint_folder=stage.file("training"),
    )
    write_model(segmenter, model, records, notes, record)
    return segmenter


def _compare_threads(model: Path, config: Config) -> None:
    """Warns if an existing model will be trained again with a different number of threads."""
    from sp_graph_seg.segmenter.model_file import read_model
    from sp_graph_seg.training import warn_of_other_threads

    try:
        old = read_model(model)
    except InputError:  # there is none, or one of another version
        return
    is_same = old.metadata["config"] == json.loads(json.dumps(config.to_dict()))
    if is_same and "threads" in old.record:
        warn_of_other_threads(str(model), old.record["threads"])
