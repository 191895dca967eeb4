"""The label job, which takes labels in blocks and assembles one output from them."""

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
"""The bytes of labels in memory at once, if the first axis of the output does not count slices."""

Progress = Callable[[int, int], None]
"""A function of the number of blocks assembled or verified so far and the number of all blocks."""


@dataclass(frozen=True, kw_only=True)
class LabelJob:
    """The job of labelling a volume or video. `open_label_job` makes it.

    A job is small and can be pickled. Several processes may write different blocks at the same
    time, also from other machines that share the file system. One process then calls `finish`.

    Attributes:
        output: The output of the job.
        shape: ``(S, H, W)``, the number of slices, and their height and width in pixels.
        num_labels: The number of labels. The labels are 0 to num_labels - 1.
        block: The number of slices in a block. The last block may have fewer.
        geometry: The positions of the slices, and the order of the axes of the output.
        fingerprint: The fingerprint of the manifest.
        overwrite: Whether `finish` may replace an existing output.
        complete: Whether the output is already finished, so that nothing is left to do.
        skipped: The numbers of the skipped slices, with the reasons. None unless ``complete`` is
            True.
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
        """The path of the output, which is a file or a folder."""
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
        """The blocks in order. Block ``(start, stop)`` has the slices ``start`` to ``stop - 1``."""
        count = self.shape[0]
        return [(k, min(k + self.block, count)) for k in range(0, count, self.block)]

    def is_assembled(self) -> bool:
        """Returns whether the output is assembled, so that the blocks are no longer needed."""
        return self.complete or self._state().skipped is not None

    def missing_blocks(self) -> list[tuple[int, int]]:
        """Finds the blocks that must still be written. All existing blocks are read and verified.

        Returns:
            ``(start, stop)`` of each block that is absent or damaged, in order.

        Raises:
            InputError: The work in progress was removed, or it now has other settings.
        """
        if self.is_assembled():
            return []
        return [(start, stop) for start, stop in self.blocks if self.read_block(start) is None]

    def write_block(
        self, start: int, labels: np.ndarray, skipped: Mapping[int, str] | None = None
    ) -> None:
        """Writes the labels of one block, completely or not at all.

        Args:
            start: The number of the first slice of the block.
            labels: An integer array ``(n, H, W)`` for the n slices of the block. Each value is a
                label from 0 to num_labels - 1, or `unlabelled`.
            skipped: The numbers of the slices that could not be labelled, with the reasons. All
                pixels of these slices become `unlabelled`, whatever ``labels`` holds for them.

        Raises:
            InputError: The labels do not fit the job, the output is already assembled, the work in
                progress was removed or has other settings, or the block cannot be written. Finished
                blocks are kept.
        """
        skipped = dict(skipped or {})
        shape = self._block_shape(start)
        labels = np.asarray(labels)
        if labels.shape != shape or labels.dtype.kind not in "bui":
            raise InputError(
                f"labels: a {labels.dtype} array of shape {labels.shape} does not fit slices "
                f"{start} to {start + shape[0] - 1}; give an integer array of shape {shape}."
            )
        if outside := [number for number in skipped if not 0 <= number - start < shape[0]]:
            raise InputError(
                f"skipped: slice {outside[0]} is not in the block that starts at slice {start}; "
                "count slices from the start of the volume."
            )
        for number, plane in enumerate(labels, start):
            wrong = (plane < 0) | (plane >= self.num_labels) & (plane != self.unlabelled)
            if number not in skipped and wrong.any():
                raise InputError(
                    f"labels: contain {plane[wrong][0]}, but only 0 to {self.num_labels - 1} and "
                    f"{self.unlabelled} (unlabelled) are allowed; correct the labels or open a job "
                    "with a larger num_labels."
                )
        stored = np.array(labels, dtype=self.dtype, order="C")
        stored[[number - start for number in skipped]] = self.unlabelled
        self._refuse_finished()
        with self._keeping_blocks():
            self._store.write(start, stored, skipped)

    def read_block(self, start: int) -> Block | None:
        """Reads a block and verifies it.

        Args:
            start: The number of the first slice of the block.

        Returns:
            The labels and the skipped slices, or None if the block is absent or damaged.
        """
        return self._store.read(start, self._block_shape(start), self.dtype)

    def finish(
        self, progress: Progress | None = None, record: Mapping[str, Any] | None = None
    ) -> dict[int, str]:
        """Assembles the output, moves it to its final path and removes the blocks.

        Only a few blocks are in memory at a time. The output is assembled in the folder of the work
        in progress. If the blocks were written directly into the output, they are only verified.
        The output is moved to its final path only after it is complete. So no incomplete output
        ever has this path. After an interruption, open the job again with the same arguments and
        call this method again.

        Args:
            progress: A function that is called after each block that was assembled or verified. Its
                arguments are the number of blocks done so far and the number of all blocks.
                Default: None.
            record: The record of how the output was made, as JSON values; see
                `sp_graph_seg.io.record`.

        Returns:
            The numbers of the skipped slices, with the reasons.

        Raises:
            InputError: Blocks are missing or damaged, another process created the output meanwhile,
                or the output cannot be written. Finished blocks are kept.
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
                f"start: no block starts at slice {start}; give a start in LabelJob.blocks."
            )
        return min(self.block, count - start), height, width

    def _state(self) -> State:
        partial = self.output.partial
        state = read_state(partial)
        if state is None or state.manifest.fingerprint != self.fingerprint:
            what = "removed it" if state is None else "began work with other settings in it"
            raise InputError(
                f"{partial}: cannot be used, because another process {what}; repeat the command."
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
                f"{self.output}: was finished by another process in the meantime; use this output."
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
        """Yields the labels in the axis order of the output, in parts along the first axis.

        If the first axis does not count slices, all blocks are read again for each part.
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
        """Moves the assembled output to its final path. Does nothing if it was moved before."""
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
        """Turns a write error into an `InputError` that says where the finished blocks are."""
        try:
            yield
        except Exception as error:
            cause = error.__cause__ if isinstance(error, InputError) else error
            if not isinstance(cause, OSError):
                raise
            reason = " ".join(str(cause.strerror or cause).split())
            raise InputError(
                f"{self.output}: cannot be written ({reason}), but finished blocks are kept in "
                f"{self.output.partial}; delete other files or repair the folder, then repeat "
                "the same command."
            ) from cause
