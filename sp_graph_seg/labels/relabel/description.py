"""What to do with labels: a frozen description that is checked once and replayed anywhere."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel import steps
from sp_graph_seg.labels.relabel.parse import (
    Name,
    as_list,
    as_mapping,
    parse_labels,
    resolve,
    whole_number,
)
from sp_graph_seg.transforms.arrays import as_array


@dataclass(frozen=True, kw_only=True)
class Relabel:
    """Names, colours and the clean-up of labels, as data that can be saved and replayed.

    The arguments are the keys of the YAML file and of :meth:`to_dict`. Every step names a label by
    its number or its name. The steps run in the order of this list, whatever their order in a
    file, and each is left out where it is not given. Connected means through faces of pixels: 4
    neighbours in an image, 6 in a volume. Sizes count pixels, or voxels in a volume.

    Example:
        >>> import numpy as np
        >>> relabel = Relabel(labels={3: {"name": "grain"}}, merge={"grain": [4]})
        >>> relabel.apply(np.array([[0, 3, 4], [1, 4, 4]])).tolist()
        [[0, 3, 3], [1, 3, 3]]

    Attributes:
        labels: For a number its ``name`` and ``color``, both optional; a colour is any that
            Matplotlib knows and is kept as ``"#rrggbb"``. Labels that are not listed are kept too.
        merge: For a label those that become it, all at once.
        smooth: Radius r in pixels: every pixel takes the most frequent label of the (2r + 1) x
            (2r + 1) pixels around it (of the cube in a volume); if several are, it keeps its own
            where that is one of them, else it takes the smallest. 0: no smoothing.
        remove_small: For a label the least size of its connected components; the pixels of smaller
            ones take the labels around them.
        fill_holes: Labels whose holes are filled: what they enclose, away from the border of the
            image, whatever its labels. They are filled one after another.
        keep_largest: Labels of which only the largest component stays (of equals the first, row by
            row); the pixels of the others take the labels around them.
        unlabelled: Value of pixels without a label, such as 255. They stay as they are: they are
            never counted, changed or spread.

    Raises:
        InputError: If a key or a label is unknown, a label is merged twice, a size is negative or
            a colour is none.
    """

    labels: Mapping[int, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    merge: Mapping[Name, Iterable[Name]] = dataclasses.field(default_factory=dict)
    smooth: int = 0
    remove_small: Mapping[Name, int] = dataclasses.field(default_factory=dict)
    fill_holes: Iterable[Name] = ()
    keep_largest: Iterable[Name] = ()
    unlabelled: int | None = None

    def __post_init__(self) -> None:
        labels = parse_labels(self.labels)
        numbers = {entry["name"]: label for label, entry in labels.items() if "name" in entry}
        merge = _parse_merge(self.merge, numbers)
        merged = {source: target for target, sources in merge.items() for source in sources}

        def resolve_kept(key: str, label: Any) -> int:
            number = resolve(key, label, numbers)
            if number in merged:
                raise InputError(
                    f"{key}: label {number} is gone by then, it is merged into {merged[number]}; "
                    f"name {merged[number]}."
                )
            return number

        sizes: dict[int, int] = {}
        for label, size in as_mapping("remove_small", self.remove_small).items():
            number = resolve_kept("remove_small", label)
            if number in sizes:
                raise InputError(f"remove_small: names label {number} twice; keep one size.")
            sizes[number] = whole_number(f"remove_small: the size for label {number}", size)
        values = {
            "labels": labels,
            "merge": merge,
            "smooth": whole_number("smooth: the radius", self.smooth),
            "remove_small": sizes,
        }
        for key in ("fill_holes", "keep_largest"):
            listed = [resolve_kept(key, label) for label in as_list(key, getattr(self, key))]
            values[key] = tuple(dict.fromkeys(listed))
        if self.unlabelled is not None:
            values["unlabelled"] = _parse_unlabelled(self.unlabelled, values, merged)
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Relabel":
        """A description from plain values, as in JSON and YAML; unknown keys are refused.

        Args:
            values: The keys are those of the class. Numbers of labels may be text, as JSON has it.
        """
        keys = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            if key not in keys:
                close = difflib.get_close_matches(str(key), keys, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"use {', '.join(keys)}."
                raise InputError(f"{key!r} is no key of a relabelling: {hint}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in JSON and YAML, without the keys that say nothing."""
        values = dataclasses.asdict(self)
        values["merge"] = {target: list(sources) for target, sources in values["merge"].items()}
        for key in ("fill_holes", "keep_largest"):
            values[key] = list(values[key])
        if self.unlabelled is None:
            del values["unlabelled"]
        return {key: value for key, value in values.items() if value or key == "unlabelled"}

    @property
    def names(self) -> dict[int, str]:
        """The names of the labels that have one."""
        return {label: entry["name"] for label, entry in self.labels.items() if "name" in entry}

    @property
    def colors(self) -> dict[int, str]:
        """The colours of the labels that have one, as ``"#rrggbb"``."""
        return {label: entry["color"] for label, entry in self.labels.items() if "color" in entry}

    def apply(self, labels: ArrayLike | Tensor) -> NDArray[Any]:
        """Gives new labels; those given are not changed.

        An image is treated in 2D and a volume in 3D: for the slices of a video or of a volume one
        by one, call it for each.

        Args:
            labels: ``(H, W)`` or ``(D, H, W)``, integers from 0 (and ``unlabelled``).

        Returns:
            Array of the same shape and type (of uint8 for booleans).

        Raises:
            InputError: If the labels are not such an array, or a label does not fit its type.
        """
        array = as_array(labels)
        self._check(array)
        array = array.astype(np.uint8 if array.dtype.kind == "b" else array.dtype)
        does: Any = self  # every label is a number by now
        array = steps.merge_labels(array, does.merge)
        array = steps.smooth(array, does.smooth, does.unlabelled)
        array = steps.remove_small(array, does.remove_small, does.unlabelled)
        for label in does.fill_holes:
            array = steps.fill_holes(array, label, does.unlabelled)
        return steps.keep_largest(array, does.keep_largest, does.unlabelled)

    def _check(self, array: NDArray[Any]) -> None:
        if array.dtype.kind not in "bui" or array.ndim not in (2, 3) or array.size == 0:
            raise InputError(
                f"labels: {array.dtype} of shape {array.shape} cannot be relabelled; "
                "give integers, (H, W) or (D, H, W)."
            )
        smallest = array.min(initial=0, where=array != self.unlabelled)
        if smallest < 0:
            raise InputError(
                f"labels: the smallest is {smallest}; give labels from 0 up, and name the value "
                "of pixels without a label with unlabelled."
            )
        largest = max((int(target) for target in self.merge), default=0)
        if array.dtype.kind != "b" and largest > np.iinfo(array.dtype).max:
            raise InputError(
                f"merge: label {largest} does not fit labels of {array.dtype}; "
                "merge into a smaller number, or give labels of 16 bits."
            )


def _parse_merge(value: Any, numbers: Mapping[str, int]) -> dict[int, tuple[int, ...]]:
    """The numbers that become each number, checked to have one target each and no chain."""
    into: dict[int, int] = {}
    merge: dict[int, tuple[int, ...]] = {}
    for label, listed in as_mapping("merge", value).items():
        target = resolve("merge", label, numbers)
        sources = [resolve("merge", source, numbers) for source in as_list("merge", listed)]
        for source in dict.fromkeys(sources):
            if source == target:
                continue
            if source in into:
                raise InputError(
                    f"merge: label {source} is merged twice, into {into[source]} and {target}; "
                    "keep one of them."
                )
            into[source] = target
        if target in merge:
            raise InputError(f"merge: names label {target} twice; write one list for it.")
        merge[target] = tuple(source for source, goal in into.items() if goal == target)
    for target in merge:
        if target in into:
            raise InputError(
                f"merge: label {target} is merged into {into[target]} while others become it; "
                f"merge all of them into {into[target]}."
            )
    return {target: sources for target, sources in merge.items() if sources}


def _parse_unlabelled(value: Any, values: Mapping[str, Any], merged: Mapping[int, int]) -> int:
    """The value of pixels without a label, checked to be no label that a step names."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"unlabelled: {value!r} must be a whole number, such as 255.")
    used = [*values["labels"], *values["merge"], *merged, *values["remove_small"]]
    if value in [*used, *values["fill_holes"], *values["keep_largest"]]:
        raise InputError(
            f"unlabelled: {value} is a label that another key names; remove it there or here."
        )
    return int(value)
