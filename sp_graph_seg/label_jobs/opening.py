"""Opens new and interrupted label jobs, after all checks that are possible in advance."""

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
    make_folder: bool = True,
) -> None:
    """Checks whether :func:`open_label_job` would accept the output. Does not check the labels.

    Call this before long work starts.

    Args:
        output: The path of the output.
        inputs: The files and folders that are labelled.
        overwrite: Whether an existing output may be replaced. Default: False.
        resume: Whether an output that is already complete is accepted. Default: False.
        make_folder: Whether to create the folder of the output if it is missing, and to check that
            files can be written to it. Default: True.

    Raises:
        InputError: The format is unknown, the output exists or overlaps an input, another process
            is writing the output, or its folder is not writable.
    """
    target = parse_output(output)
    refuse_inputs(target, inputs)
    if make_folder:
        tidy_lock(target.path)
    state = read_state(target.partial)
    if exists(target) and not (resume or _is_moved(target, state)):
        refuse_replacing(target, overwrite)
    if make_folder:
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
    """Opens a job that stores the labels of a volume or video block by block.

    Finished blocks are kept in the folder ``<output>.partial`` beside the output. For Zarr, the
    blocks are chunks of the final array. For other formats, they are files, from which the output
    is assembled at the end. If the folder already exists and has the same manifest, the job
    continues with the missing blocks. So, after any interruption, the same calls finish the job.

    A pixel without a label has the largest value of the type. This is 255 for uint8, which is used
    for up to 255 labels, and 65535 for uint16, which is used for more labels.

    The output stores its provenance under the key ``sp_graph_seg``. The provenance holds the
    settings, and the skipped slices with the reasons. Its place depends on the format:

    * Zarr: the attributes of the group.
    * HDF5: an attribute of the dataset.
    * TIFF: the metadata.
    * NRRD: a comment in the header.
    * VTK: the field data.
    * .npy: a second array in the file.
    * A folder of PNGs: the file ``labels.json``.

    Args:
        output: The path of the output. Its suffix sets the format: ``.zarr`` (OME-Zarr 0.5),
            ``.tif`` or ``.tiff`` (one page for each slice), ``.ome.tif`` or ``.ome.tiff`` (the same
            with OME metadata), ``.h5``, ``.hdf5`` or ``.nxs`` (HDF5), ``.npy``, ``.nrrd`` or
            ``.vti``. A path without suffix is a folder of PNGs. After the path of an HDF5 file, the
            dataset may be named, as in ``file.h5:/dataset`` (default: ``/labels``). The HDF5 file
            holds only the labels and their axes.
        shape: ``(S, H, W)``, the number of slices or frames, and their height and width in pixels.
        num_labels: The number of labels, at most 65535. The labels are 0 to num_labels - 1.
        settings: The model, the input and the options, as JSON values. Work in progress is
            continued only if it has the same settings.
        block: The number of slices in a block. Default: the same as in the work in progress. For a
            new job, as many slices as have about 32 MiB of labels, but at most 32.
        geometry: The positions of the slices, such as ``volume.geometry``. The labels get the same
            axes. Default: slices along z with unknown spacing.
        labels: A mapping from a label to its ``name`` and ``color``, such as `Relabel.labels`. None
            if the job stores grey values instead of labels, such as a map of the uncertainty.
            Default: no names, and colours that are as far apart as possible.
        inputs: The files and folders that are labelled. An output that would change them is
            refused.
        overwrite: Whether to replace an existing output, once the new output is complete. Work in
            progress that has other settings is then discarded at once. Default: False.
        resume: Whether to accept an output that was finished earlier with the same settings. The
            job is then ``complete`` and has no missing blocks. Default: False.

    Returns:
        The job.

    Raises:
        InputError: A parameter is wrong, the output exists or overlaps an input, the work in
            progress has other settings, the folder is not writable, or the disk is too full.
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
            f"{target.partial}: was begun with other settings or input: {difference}; use the "
            "same settings, or add --overwrite to discard the finished blocks."
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
    """Verifies an existing output and returns its skipped slices.

    If the output is damaged or belongs to another job, the result is None if ``overwrite`` is true.
    Otherwise, an error is raised.
    """
    try:
        return verify_finished(output, manifest)
    except InputError:
        if not overwrite:
            raise
        return None


def _begin(output: LabelOutput, manifest: Manifest, discard: bool) -> None:
    """Creates the folder of the work in progress. A folder with the same manifest is kept."""
    partial = output.partial
    written = 0 if discard else len(list(partial.glob("block_*")))
    check_space(output, manifest, 1 - written * manifest.block / manifest.shape[0])
    try:
        if discard:
            remove_partial(partial)
        create_partial(partial, manifest)
        state = read_state(partial)
        if state is None or state.manifest != manifest:
            raise InputError(
                f"{partial}: another process began different work in it; repeat the command."
            )
        if isinstance(output.format, PiecewiseFormat):
            output.format.create(output.assembled, manifest)
    except OSError as error:
        raise InputError(
            f"{partial}: cannot be written ({error.strerror or error}); choose another --output."
        ) from error


def check_space(output: LabelOutput, manifest: Manifest, missing: float) -> None:
    """Checks that the disk has enough free space for the labels, and warns if this is uncertain.

    For a moment, all blocks and the finished output exist together, so the disk must hold both. If
    the blocks are written directly into the output, they need no additional space.

    Args:
        output: The output. Its folder must exist.
        manifest: The manifest of the job.
        missing: The share of the blocks that must still be written, from 0 to 1.

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
        f"{format_size(usual)}; delete other files or choose an --output on another disk."
    )
    if free < least:
        raise InputError(message)
    warnings.warn(message, LowDiskSpaceWarning, stacklevel=3)


def _is_moved(output: LabelOutput, state: State | None) -> bool:
    """Returns whether the output was moved to its path, but some blocks are not yet removed."""
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
    """Checks the parameters of a job and makes its manifest."""
    sizes = tuple(int(n) for n in shape)
    if len(sizes) != 3 or min(sizes) < 1:
        raise InputError(
            f"shape: {sizes} is not a shape (S, H, W); give three numbers of at least 1."
        )
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
