"""The file of a trained model: a safetensors file of weights with JSON values in its header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from sp_graph_seg._version import __version__
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import atomic_write
from sp_graph_seg.io.fingerprint import fingerprint

FORMAT = "sp_graph_seg"

#: Increases if older files would be read wrongly. 2: intensities are in native units. 3: the header
#: holds a digest of the contents.
FORMAT_NUMBER = 3


class ModelFile(NamedTuple):
    """The contents of a model file."""

    weights: dict[str, Tensor]
    metadata: dict[str, Any]
    record: dict[str, Any] = {}  # noqa: RUF012, it is never changed
    """The inputs, versions, date and command of the model, see :mod:`sp_graph_seg.io.record`."""

    @property
    def notes(self) -> dict[str, Any]:
        """The notes that were given to :meth:`~sp_graph_seg.Segmenter.save`."""
        return dict(self.metadata.get("notes", {}))

    def digest(self) -> str:
        """Returns 32 hexadecimal digits that identify the contents, except the record.

        The digest is not computed from the bytes of the file, because safetensors writes the keys
        of the header in random order.
        """
        return fingerprint(weights=self.weights, metadata=self.metadata)

    def seal(self) -> str:
        """Returns a digest of all contents, including the record. It reveals a damaged file."""
        record = {"record": self.record} if self.record else {}
        return fingerprint(weights=self.weights, metadata=self.metadata, **record)


def write_model(
    path: str | Path,
    weights: dict[str, Tensor],
    metadata: dict[str, Any],
    record: Mapping[str, Any] | None = None,
) -> None:
    """Writes a model file. An existing file is replaced only when the new file is complete.

    Raises:
        InputError: If a weight is NaN or Inf, or the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    model = json.dumps(metadata)
    _check_finite(path, contiguous)
    header = {
        "format": FORMAT,
        "format_number": str(FORMAT_NUMBER),
        "version": __version__,
        "model": model,
        "record": json.dumps(dict(record or {})),
    }
    header["digest"] = _parse(contiguous, header).seal()
    with atomic_write(path) as temporary:
        try:
            save_file(contiguous, temporary, metadata=header)
        except SafetensorError as error:  # such as a full disk
            raise OSError(str(error)) from error


def read_model(path: str | Path) -> ModelFile:
    """Reads a model file.

    Raises:
        InputError: If the file is missing, truncated or damaged, is not a model of this package, or
            has another model format, or if a weight is NaN or Inf.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        reason = (
            "the file does not exist" if not Path(path).exists() else " ".join(str(error).split())
        )
        raise InputError(
            f"{path}: cannot be read as a model ({reason}); make a model with sp-graph-seg train."
        ) from error
    if header.get("format") != FORMAT:
        raise InputError(
            f"{path}: is not a model of sp_graph_seg; make a model with sp-graph-seg train."
        )
    number = header.get("format_number", "1")
    if number != str(FORMAT_NUMBER):
        raise InputError(
            f"{path}: has model format {number}, but this version of sp_graph_seg "
            f"reads only format {FORMAT_NUMBER}; use the version that wrote the file, or train the "
            "model again."
        )
    try:
        model = _parse(weights, header)
        digest = header["digest"]
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: the header is damaged ({error}); train the model again."
        ) from error
    if model.seal() != digest:
        raise InputError(
            f"{path}: has changed since it was written; copy the file again from its source, or "
            "train the model again."
        )
    _check_finite(path, weights)
    return model


def _parse(weights: dict[str, Tensor], header: Mapping[str, str]) -> ModelFile:
    metadata = dict(json.loads(header["model"]))
    if not isinstance(metadata.get("notes", {}), dict):
        raise ValueError(f"notes: {metadata['notes']!r} are no mapping")
    return ModelFile(weights, metadata, dict(json.loads(header.get("record", "{}"))))


def _check_finite(path: str | Path, weights: dict[str, Tensor]) -> None:
    """Raises an error if a weight is NaN or Inf, as every pixel would get the same label."""
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise InputError(
                f"{path}: some weights of {name} are NaN or Inf; train the model again with a "
                "smaller learning_rate."
            )
