"""A label job: takes labels in blocks and assembles one output."""

import math
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.durable import remove, sync, sync_tree
from sp_graph_seg.label_jobs.base import Blocks, PiecewiseFormat, StreamedFormat
from sp_graph_seg.label_jobs.blocks import Block, BlockStore, block_store
from sp_graph_seg.label_jobs.finished import refuse_replacing
from sp_graph_seg.label_jobs.manifest import Found, Manifest, label_dtype
from sp_graph_seg.label_jobs.outputs import LabelOutput
from sp_graph_seg.label_jobs.partial import State, mark_assembled, read_state, remove_partial
from sp_graph_seg.volumes.geometry import Geometry

RUN_BYTES = 2**28
"""The size in bytes of the labels held at once if slices are not along an output's first axis."""

Progress = Callable[[int, int], None]
"""Called with the number of blocks assembled or verified so far, and the number of all blocks."""


@dataclass(frozen=True, kw_only=True)
class LabelJob:
    """The job of labelling a volume or video; see `open_label_job`.

    A job is small and can be pickled. Processes on several machines with a common file system may
    write different blocks at the same time. One process finishes the job.

    Attributes:
        output: The output of the job.
        shape: ``(S, H, W)``, the number of slices, their height and width in pixels.
        num_labels: The labels are 0 to num_labels - 1.
        block: Slices in a block. The last block may have fewer.
        geometry: Where the slices lie, and the order of the axes of the output.
        fingerprint: The fingerprint of the manifest.
        overwrite: Whether `finish` may replace an existing output.
        complete: Whether the output is finished, so that nothing is left to do.
        skipped: The skipped slices of a complete output, and the reasons.
    """

    output: LabelOutput
    shape: tuple[int, int, int]
    num_labels: int
    block: int
    geometry: Geometry
    fingerprint: str
    overwrite: bool = False
    complete: bool = False
    skipped: Mapping[int, str] | None = None

    @property
    def path(self) -> Path:
        """The file or folder of the output."""
        return self.output.path

    @property
    def dtype(self) -> np.dtype:
        """The type of the labels: uint8 or uint16."""
        return label_dtype(self.num_labels)

    @property
    def unlabelled(self) -> int:
        """The value of pixels without a label: 255 or 65535."""
        return int(np.iinfo(self.dtype).max)

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """All blocks as ``(start, stop)``, in order."""
        count = self.shape[0]
        return [(k, min(k + self.block, count)) for k in range(0, count, self.block)]

    def is_assembled(self) -> bool:
        """Returns whether the output is assembled, so that blocks are no longer needed."""
        return self.complete or self._state().skipped is not None

    def missing_blocks(self) -> list[tuple[int, int]]:
        """Finds the blocks that must still be written. All existing blocks are read and verified.

        Returns:
            ``(start, stop)`` of the blocks that are absent or damaged, in order.

        Raises:
            InputError: The work in progress is gone or has other settings.
        """
        if self.is_assembled():
            return []
        return [(start, stop) for start, stop in self.blocks if self.read_block(start) is None]

    def write_block(
        self, start: int, labels: np.ndarray, skipped: Mapping[int, str] | None = None
    ) -> None:
        """Writes the labels of one block, whole or not at all.

        Args:
            start: The number of its first slice.
            labels: ``(n, H, W)`` integer array for the n slices of the block, with values from 0 to
                num_labels - 1, or `unlabelled`.
            skipped: The numbers of slices that could not be labelled, and the reasons. All their
                pixels become `unlabelled`, whatever ``labels`` holds.

        Raises:
            InputError: The labels do not fit the job; the work in progress is gone, already
                assembled or has other settings; or the block cannot be written. Finished blocks are
                kept.
        """
        skipped = dict(skipped or {})
        shape = self._block_shape(start)
        labels = np.asarray(labels)
        if labels.shape != shape or labels.dtype.kind not in "bui":
            raise InputError(
                f"labels: {labels.dtype} of shape {labels.shape} do not fit slices {start} to "
                f"{start + shape[0] - 1}; give integers of shape {shape}."
            )
        if outside := [number for number in skipped if not 0 <= number - start < shape[0]]:
            raise InputError(
                f"skipped: slice {outside[0]} is not in the block that starts at slice {start}; "
                "count slices from the start of the volume."
            )
        wrong = (labels < 0) | (labels >= self.num_labels) & (labels != self.unlabelled)
        wrong[[number - start for number in skipped]] = False
        if wrong.any():
            raise InputError(
                f"labels: {labels[wrong][0]} is neither from 0 to {self.num_labels - 1} nor "
                f"{self.unlabelled} (unlabelled); correct the labels or begin a job with a larger "
                "num_labels."
            )
        stored = np.array(labels, dtype=self.dtype, order="C")
        stored[[number - start for number in skipped]] = self.unlabelled
        self._refuse_finished()
        with self._keeping_blocks():
            self._store.write(start, stored, skipped)

    def read_block(self, start: int) -> Block | None:
        """Reads a block and verifies it.

        Args:
            start: The number of its first slice.

        Returns:
            Labels and skipped slices, or None if the block is absent or damaged.
        """
        return self._store.read(start, self._block_shape(start), self.dtype)

    def finish(
        self, progress: Progress | None = None, record: Mapping[str, Any] | None = None
    ) -> dict[int, str]:
        """Assembles the output, gives it its name and removes the blocks.

        Only a few blocks are in memory at a time. The output is assembled in the folder of the
        work in progress; if the blocks were written into the output, they are verified instead.
        Then the output is moved to its name, so that nothing incomplete ever has that name. After
        an interruption, open the job in the same way and call this again.

        Args:
            progress: Called after each block that was assembled or verified. Default: None.
            record: Who made the output from what, as JSON values; see `sp_graph_seg.io.record`.

        Returns:
            The skipped slices and their reasons.

        Raises:
            InputError: Blocks are missing or damaged, the output has been created meanwhile, or
                it cannot be written. Finished blocks are kept.
        """
        if self.complete:
            return dict(self.skipped or {})
        manifest, skipped = self._state()
        manifest = replace(manifest, record=dict(record or {}))
        with self._keeping_blocks():
            if skipped is None:
                found = self._found_in_blocks()
                skipped = dict(found.skipped)
                self._assemble(manifest, found, progress)
                mark_assembled(self.output.partial, manifest, skipped)
            self._move()
            remove_partial(self.output.partial)
        return skipped

    @property
    def _store(self) -> BlockStore:
        return block_store(self.output, self.fingerprint, self.block, self.geometry.places)

    def _block_shape(self, start: int) -> tuple[int, int, int]:
        count, height, width = self.shape
        if start % self.block or not 0 <= start < count:
            raise InputError(
                f"start: no block starts at slice {start}; give a start from LabelJob.blocks."
            )
        return min(self.block, count - start), height, width

    def _state(self) -> State:
        partial = self.output.partial
        state = read_state(partial)
        if state is None or state.manifest.fingerprint != self.fingerprint:
            what = "is gone" if state is None else "now has other settings"
            raise InputError(
                f"{partial}: {what}, because another process removed or replaced it; start again."
            )
        return state

    def _found_in_blocks(self) -> Found:
        skipped: dict[int, str] = {}
        used: set[int] = set()
        for start, stop in self.blocks:
            found = self._store.found(start)
            if found is None:
                raise self._missing(start, stop)
            skipped.update(found.skipped)
            used.update(found.used)
        return Found(skipped, tuple(sorted(used)))

    def _missing(self, start: int, stop: int) -> InputError:
        return InputError(
            f"{self._store.file(start)}: the labels of slices {start} to {stop - 1} are missing "
            "or damaged; repeat the same command to label them."
        )

    def _assemble(self, manifest: Manifest, found: Found, progress: Progress | None) -> None:
        target = self.output.format
        if isinstance(target, PiecewiseFormat):
            for _ in self._stream(progress):
                pass  # verifies the blocks, which is the only way to find a lost chunk
            target.complete(self.output.assembled, manifest, found)
            self._refuse_finished()
        elif isinstance(target, StreamedFormat) and not self.output.assembled.exists():
            # A name for each attempt, so that two processes that finish at once do not interfere.
            temporary = self.output.assembled.with_stem(f"assembling-{secrets.token_hex(8)}")
            try:
                target.write(temporary, manifest, found, self._arranged(manifest, progress))
                sync_tree(temporary)
                self._refuse_finished()  # the other process removed the blocks
                os.replace(temporary, self.output.assembled)
                sync(self.output.partial)
            finally:
                remove(temporary)

    def _refuse_finished(self) -> None:
        if self._state().skipped is not None:
            raise InputError(
                f"{self.output}: was finished by another process meanwhile; use that output."
            )

    def _stream(self, progress: Progress | None) -> Iterator[tuple[int, np.ndarray]]:
        for done, (start, stop) in enumerate(self.blocks, start=1):
            block = self.read_block(start)
            if block is None:
                raise self._missing(start, stop)
            yield start, block.labels
            if progress is not None:
                progress(done, len(self.blocks))

    def _arranged(self, manifest: Manifest, progress: Progress | None) -> Blocks:
        """Yields the labels in the axis order of the output, in runs along its first axis.

        If its first axis is not that of the slices, all blocks are read for each run.
        """
        places = self.geometry.places
        if places[0] == 0:
            for start, labels in self._stream(progress):
                yield start, np.ascontiguousarray(labels.transpose(places))
            return
        total, *sides = manifest.stored_shape
        length = max(1, RUN_BYTES // (math.prod(sides) * self.dtype.itemsize))
        for first in range(0, total, length):
            run = np.empty((min(length, total - first), *sides), self.dtype)
            of_slices = np.moveaxis(run, places.index(0), 0)
            for start, labels in self._stream(progress if first + length >= total else None):
                part = labels.transpose(places)[first : first + length]
                of_slices[start : start + len(labels)] = np.moveaxis(part, places.index(0), 0)
            yield first, run

    def _move(self) -> None:
        """Moves the assembled output to its name, unless an interrupted call did so."""
        path, assembled = self.output.path, self.output.assembled
        if not assembled.exists():
            return
        refuse_replacing(self.output, self.overwrite)
        if assembled.is_dir() and path.exists():
            # Folders cannot be exchanged in one step. The old one is removed with the blocks.
            os.replace(path, self.output.partial / f"replaced-{secrets.token_hex(8)}")
        os.replace(assembled, path)
        sync(path.parent)

    @contextmanager
    def _keeping_blocks(self) -> Iterator[None]:
        """Turns a failure to write into an error that says where the finished blocks are."""
        try:
            yield
        except Exception as error:
            cause = error.__cause__ if isinstance(error, InputError) else error
            if not isinstance(cause, OSError):
                raise
            reason = " ".join(str(cause.strerror or cause).split())
            raise InputError(
                f"{self.output}: cannot be written ({reason}), but finished blocks are kept in "
                f"{self.output.partial}; free space or repair the folder, then repeat the same "
                "command."
            ) from cause
