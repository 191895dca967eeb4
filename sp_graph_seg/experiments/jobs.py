"""The jobs of the benchmark. A job has an image, a method, a setting, a seed and a result file."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.datasets import read_truth
from sp_graph_seg.evaluation.evaluate import score_in_detail
from sp_graph_seg.evaluation.unsupervised import unsupervised_score
from sp_graph_seg.experiments.methods import Method
from sp_graph_seg.io import (
    check_writable,
    decode_image,
    read_labels,
    write_labels,
    write_text,
)
from sp_graph_seg.io.fingerprint import fingerprint
from sp_graph_seg.labels import split_regions
from sp_graph_seg.transforms import ToRAG, compute_superpixels
from sp_graph_seg.transforms.prepare import measure_intensity_range, normalize

#: Changes when old results cannot be compared with new ones.
FORMAT = 4

_KEYS = {"job", "labels", "regions", "unsupervised", "losses", "seconds"}


@dataclass(frozen=True)
class Photo:
    """An image of the data set and its ground truth."""

    name: str
    path: Path
    truth: tuple[Path, ...]

    def read(self) -> NDArray[np.float32]:
        """Reads the image ``(C, H, W)``, in the units of the file."""
        return decode_image(self.path)

    def read_truth(self) -> list[NDArray[np.int64]]:
        """Reads the label map ``(H, W)`` of each annotator."""
        return [labels for path in self.truth for labels in read_truth(path)]


@dataclass(frozen=True)
class Job:
    """One job of the benchmark. Its result does not depend on when or where it is run."""

    photo: Photo
    method: Method
    setting: float
    seed: int
    folder: Path
    """Folder of the results."""

    @property
    def description(self) -> dict[str, Any]:
        """The parameters that determine the result of the job."""
        method = self.method.describe(self.setting, self.seed)
        return {"format": FORMAT, "image": self.photo.name, "method": method}

    @property
    def stem(self) -> Path:
        """The path of the result files without their suffix. Every job has a different path."""
        digest = fingerprint(job=self.description)[:8]
        name = f"{self.setting:g}-seed{self.seed}-{digest}"
        return self.folder / "results" / self.method.name / self.photo.name / name

    def result(self) -> dict[str, Any] | None:
        """Reads the result from disk. Returns None if it is missing or incomplete.

        Also returns None if the file holds the result of another job.
        """
        try:
            values = json.loads(self.scores_file.read_text("utf-8"))
            is_own = values["job"] == json.loads(json.dumps(self.description))
            is_whole = values.keys() == _KEYS and self.labels_file.is_file()
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return values if is_own and is_whole else None

    @property
    def labels_file(self) -> Path:
        """The path of the PNG file that holds the labels."""
        return self.stem.with_name(self.stem.name + ".png")

    @property
    def scores_file(self) -> Path:
        """The path of the JSON file that holds the result. It is written after the labels."""
        return self.stem.with_name(self.stem.name + ".json")

    def run(self) -> dict[str, Any]:
        """Returns the result of the job.

        If the result is not on disk, it is computed and written to disk.
        """
        done = self.result()
        if done is not None:
            return done
        check_writable(self.stem.parent)
        image, truths = _read(self.photo)
        superpixels = None
        if self.method.uses_superpixels():
            superpixels = find_superpixels(self.photo, self.method.config, self.folder)
        start = time.perf_counter()
        labels, losses = self.method.label(image, superpixels, self.setting, self.seed)
        seconds = time.perf_counter() - start
        result = {
            "job": self.description,
            "labels": _score(labels, truths),
            "regions": _score(split_regions(labels), truths),
            "unsupervised": unsupervised_score(labels, self._graph(image)),
            "losses": losses,
            "seconds": seconds,
        }
        write_labels(self.labels_file, labels)
        write_text(self.scores_file, json.dumps(result))
        return result

    def _graph(self, image: NDArray[np.float32]) -> Data:
        superpixels = find_superpixels(self.photo, self.method.config, self.folder)
        return ToRAG(superpixels=superpixels)(_scale(image))


def _score(labels: NDArray, truths: list[NDArray[np.int64]]) -> dict[str, Any]:
    """Computes the clustering scores for each annotator, and all other scores."""
    scores, annotators = score_in_detail(labels, truths)
    others = {name: scores[name] for name in scores if name not in annotators[0]}
    return {"annotators": annotators, "scores": others}


def run_job(job: Job) -> dict[str, Any]:
    """Calls :meth:`Job.run`. This function can be sent to a worker."""
    return job.run()


def make_jobs(
    photos: Sequence[Photo], methods: Sequence[Method], seeds: Sequence[int], folder: Path
) -> Iterator[Job]:
    """Yields a job for each image, method, setting and seed.

    For each seed, all jobs of the same image follow one another, because they share superpixels.
    """
    for seed in seeds:
        for photo in photos:
            for method in methods:
                for setting in method.settings:
                    yield Job(photo, method, setting, seed, folder)


def find_superpixels(photo: Photo, config: Config, folder: Path) -> NDArray[np.int64]:
    """Returns the superpixels ``(H, W)`` of an image.

    All jobs of the image share one file of superpixels. If this file does not exist yet, the
    superpixels are computed and written to it.
    """
    settings = "-".join(str(value) for value in config.superpixel_options().values())
    path = folder / "superpixels" / f"{photo.name}-{settings}.png"
    return _find_superpixels(photo, path, config)


@lru_cache(maxsize=8)
def _find_superpixels(photo: Photo, path: Path, config: Config) -> NDArray[np.int64]:
    if path.is_file():
        return read_labels(path)
    image, _ = _read(photo)
    superpixels = compute_superpixels(_scale(image), **config.superpixel_options())
    check_writable(path.parent)
    write_labels(path, superpixels)
    return superpixels


@lru_cache(maxsize=8)
def _read(photo: Photo) -> tuple[NDArray[np.float32], list[NDArray[np.int64]]]:
    return photo.read(), photo.read_truth()


def _scale(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales an image to the range [0, 1], as the Segmenter does."""
    return normalize(image, *measure_intensity_range([image]))
