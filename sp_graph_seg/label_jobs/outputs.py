"""Where labels go: the name of the output tells its format."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require

Kind = Literal["zarr", "tiff", "hdf5", "npy", "folder"]

KINDS: dict[str, Kind] = {
    ".zarr": "zarr",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".nxs": "hdf5",
    ".npy": "npy",
}
_PACKAGES: dict[Kind, str] = {"zarr": "zarr", "hdf5": "h5py"}
DEFAULT_DATASET = "/labels"
_WITH_DATASET = re.compile(
    rf"(.+(?:{'|'.join(map(re.escape, KINDS))})):(.*)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class LabelOutput:
    """The parsed name of an output.

    Attributes:
        path: The file or folder, absolute and without symbolic links.
        kind: Its format; ``"folder"`` is a folder of PNGs.
        dataset: The dataset in an HDF5 file, None for the other formats.
    """

    path: Path
    kind: Kind
    dataset: str | None = None

    @property
    def partial(self) -> Path:
        """The folder beside the output that holds the work in progress."""
        return self.path.with_name(f"{self.path.name}.partial")

    def __str__(self) -> str:
        return f"{self.path}:{self.dataset}" if self.dataset else str(self.path)


def parse_output(output: str | os.PathLike[str]) -> LabelOutput:
    """Find the format of an output by its name.

    Args:
        output: A name that ends in .zarr, .tif, .tiff, .h5, .hdf5, .nxs or .npy; an HDF5 file may
            be followed by its dataset, ``file.h5:/entry/labels`` (default: ``/labels``). A name
            without suffix, or one that ends in a slash, is a folder of PNGs.

    Returns:
        The path, format and dataset.

    Raises:
        InputError: The suffix is unknown, a dataset is given for another format, or the package
            that writes the format is not installed.
    """
    text = os.fspath(output)
    dataset = None
    if match := _WITH_DATASET.fullmatch(text):
        text, dataset = match[1], match[2].strip("/")
    path = Path(text).resolve()
    suffix = path.suffix.lower()
    if not path.name:
        raise InputError(f"{output}: is no name for an output; give one below it")
    if not suffix or (text.endswith(("/", os.sep)) and suffix not in KINDS):
        return LabelOutput(path, "folder")
    if suffix not in KINDS:
        raise InputError(
            f"{output}: labels cannot be written as {path.suffix}; end the name in "
            f"{', '.join(KINDS)}, or in nothing for a folder of PNGs"
        )
    kind = KINDS[suffix]
    if kind in _PACKAGES:
        require(_PACKAGES[kind])
    if kind == "hdf5":
        return LabelOutput(path, kind, f"/{dataset}" if dataset else DEFAULT_DATASET)
    if dataset is not None:
        raise InputError(f"{output}: only an HDF5 file has datasets; leave out :{dataset}")
    return LabelOutput(path, kind)


def refuse_inputs(output: LabelOutput, inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse an output that is an input, lies inside of one or contains one.

    Raises:
        InputError: Writing the output, or the work beside it, would change an input.
    """
    for given in inputs:
        path = _without_inner(os.fspath(given)).resolve()
        # A hard link, or another spelling on a file system that ignores case, is the same file.
        same = output.path.exists() and path.exists() and os.path.samefile(path, output.path)
        if same or path == output.path or output.path in path.parents:
            raise InputError(
                f"{output.path}: is or contains the input {path}; choose another --output"
            )
        if path in output.path.parents:
            raise InputError(
                f"{output.path}: lies inside the input {path}; choose an --output beside it"
            )


def _without_inner(path: str) -> Path:
    """The file of ``file:inner``, as the names of datasets and arrays are written."""
    cut = path
    while not Path(cut).exists() and ":" in cut:
        cut = cut.rpartition(":")[0]
    return Path(cut if Path(cut).exists() else path)
