"""Parses the name of an output, which determines its format."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require
from sp_graph_seg.label_jobs.base import Format
from sp_graph_seg.label_jobs.formats import FORMATS, PNGS

_FORMATS = {suffix: form for form in FORMATS for suffix in form.suffixes}
_WITH_DATASET = re.compile(
    rf"(.+(?:{'|'.join(map(re.escape, _FORMATS))})):(.*)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class LabelOutput:
    """The parsed name of an output.

    Attributes:
        path: The absolute path of the file or folder, without symbolic links.
        given: The path as the user wrote it. Other results are written beside this path.
        dataset: The name of the dataset in an HDF5 file; None for other formats.
    """

    path: Path
    given: Path
    dataset: str | None

    @property
    def format(self) -> Format:
        """The format of the output, which its suffix sets.

        An output without suffix is a folder of PNGs.
        """
        return _FORMATS.get(suffix_of(self.path), PNGS)

    @property
    def partial(self) -> Path:
        """The folder beside the output that holds the work in progress."""
        return self.path.with_name(f"{self.path.name}.partial")

    @property
    def assembled(self) -> Path:
        """The path inside `partial` where the output is assembled before it is moved to `path`."""
        return self.partial / f"assembled{suffix_of(self.path)}"

    def __str__(self) -> str:
        return f"{self.path}:{self.dataset}" if self.dataset else str(self.path)


def parse_output(output: LabelOutput | str | os.PathLike[str]) -> LabelOutput:
    """Parses the name of an output.

    Args:
        output: A name that ends in .zarr, .tif, .tiff, .ome.tif, .ome.tiff, .h5, .hdf5, .nxs, .npy,
            .nrrd or .vti. A name without suffix, or a name that ends in a slash, is a folder of
            PNGs. After the name of an HDF5 file, the dataset may be named, as in
            ``file.h5:/entry/labels`` (default: ``/labels``). An output that was parsed before is
            returned unchanged.

    Returns:
        The parsed output.

    Raises:
        InputError: The suffix is unknown, a dataset is given for a format other than HDF5, or the
            package that writes the format is not installed.
    """
    if isinstance(output, LabelOutput):
        return output
    text = os.fspath(output)
    dataset = None
    if match := _WITH_DATASET.fullmatch(text):
        text, dataset = match[1], match[2].strip("/")
    path = Path(text).resolve()
    suffix = suffix_of(path)
    if not path.name:
        raise InputError(
            f"{output}: is the root folder; give the path of a file or folder inside this folder."
        )
    if suffix and suffix not in _FORMATS and not text.endswith(("/", os.sep)):
        raise InputError(
            f"{output}: labels cannot be written as {path.suffix}; use one of "
            f"{', '.join(_FORMATS)}, or no suffix for a folder of PNGs."
        )
    form = _FORMATS.get(suffix, PNGS)
    if form.package:
        require(form.package)
    usual = form.dataset
    if usual is None and dataset is not None:
        raise InputError(f"{output}: only an HDF5 file has datasets; leave out :{dataset}.")
    given = Path(text) if Path(text).name == path.name else path  # such as "." or "a/.."
    return LabelOutput(path, given, f"/{dataset}" if dataset else usual)


def suffix_of(path: Path) -> str:
    """Returns the suffix that sets the format, in lower case, such as .tif or .ome.tif."""
    double = "".join(path.suffixes[-2:]).lower()
    return double if double in _FORMATS else path.suffix.lower()


def refuse_inputs(output: LabelOutput, inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Raises an error if an output is an input, lies inside an input or contains an input.

    Raises:
        InputError: Writing the output, or the folder of the work in progress, would change an
            input.
    """
    for given in inputs:
        path = _without_inner(os.fspath(given)).resolve()
        # samefile finds hard links, and other spellings where file names ignore case.
        same = output.path.exists() and path.exists() and os.path.samefile(path, output.path)
        if same or path == output.path or output.path in path.parents:
            raise InputError(
                f"{output.path}: is or contains the input {path}; choose another --output."
            )
        if path in output.path.parents:
            raise InputError(
                f"{output.path}: lies inside the input {path}; choose an --output outside of it."
            )


def _without_inner(path: str) -> Path:
    """Returns the file of a name such as ``file:inner``, where inner is a dataset or array."""
    cut = path
    while not Path(cut).exists() and ":" in cut:
        cut = cut.rpartition(":")[0]
    return Path(cut if Path(cut).exists() else path)
