"""The manifest of a label job: its input, settings and blocks."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.colors import label_colors
from sp_graph_seg.io.fingerprint import fingerprint
from sp_graph_seg.volumes.geometry import Geometry

VERSION = 2
MAX_LABELS = 65535


class Found(NamedTuple):
    """The skipped slices, and the labels that occur, in a block or in all blocks of a job.

    Attributes:
        skipped: The numbers of the skipped slices, with the reasons.
        used: The labels that occur, in ascending order.
    """

    skipped: Mapping[int, str]
    used: tuple[int, ...]


NOTHING_FOUND = Found({}, ())


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The properties of a job that must stay the same until the output is finished.

    Attributes:
        shape: ``(S, H, W)``, the number of slices or frames, and their height and width in pixels.
        num_labels: The number of labels. The labels are 0 to num_labels - 1.
        block: The number of slices in a block. The last block may have fewer.
        settings: The model, the input and the options, as JSON values.
        geometry: The positions of the slices, and the order of the axes of the output.
        labels: A mapping from a label to its ``name`` and ``color``, for the labels that have them.
            None if the job stores grey values instead of labels, such as a map of the uncertainty.
        dataset: The name of the dataset in an HDF5 file; None for other formats.
        record: The record of how the output was made; see `sp_graph_seg.io.record`. Only the record
            may change during a job.
    """

    shape: tuple[int, int, int]
    num_labels: int
    block: int
    settings: dict[str, Any]
    geometry: Geometry = field(default_factory=Geometry)
    labels: dict[str, dict[str, str]] | None = field(default_factory=dict)
    dataset: str | None = None
    record: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def dtype(self) -> np.dtype:
        """The type of the labels: uint8 for up to 255 labels, otherwise uint16."""
        return label_dtype(self.num_labels)

    @property
    def unlabelled(self) -> int:
        """The value of pixels without a label: 255 or 65535."""
        return int(np.iinfo(self.dtype).max)

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """The shape of the array of labels in the axis order of the output."""
        first, second, third = (self.shape[place] for place in self.geometry.places)
        return first, second, third

    @property
    def nbytes(self) -> int:
        """The size of all labels in bytes, without compression."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the manifest without its record, as 32 hexadecimal digits."""
        return fingerprint(**self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Converts the manifest to JSON values.

        The record is left out. The format version, the type of the labels and the value for
        "unlabelled" are added.
        """
        derived = {"version": VERSION, "dtype": str(self.dtype), "unlabelled": self.unlabelled}
        values = asdict(self) | {"geometry": self.geometry.to_json()}
        del values["record"]
        return json.loads(json.dumps(derived | values))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Manifest":
        """Restores a manifest from the result of `to_json`."""
        known = {field.name: values[field.name] for field in fields(cls) if field.compare}
        shape, geometry = tuple(known["shape"]), Geometry.from_json(known["geometry"])
        return cls(**known | {"shape": shape, "geometry": geometry})

    def legend(self, used: Iterable[int]) -> list[dict[str, Any]]:
        """Returns the ``label``, ``color`` and, if known, ``name`` of each label in ``used``.

        Labels without a given colour get colours that are as far apart as possible. If the job
        stores grey values instead of labels, the list is empty.
        """
        if self.labels is None:
            return []
        about = {int(label): values for label, values in self.labels.items()}
        given = {label: values["color"] for label, values in about.items() if "color" in values}
        colors = label_colors(sorted(used), given)
        return [about.get(n, {}) | {"label": n, "color": color} for n, color in colors.items()]

    def provenance(self, found: Found = NOTHING_FOUND) -> dict[str, Any]:
        """Returns the provenance that a finished output stores."""
        return {
            "version": VERSION,
            "num_labels": self.num_labels,
            "unlabelled": self.unlabelled,
            "geometry": json.loads(json.dumps(self.geometry.to_json())),
            "settings": self.settings,
            **({"record": self.record} if self.record else {}),
            "skipped": {str(number): reason for number, reason in sorted(found.skipped.items())},
            "legend": self.legend(found.used),
        }


def label_dtype(num_labels: int) -> np.dtype:
    """Returns the smallest type that can hold all labels and one value for "unlabelled".

    Raises:
        InputError: ``num_labels`` is not from 1 to 65535.
    """
    if not 1 <= num_labels <= MAX_LABELS:
        raise InputError(
            f"num_labels: {num_labels} labels cannot be stored; give a number from 1 to "
            f"{MAX_LABELS}."
        )
    return np.dtype(np.uint8 if num_labels <= 255 else np.uint16)


def json_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Converts settings to JSON values. Tuples become lists, and keys become strings.

    Raises:
        InputError: A value cannot be stored as JSON.
    """
    try:
        return json.loads(json.dumps(dict(settings), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"settings: cannot be stored as JSON ({error}); give numbers, text, lists and mappings."
        ) from error


def describe_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Describes up to three values that differ between two mappings of JSON values.

    Returns:
        A text such as ``settings.model was 'a' and is now 'b'``, or None if nothing differs.
    """
    found = _differences(old, new, "")
    more = f", and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(found[:3]) + more if found else None


def _differences(old: Any, new: Any, name: str) -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = list(dict.fromkeys([*new, *old]))
        inner = ((key, f"{name}.{key}" if name else str(key)) for key in keys)
        return [d for k, n in inner for d in _differences(old.get(k), new.get(k), n)]
    if old == new:
        return []
    return [f"{name} was {_shorten(old)} and is now {_shorten(new)}"]


def _shorten(value: Any) -> str:
    text = "absent" if value is None else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
