"""Opens label jobs, new or interrupted, after all checks that are possible in advance."""

import os
import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sp_graph_seg.errors import InputError, LowDiskSpaceWarning
from sp_graph_seg.io.files import check_writable, format_size
from sp_graph_seg.io.locks import tidy_lock
from sp_graph_seg.label_jobs.base import PiecewiseFormat
from sp_graph_seg.label_jobs.finished import exists, refuse_replacing, verify_finished
from sp_graph_seg.label_jobs.job import LabelJob
from sp_graph_seg.label_jobs.manifest import (
    Manifest,
    describe_difference,
    json_settings,
    label_dtype,
)
from sp_graph_seg.label_jobs.outputs import LabelOutput, parse_output, refuse_inputs
from sp_graph_seg.label_jobs.partial import State, create_partial, read_state, remove_partial
from sp_graph_seg.volumes.geometry import Geometry

DEFAULT_BLOCK_BYTES = 32 * 2**20
MAX_DEFAULT_BLOCK = 32
# Labels of smooth images, noisy images and superpixels were compressed 3 to 25 times.
BEST_PACKING = 40
USUAL_PACKING = 4


def check_label_output(
    output: LabelOutput | str | os.PathLike[str],
    inputs: Iterable[str | os.PathLike[str]] = (),
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> None:
    """Refuses an output that :func:`open_label_job` would refuse whatever is written to it.

    Raises:
        InputError: The format is unknown, the output overlaps an input or exists, another process
            is writing it, or its folder is not writable.
    """
    target = parse_output(output)
    refuse_inputs(target, inputs)
    tidy_lock(target.path)
    state = read_state(target.partial)
    if exists(target) and not (resume or _is_moved(target, state)):
        refuse_replacing(target, overwrite)
    check_writable(target.path.parent)


def open_label_job(
    output: LabelOutput | str | os.PathLike[str],
    shape: tuple[int, int, int],
    num_labels: int,
    settings: Mapping[str, Any],
    *,
    block: int | None = None,
    geometry: Geometry | None = None,
    labels: Mapping[int, Mapping[str, str]] | None = MappingProxyType({}),
    inputs: Iterable[str | os.PathLike[str]] = (),
    overwrite: bool = False,
    resume: bool = False,
) -> LabelJob:
    """Begins or continues to label a volume or video block by block.

    The blocks are kept in ``<output>.partial`` beside the output: for Zarr as chunks of the array,
    for other formats as files from which the output is assembled at the end. If that folder exists
    and has the same manifest, the work continues with the missing blocks. After any interruption,
    the same calls finish the job.

    A pixel without a label has the largest value of the type, 255 or 65535. So uint8 is used for up
    to 255 labels. The output stores its provenance (the settings, and the skipped slices with the
    reasons) under the key ``sp_graph_seg``: Zarr in the attributes of the group, HDF5 in an
    attribute of the dataset, TIFF in the metadata, NRRD in a comment, VTK in the field data, a
    folder of PNGs in ``labels.json``, and .npy in a second array of the file.

    Args:
        output: A name that ends in ``.zarr`` (OME-Zarr 0.5), ``.tif`` or ``.tiff`` (a page for
            each slice; with OME metadata as ``.ome.tif`` or ``.ome.tiff``), ``.h5``, ``.hdf5`` or
            ``.nxs`` (``file.h5:/dataset``, default ``/labels``; the file holds only the labels and
            their axes), ``.npy``, ``.nrrd`` or ``.vti``. Without a suffix: a folder of PNGs.
        shape: ``(S, H, W)``, the number of slices or frames, their height and width in pixels.
        num_labels: The labels are 0 to num_labels - 1; at most 65535.
        settings: Model, input and options, as JSON values. The work continues only if they are the
            same.
        block: Slices in a block. Default: as many as in the work in progress; in a new job, about
            32 MiB of labels and at most 32 slices.
        geometry: Where the slices lie, such as ``volume.geometry``. The labels get the same axes.
            Default: slices along z, with unknown spacing.
        labels: The ``name`` and ``color`` of labels, such as `Relabel.labels`; None if the
            values are not labels but grey values. Default: no names, and colours that are as far
            apart as possible.
        inputs: The files and folders that are labelled, which must not be written to.
        overwrite: Replace an existing output once the new one is complete, and discard work in
            progress that has other settings. Default: False.
        resume: Accept an output that was finished earlier with the same settings. Then the job is
            ``complete`` and has no missing blocks. Default: False.

    Returns:
        The job.

    Raises:
        InputError: A parameter is wrong, the output exists or overlaps an input, work in progress
            has other settings, or the disk is not writable or too full.
    """
    target = parse_output(output)
    refuse_inputs(target, inputs)
    manifest = _new_manifest(target, shape, num_labels, settings, block, geometry, labels)
    state = read_state(target.partial)
    if state is not None and block is None:
        block = state.manifest.block
        manifest = _new_manifest(target, shape, num_labels, settings, block, geometry, labels)
    difference = state and describe_difference(state.manifest.to_json(), manifest.to_json())
    if difference and not overwrite:
        raise InputError(
            f"{target.partial}: was begun differently: {difference}; use the same settings, or "
            "discard its finished blocks with --overwrite."
        )
    is_moved = not difference and _is_moved(target, state)
    if is_moved and exists(target):  # interrupted while blocks were removed
        return _job(target, manifest, overwrite)
    if exists(target):
        skipped = _finished_before(target, manifest, overwrite) if resume else None
        if skipped is not None:
            if state is None:
                remove_partial(target.partial)  # empty: interrupted at the last step
            return replace(_job(target, manifest, overwrite), complete=True, skipped=skipped)
        refuse_replacing(target, overwrite)
    check_writable(target.path.parent)
    _begin(target, manifest, discard=bool(difference) or is_moved)
    return _job(target, manifest, overwrite)


def _finished_before(
    output: LabelOutput, manifest: Manifest, overwrite: bool
) -> dict[int, str] | None:
    """Verifies an output. None means that it does not match and may be replaced."""
    try:
        return verify_finished(output, manifest)
    except InputError:
        if not overwrite:
            raise
        return None


def _begin(output: LabelOutput, manifest: Manifest, discard: bool) -> None:
    """Creates the folder of the work in progress, unless it exists with this manifest."""
    partial = output.partial
    written = 0 if discard else len(list(partial.glob("block_*")))
    check_space(output, manifest, 1 - written * manifest.block / manifest.shape[0])
    try:
        if discard:
            remove_partial(partial)
        create_partial(partial, manifest)
        state = read_state(partial)
        if state is None or state.manifest != manifest:
            raise InputError(f"{partial}: was just begun by another process; start again.")
        if isinstance(output.format, PiecewiseFormat):
            output.format.create(output.assembled, manifest)
    except OSError as error:
        raise InputError(
            f"{partial}: cannot be written ({error.strerror or error}); choose another --output."
        ) from error


def check_space(output: LabelOutput, manifest: Manifest, missing: float) -> None:
    """Compares the free space on the disk with what the labels may need.

    For a moment, all blocks and the finished output exist together, unless the blocks are written
    into the output.

    Args:
        output: The output; its folder must exist.
        manifest: The manifest of the job.
        missing: Share of the blocks that must still be written, 0 to 1.

    Raises:
        InputError: The free space is too small even for labels that compress well.
    """
    free = shutil.disk_usage(output.path.parent).free
    again = 0 if isinstance(output.format, PiecewiseFormat) else 1
    least, usual = (
        manifest.nbytes * (missing / packing + again / (packing if output.format.is_packed else 1))
        for packing in (BEST_PACKING, USUAL_PACKING)
    )
    if free >= usual:
        return
    message = (
        f"{output.path}: {format_size(free)} are free, but the labels need {format_size(least)} to "
        f"{format_size(usual)}; free space or choose an --output on another disk."
    )
    if free < least:
        raise InputError(message)
    warnings.warn(message, LowDiskSpaceWarning, stacklevel=3)


def _is_moved(output: LabelOutput, state: State | None) -> bool:
    """Returns whether the output was moved and only the removal of its blocks was interrupted."""
    return state is not None and state.skipped is not None and not output.assembled.exists()


def _job(output: LabelOutput, manifest: Manifest, overwrite: bool) -> LabelJob:
    return LabelJob(
        output=output,
        shape=manifest.shape,
        num_labels=manifest.num_labels,
        block=manifest.block,
        geometry=manifest.geometry,
        fingerprint=manifest.fingerprint,
        overwrite=overwrite,
    )


def _new_manifest(
    output: LabelOutput,
    shape: Sequence[int],
    num_labels: int,
    settings: Mapping[str, Any],
    block: int | None,
    geometry: Geometry | None,
    labels: Mapping[int, Mapping[str, str]] | None,
) -> Manifest:
    """Checks the parameters and makes the manifest."""
    sizes = tuple(int(n) for n in shape)
    if len(sizes) != 3 or min(sizes) < 1:
        raise InputError(f"shape: {sizes} is not (S, H, W); give three sizes of at least 1.")
    count, height, width = sizes
    if block is None:
        slice_bytes = height * width * label_dtype(num_labels).itemsize
        block = min(MAX_DEFAULT_BLOCK, max(1, DEFAULT_BLOCK_BYTES // slice_bytes))
    if block < 1:
        raise InputError(f"block: {block} is not a positive number of slices; give at least 1.")
    geometry = geometry or Geometry()
    return Manifest(
        shape=(count, height, width),
        num_labels=num_labels,
        block=min(block, count),
        settings=json_settings(settings),
        geometry=geometry if output.format.keeps_order else geometry.sorted(),
        labels=None if labels is None else {str(n): dict(about) for n, about in labels.items()},
        dataset=output.dataset,
    )
