"""An output that is there already: is it this job's, and may it be replaced?"""

import warnings
from pathlib import Path

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.durable import is_empty_folder
from sp_graph_seg.label_jobs.formats import READERS, Finished, slice_names
from sp_graph_seg.label_jobs.manifest import Manifest, describe_difference
from sp_graph_seg.label_jobs.outputs import LabelOutput


def exists(output: LabelOutput) -> bool:
    """Tell whether an output is there; an empty folder is as good as none for folders."""
    path = output.path
    return path.exists() and not (output.kind in ("folder", "zarr") and is_empty_folder(path))


def read_finished(output: LabelOutput) -> Finished | None:
    """Read what a finished output says about itself.

    Returns:
        None if it is damaged, not made by this library, or of a format without a record.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return READERS[output.kind](output.path)
    except Exception:  # a foreign or damaged file fails in as many ways as there are decoders
        return None


def verify_finished(output: LabelOutput, manifest: Manifest) -> dict[int, str]:
    """Verify that an output is the finished result of a job.

    Args:
        output: An output that exists.
        manifest: The job.

    Returns:
        The skipped slices and their reasons.

    Raises:
        InputError: It is not, or its format keeps no settings to compare.
    """
    remedy = "add --overwrite or choose another --output"
    finished = read_finished(output)
    if finished is None:
        why = (
            "keeps no settings, as every .npy file"
            if output.kind == "npy"
            else "is damaged or was not made by this program"
        )
        raise InputError(f"{output}: {why}, so it cannot be resumed; {remedy}")
    wanted = manifest.record({}) | _place(manifest, output)
    found = finished.record | {
        "skipped": {},
        "shape": list(finished.shape),
        "dtype": str(finished.dtype),
        "dataset": finished.dataset,
        "names": finished.names,
    }
    difference = describe_difference(found, wanted)
    if difference:
        raise InputError(f"{output}: was made differently: {difference}; {remedy}")
    return {int(key): reason for key, reason in finished.record["skipped"].items()}


def _place(manifest: Manifest, output: LabelOutput) -> dict:
    names = sorted(slice_names(manifest)) if output.kind == "folder" else None
    return {
        "shape": list(manifest.shape),
        "dtype": str(manifest.dtype),
        "dataset": manifest.dataset,
        "names": names,
    }


def refuse_replacing(output: LabelOutput, overwrite: bool) -> None:
    """Refuse to replace an output that is there, unless that was asked for and loses only labels.

    A folder, a Zarr store or an HDF5 file is replaced as a whole: even with ``overwrite`` it must
    hold nothing but labels that were written here.

    Raises:
        InputError: The output exists and may not be replaced.
    """
    if not exists(output):
        return
    if not overwrite:
        raise InputError(
            f"{output.path}: already exists; add --overwrite or choose another --output"
        )
    path: Path = output.path
    is_single_file = output.kind in ("tiff", "npy")
    if path.is_dir() if is_single_file else read_finished(output) is None:
        raise InputError(
            f"{path}: holds other things than labels written by this program and is not "
            "overwritten; choose another --output"
        )
