"""Checks whether existing outputs belong to a job and whether they may be replaced."""

import os
import warnings
from pathlib import Path
from typing import Any

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.durable import is_empty_folder
from sp_graph_seg.label_jobs.base import Finished, Format
from sp_graph_seg.label_jobs.formats import OME_ZARR
from sp_graph_seg.label_jobs.manifest import Manifest, describe_difference
from sp_graph_seg.label_jobs.outputs import LabelOutput, parse_output


def exists(output: LabelOutput) -> bool:
    """Returns whether an output exists.

    If the format stores an output as a folder, an empty folder does not count as an output.
    """
    path = output.path
    return path.exists() and not (output.format.is_folder and is_empty_folder(path))


def find_finished(path: str | os.PathLike[str]) -> Finished | None:
    """Reads the same as :func:`read_finished` from any file or folder.

    A Zarr store may be in a ZIP file, as which it is not written.
    """
    if Path(path).suffix.lower() == ".zip":
        return _read(OME_ZARR, Path(path))
    try:
        output = parse_output(path)
    except InputError:
        return None
    return read_finished(output) if output.path.exists() else None


def read_finished(output: LabelOutput) -> Finished | None:
    """Reads the provenance of a finished output, and the shape and type of its labels.

    Returns:
        These properties, or None if the output is damaged or was not made by this library.
    """
    return _read(output.format, output.path)


def _read(form: Format, path: Path) -> Finished | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return form.read(path)
    except Exception:  # foreign and damaged files fail in many ways
        return None


def verify_finished(output: LabelOutput, manifest: Manifest) -> dict[int, str]:
    """Verifies that an output is the finished result of a job.

    Args:
        output: An output that exists.
        manifest: The manifest of the job.

    Returns:
        The numbers of the skipped slices, with the reasons.

    Raises:
        InputError: The output is damaged or is not the result of this job.
    """
    remedy = "add --overwrite or choose another --output"
    finished = read_finished(output)
    if finished is None:
        raise InputError(
            f"{output}: is damaged or was not made by this program, so it cannot be resumed; "
            f"{remedy}."
        )
    wanted = manifest.provenance() | _array(manifest, manifest.stored_shape)
    found = finished.provenance | {"skipped": {}, "legend": []} | _array(finished, finished.shape)
    found.pop("record", None)  # who made it, and when, makes no difference
    difference = describe_difference(found, wanted)
    if difference:
        raise InputError(
            f"{output}: was made with other settings or input: {difference}; {remedy}."
        )
    try:
        output.format.check(output.path)
    except MemoryError:
        raise
    except Exception as error:  # damage has many forms
        raise InputError(f"{output}: is damaged, so it cannot be resumed; {remedy}.") from error
    return {int(key): reason for key, reason in finished.provenance["skipped"].items()}


def _array(labels: Manifest | Finished, shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "shape": list(shape),
        "dtype": str(labels.dtype),
        "dataset": labels.dataset,
    }


def refuse_replacing(output: LabelOutput, overwrite: bool) -> None:
    """Raises an error if an output exists and must not be replaced.

    An existing output may be replaced only if ``overwrite`` is True. A folder, a Zarr store or an
    HDF5 file is always replaced as a whole. So it must hold only labels that this library wrote,
    even if ``overwrite`` is True.

    Raises:
        InputError: The output exists and must not be replaced.
    """
    if not exists(output):
        return
    if not overwrite:
        raise InputError(
            f"{output.path}: already exists; add --overwrite or choose another --output."
        )
    path: Path = output.path
    is_shared = output.format.may_hold_more
    is_own = not path.is_dir()
    if is_shared:
        is_own = read_finished(output) is not None and not output.format.has_foreign_files(path)
    if not is_own:
        raise InputError(
            f"{path}: holds something other than labels written by this program, so it is not "
            "overwritten; choose another --output."
        )
