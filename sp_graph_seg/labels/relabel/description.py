"""The description of a relabelling: immutable, checked once, and applied to any label map."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel import steps
from sp_graph_seg.labels.relabel.parse import (
    Label,
    Resolver,
    parse_labels,
    parse_list,
    parse_merge,
    parse_pixels,
    parse_sizes,
    parse_unlabelled,
)
from sp_graph_seg.transforms.arrays import as_array

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, init=False)
class Relabel:
    """Describes the names, colours and clean-up of labels; can be saved and applied again.

    The arguments are the keys of the YAML file and of :meth:`to_dict`. Every argument is
    optional. The steps run in the order of the list below, whatever their order in a file.
    Components are connected through faces of pixels: a pixel has 4 neighbours in an image, 6 in a
    volume. Sizes are numbers of pixels, or of voxels in a volume. The arguments may name a label by
    its number or its name; the attributes hold numbers only.

    Example:
        >>> import numpy as np
        >>> relabel = Relabel(labels={3: {"name": "grain"}}, merge={"grain": [4]})
        >>> relabel.apply(np.array([[0, 3, 4], [1, 4, 4]])).tolist()
        [[0, 3, 3], [1, 3, 3]]

    Attributes:
        labels: The ``name`` and the ``color`` of each label, both optional. Any colour that
            Matplotlib knows is accepted and stored as ``"#rrggbb"``. Labels that are not listed
            are kept too.
        merge: For each target label, the labels that are replaced by it. All mergers happen at
            once.
        smooth: Radius r in pixels. Every pixel takes the most frequent label in the window of
            (2r + 1) x (2r + 1) pixels around it (a cube in a volume). In a tie it keeps its own
            label if that is among the most frequent, else it takes the smallest. 0 means no
            smoothing.
        remove_small: For each label, the minimum size of its components. The pixels of smaller
            components take the labels around them.
        fill_holes: Labels whose holes are filled with the label. A hole is everything that the
            label separates from the border of the image. Labels are treated one after another.
        keep_largest: Labels of which only the largest component is kept; in a tie, the first one.
            The pixels of the other components take the labels around them.
        unlabelled: Value of pixels without a label, such as 255. They are never counted, changed or
            spread.

    Raises:
        InputError: If a key or a label is unknown, a label is merged twice, a size is negative or
            a colour is invalid.
    """

    labels: dict[int, dict[str, str]]
    merge: dict[int, tuple[int, ...]]
    smooth: int
    remove_small: dict[int, int]
    fill_holes: tuple[int, ...]
    keep_largest: tuple[int, ...]
    unlabelled: int | None

    def __init__(
        self,
        *,
        labels: Mapping[int, Mapping[str, str] | None] = _NOTHING,
        merge: Mapping[Label, Iterable[Label]] = _NOTHING,
        smooth: int = 0,
        remove_small: Mapping[Label, int] = _NOTHING,
        fill_holes: Iterable[Label] = (),
        keep_largest: Iterable[Label] = (),
        unlabelled: int | None = None,
    ) -> None:
        entries = parse_labels(labels)
        numbers = {entry["name"]: label for label, entry in entries.items() if "name" in entry}
        merged = parse_merge(merge, Resolver(numbers))
        targets = {source: target for target, sources in merged.items() for source in sources}
        kept = Resolver(numbers, targets)
        sizes = parse_sizes("remove_small", remove_small, kept)
        holes = parse_list("fill_holes", fill_holes, kept)
        largest = parse_list("keep_largest", keep_largest, kept)
        used = {*entries, *merged, *targets, *sizes, *holes, *largest}
        vars(self).update(  # it is frozen
            labels=entries,
            merge=merged,
            smooth=parse_pixels("smooth: the radius", smooth),
            remove_small=sizes,
            fill_holes=holes,
            keep_largest=largest,
            unlabelled=parse_unlabelled(unlabelled, used),
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Relabel":
        """Makes a description from a dictionary of plain values, as in JSON and YAML.

        Args:
            values: The arguments of the class by name. Label numbers may be strings, as in JSON.

        Raises:
            InputError: If a key is unknown or a value is invalid.
        """
        keys = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            if key not in keys:
                close = difflib.get_close_matches(str(key), keys, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"use {', '.join(keys)}."
                raise InputError(f"{key!r}: this key is unknown; {hint}")
        return cls(**values)

    @classmethod
    def from_groups(cls, groups: NDArray[np.int64]) -> "Relabel":
        """Makes a description that merges the labels of each group into the first of them.

        Args:
            groups: The group of each label, ``(K,)``, from 0.
        """
        members = [np.flatnonzero(groups == group).tolist() for group in range(groups.max() + 1)]
        return cls(merge={first: rest for first, *rest in members if rest})

    def to_dict(self) -> dict[str, Any]:
        """Returns a dictionary of plain values, as in JSON and YAML; leaves out unused keys."""
        values = dataclasses.asdict(self)
        values["merge"] = {target: list(sources) for target, sources in self.merge.items()}
        for key in ("fill_holes", "keep_largest"):
            values[key] = list(values[key])
        unlabelled = values.pop("unlabelled")
        used = {key: value for key, value in values.items() if value}
        return used if unlabelled is None else used | {"unlabelled": unlabelled}

    @property
    def names(self) -> dict[int, str]:
        """The names of the labels that have one."""
        return {label: entry["name"] for label, entry in self.labels.items() if "name" in entry}

    @property
    def colors(self) -> dict[int, str]:
        """The colours of the labels that have one, as ``"#rrggbb"``."""
        return {label: entry["color"] for label, entry in self.labels.items() if "color" in entry}

    def apply(self, labels: ArrayLike | Tensor) -> NDArray[Any]:
        """Relabels a label map. The given array is not changed.

        An image is treated in 2D and a volume in 3D. To treat the frames of a video or the slices
        of a volume one by one, call this method for each.

        Args:
            labels: ``(H, W)`` or ``(D, H, W)``, integers from 0 (and ``unlabelled``).

        Returns:
            Array of the same shape and type (uint8 for booleans).

        Raises:
            InputError: If ``labels`` is not such an array, or its type cannot hold a target of
                ``merge``.
        """
        array = as_array(labels)
        self._check(array)
        array = array.astype(np.uint8 if array.dtype.kind == "b" else array.dtype)
        array = steps.merge_labels(array, self.merge)
        array = steps.smooth(array, self.smooth, self.unlabelled)
        array = steps.remove_small(array, self.remove_small, self.unlabelled)
        for label in self.fill_holes:
            array = steps.fill_holes(array, label, self.unlabelled)
        return steps.keep_largest(array, self.keep_largest, self.unlabelled)

    def _check(self, array: NDArray[Any]) -> None:
        if array.dtype.kind not in "bui" or array.ndim not in (2, 3) or array.size == 0:
            raise InputError(
                f"labels: an array of {array.dtype} with shape {array.shape} cannot be relabelled; "
                "give integers, (H, W) or (D, H, W)."
            )
        smallest = array.min(initial=0, where=array != self.unlabelled)
        if smallest < 0:
            raise InputError(
                f"labels: the smallest is {smallest}; give labels of 0 or more. If a negative "
                "value marks pixels without a label, set unlabelled to it."
            )
        largest = max(self.merge, default=0)
        if array.dtype.kind != "b" and largest > np.iinfo(array.dtype).max:
            raise InputError(
                f"merge: label {largest} does not fit labels of type {array.dtype}; "
                "merge into a smaller number, or convert the labels to a larger type."
            )
