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
    """What is known about the labels of a job when all blocks are written.

    Attributes:
        skipped: The skipped slices and their reasons.
        used: The labels that occur, in ascending order.
    """

    skipped: Mapping[int, str]
    used: tuple[int, ...]


NOTHING_FOUND = Found({}, ())


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What must stay the same from the first block to the finished output.

    Attributes:
        shape: ``(S, H, W)``, the slices or frames and their height and width in pixels.
        num_labels: The labels are 0 to num_labels - 1.
        block: Slices in a block; the last block may have fewer.
        settings: The model, input and options, as JSON values.
        geometry: Where the slices lie, and the order of the axes of the output.
        labels: The ``name`` and the ``color`` of each label that was given one; None if the
            values are not labels but grey values.
        dataset: The dataset in an HDF5 file, None for other formats.
        record: Who made the output from what; see `sp_graph_seg.io.record`. Only this may
            change.
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
        """The type of the labels: uint8 if they and the value for "unlabelled" fit, else uint16."""
        return label_dtype(self.num_labels)

    @property
    def unlabelled(self) -> int:
        """The value of pixels without a label: 255 or 65535."""
        return int(np.iinfo(self.dtype).max)

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """The shape of the labels in the order of the axes of the output."""
        first, second, third = (self.shape[place] for place in self.geometry.places)
        return first, second, third

    @property
    def nbytes(self) -> int:
        """The size of all labels in bytes, uncompressed."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of the manifest without its record, 32 hexadecimal digits."""
        return fingerprint(**self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Converts all but the record to JSON values; adds the version and derived values."""
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
        """Returns the ``label``, ``color`` and, if it has one, ``name`` of each label in use.

        Labels without a given colour get colours that are as far apart as possible. Grey values
        have no legend, so the list is empty.
        """
        if self.labels is None:
            return []
        about = {int(label): values for label, values in self.labels.items()}
        given = {label: values["color"] for label, values in about.items() if "color" in values}
        colors = label_colors(sorted(used), given)
        return [about.get(n, {}) | {"label": n, "color": color} for n, color in colors.items()]

    def provenance(self, found: Found = NOTHING_FOUND) -> dict[str, Any]:
        """Returns the provenance that the finished output stores."""
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
    """Returns the smallest type for labels 0 to num_labels - 1 and one value for "unlabelled".

    Raises:
        InputError: ``num_labels`` is not from 1 to 65535.
    """
    if not 1 <= num_labels <= MAX_LABELS:
        raise InputError(
            f"num_labels: {num_labels} labels cannot be stored; give 1 to {MAX_LABELS}."
        )
    return np.dtype(np.uint8 if num_labels <= 255 else np.uint16)


def json_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Converts settings to JSON values: tuples become lists, and keys become strings.

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
        A text such as ``settings.model was 'a' and is 'b'``, or None if nothing differs.
    """
    found = _differences(old, new, "")
    more = f" ({len(found) - 3} more)" if len(found) > 3 else ""
    return "; ".join(found[:3]) + more if found else None


def _differences(old: Any, new: Any, name: str) -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = list(dict.fromkeys([*new, *old]))
        inner = ((key, f"{name}.{key}" if name else str(key)) for key in keys)
        return [d for k, n in inner for d in _differences(old.get(k), new.get(k), n)]
    if old == new:
        return []
    return [f"{name} was {_shorten(old)} and is {_shorten(new)}"]


def _shorten(value: Any) -> str:
    text = "absent" if value is None else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
