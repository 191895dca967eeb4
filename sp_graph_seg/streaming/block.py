"""Labels one block of slices in one worker."""

import copy
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sp_graph_seg.io.fingerprint import stamp
from sp_graph_seg.label_jobs import LabelJob
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.prototypes import Appearance
from sp_graph_seg.prototypes.appearance import Described, FrameNodes
from sp_graph_seg.segmenter import Segmenter
from sp_graph_seg.segmenter.model_file import read_model
from sp_graph_seg.segmenter.uncertainty import NO_LABEL, uncertainty_map
from sp_graph_seg.streaming.joined import (
    DEPENDS_ON,
    describe_slice,
    joins_slices,
    label_joined,
)
from sp_graph_seg.streaming.slices import read_slices, read_usable
from sp_graph_seg.streaming.supervoxels import label_supervoxels
from sp_graph_seg.volumes import Volume

Result = TypeVar("Result")
Mode = Literal["slices", "supervoxels"]

_Numbered = tuple[int, NDArray, NDArray | None]
"""The number of a slice, its labels, and their margins if they are known."""

#: Frames before a block that are labelled only to be remembered, so that the labels of a block
#: hardly depend on its first frame.
_WARM_UP = 10

#: Slices that are read ahead of the labelling threads, and the pixels of all slices in memory at
#: once, unless a single slice has more.
_AHEAD = 2
_PIXELS_AT_ONCE = 1 << 26

#: Slices that share a chunk of the file are read in pieces of about this many bytes.
_PIECE_BYTES = 16 * 2**20


class _LastFrames:
    """The last frames of a block, which the next block needs if the same process labels it."""

    def __init__(self) -> None:
        self.stop = -1
        """The end of the block; -1 if nothing is known."""
        self.frames: list[tuple[int, FrameNodes]] = []
        """The numbers and nodes of its last ten frames that could be used, or fewer."""

    def __reduce__(self) -> tuple[type["_LastFrames"], tuple[()]]:
        return _LastFrames, ()  # not sent to other processes


@dataclass(frozen=True)
class BlockLabeler:
    """A function object that labels blocks. It is small enough to be sent to any worker."""

    model: Path
    volume: Volume
    job: LabelJob
    mode: Mode
    relabel: Relabel | None
    skip_bad: bool
    uncertainty: LabelJob | None = None
    head: nn.Module | None = None
    """A module equal to the head that was used in training, if the model needs it."""
    last: _LastFrames = field(default_factory=_LastFrames, compare=False, repr=False)

    def __call__(self, block: tuple[int, int]) -> int:
        """Labels the slices ``block[0]`` to ``block[1] - 1`` and returns the number of slices."""
        start, stop = block
        segmenter = copy.copy(load_model(self.model, self.head).segmenter)
        if torch.cuda.is_available():
            for network in segmenter.networks_:
                network.cuda()
        segmenter.relabel_ = self.relabel
        skipped: dict[int, str] = {}
        remembers = segmenter.config_.memory > 0 and isinstance(segmenter.labeller_, Appearance)
        joins = self.mode == "slices" and joins_slices(segmenter)
        first, last = start, stop
        known: list[tuple[int, FrameNodes]] = []
        if remembers:
            known = self.last.frames if self.last.stop == start else []
            first = start if self.last.stop == start else max(0, start - _WARM_UP)
        elif joins:  # so that blocks leave no trace
            first = max(0, start - DEPENDS_ON)
            last = min(len(self.volume), stop + DEPENDS_ON)
        slices = self._read(first, last, skipped)
        with _single_threaded() as threads:
            if remembers:
                numbered = self._label_frames(segmenter, known, slices, threads, block)
            elif joins:
                numbered = label_joined(
                    segmenter,
                    _in_threads(
                        lambda number, image: describe_slice(segmenter, number, image),
                        slices,
                        threads,
                    ),
                )
            elif self.mode == "slices":
                numbered = _label_slices(segmenter, slices, threads, self.uncertainty is not None)
            else:
                found = label_supervoxels(segmenter, slices)
                numbered = ((number, labels, None) for number, labels in found)
            results = (result for result in numbered if start <= result[0] < stop)
            self._write(start, stop, results, skipped)
        return stop - start

    def _label_frames(
        self,
        segmenter: Segmenter,
        known: list[tuple[int, FrameNodes]],
        frames: Iterable[tuple[int, NDArray]],
        threads: int,
        block: tuple[int, int],
    ) -> Iterator[_Numbered]:
        """Labels frames one after the other. Each frame uses the memory of the frame before it.

        Several threads describe the next frames at the same time. Frames before the block are only
        remembered. Those that are ``known`` are not described again.
        """
        labeller, before = segmenter.labeller_, None
        assert isinstance(labeller, Appearance), "the labeller of videos"
        start, stop = block
        self.last.stop = -1

        def describe(number: int, frame: NDArray) -> tuple[int, Described]:
            return number, labeller.describe(*segmenter.normalize(frame))

        for _, nodes in known:
            _, before = labeller.remember(before, nodes)
        for number, described in _in_threads(describe, frames, threads):
            known = [frame for frame in known if frame[0] > number - _WARM_UP]
            known.append((number, described.own))
            if number < start:
                _, before = labeller.remember(before, described.own)
                continue
            labels, margins, before = labeller.label_after(before, described)
            finished = segmenter.finish(labels, labels.shape, described.mask)
            yield number, finished, None if self.uncertainty is None else margins()
        self.last.frames = [frame for frame in known if frame[0] >= stop - _WARM_UP]
        self.last.stop = stop

    def _write(
        self, start: int, stop: int, results: Iterable[_Numbered], skipped: dict[int, str]
    ) -> None:
        """Writes the labels of a block and, if requested, the uncertainty of the labels."""
        size = (stop - start, *self.job.shape[1:])
        labels = np.full(size, self.job.unlabelled, self.job.dtype)
        uncertain = None if self.uncertainty is None else np.full(size, NO_LABEL, np.uint8)
        for number, found, margins in results:
            labels[number - start] = found
            labels[number - start][found < 0] = self.job.unlabelled
            if uncertain is not None and margins is not None:
                uncertain[number - start] = uncertainty_map(found, margins)
        own = {number: reason for number, reason in skipped.items() if start <= number < stop}
        if self.uncertainty is not None and uncertain is not None:
            self.uncertainty.write_block(start, uncertain, own)
        if not self.job.is_assembled():
            self.job.write_block(start, labels, own)

    def _read(
        self, start: int, stop: int, skipped: dict[int, str]
    ) -> Iterator[tuple[int, NDArray]]:
        """Yields slices with their numbers.

        If ``skip_bad`` is True, slices that cannot be used are left out and added to ``skipped``.
        """
        for first, last in self.volume.read_runs(_PIECE_BYTES, start, stop):
            if self.skip_bad:
                yield from read_usable(self.volume, first, last, skipped)
            else:
                yield from enumerate(read_slices(self.volume, first, last), start=first)


class LoadedModel(NamedTuple):
    """The content of a model file."""

    segmenter: Segmenter
    digest: str
    """A hash of the content of the file."""
    notes: dict[str, Any]


def load_model(path: str | os.PathLike[str], head: nn.Module | None = None) -> LoadedModel:
    """Reads a model file.

    Repeated calls in a process return the same model until the file or ``head`` changes.
    """
    file = Path(path).absolute()
    return _load_model(file, stamp(file) if file.exists() else (0, 0), head)


@lru_cache(maxsize=1)
def _load_model(path: Path, stamp: tuple[int, int], head: nn.Module | None) -> LoadedModel:
    file = read_model(path)
    return LoadedModel(Segmenter.from_file(file, path, head), file.digest(), file.notes)


def _label_slices(
    segmenter: Segmenter, slices: Iterable[tuple[int, NDArray]], threads: int, with_margins: bool
) -> Iterator[_Numbered]:
    """Labels each slice by itself. Several threads label different slices at the same time."""

    def predict(number: int, image: NDArray) -> _Numbered:
        if with_margins:
            return number, *segmenter.predict_with_margin(image)
        return number, segmenter.predict(image), None

    return _in_threads(predict, slices, threads)


def _in_threads(
    function: Callable[[int, NDArray], Result],
    slices: Iterable[tuple[int, NDArray]],
    threads: int,
) -> Iterator[Result]:
    """Applies a function to slices in several threads, and yields the results in order.

    The next slices are read while the threads work.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for number, image in slices:
            waiting.append(pool.submit(function, number, image))
            at_once = max(1, _PIXELS_AT_ONCE // image.size)
            del image
            while len(waiting) >= min(threads + _AHEAD, at_once):
                yield waiting.popleft().result()
        for done in waiting:
            yield done.result()


@contextmanager
def _single_threaded() -> Iterator[int]:
    """Limits torch to one thread for each operation, and yields the earlier number of threads.

    With one thread, sums have the same order on every machine. The other cores label other slices
    at the same time. This is faster, because superpixels of one slice are made by only one core.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
