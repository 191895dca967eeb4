"""The description of a relabelling. It is immutable, and can be applied to any label map."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.components import as_label_array
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

if TYPE_CHECKING:
    from torch import Tensor

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, init=False)
class Relabel:
    """A description of how labels are named, coloured, merged and cleaned up.

    A description can be saved to a YAML file and applied to any label map. The arguments have the
    same names as the keys of the YAML file and of :meth:`to_dict`, and all of them are optional.
    The steps run in the order of the attributes below, whatever the order in a file.

    Components are connected through faces: a pixel has 4 neighbours in an image, and a voxel has 6
    in a volume. Sizes are numbers of pixels in an image, and numbers of voxels in a volume. The
    arguments may name a label by its number or by its name. The attributes hold only numbers.

    Example:
        >>> import numpy as np
        >>> relabel = Relabel(labels={3: {"name": "grain"}}, merge={"grain": [4]})
        >>> relabel.apply(np.array([[0, 3, 4], [1, 4, 4]])).tolist()
        [[0, 3, 3], [1, 3, 3]]

    Attributes:
        labels: The ``name`` and the ``color`` of each label. Both are optional. Any colour that
            Matplotlib knows is accepted, and is stored as ``"#rrggbb"``. Labels that are not listed
            here are kept too.
        merge: For each target label, the labels that are replaced by the target. All labels are
            replaced at the same time.
        smooth: Radius r of the smoothing in pixels. 0 means no smoothing. Every pixel takes the
            most frequent label in a window of (2r + 1) x (2r + 1) pixels around the pixel. In a
            volume, the window is a cube. If several labels are equally frequent, the pixel keeps
            its own label if possible. Otherwise, it takes the smallest of these labels.
        remove_small: For each label, the minimum size of a component. The pixels of smaller
            components take the labels around them.
        fill_holes: Labels whose holes are filled. A hole is a part of the image that the label
            separates from the border of the image. All pixels of a hole take the label. The labels
            are treated one after another, in the given order.
        keep_largest: Labels of which only the largest component is kept. If several components are
            equally large, the first of them is kept. The pixels of all other components of the
            label take the labels around them.
        unlabelled: Value of pixels without a label, such as 255. These pixels are never counted or
            changed, and no other pixel takes this value.

    Raises:
        InputError: If a key or a label is unknown, a label is merged twice, a size is negative or a
            colour is invalid.
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
        """Makes a description from a dictionary, such as one that was read from JSON or YAML.

        Args:
            values: The arguments of :class:`Relabel` by name. Label numbers may be strings, because
                keys are strings in JSON.

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
        """Makes a description that merges all labels of a group into the first label of the group.

        Args:
            groups: The number of the group, from 0, for each of K labels, ``(K,)``.
        """
        members = [np.flatnonzero(groups == group).tolist() for group in range(groups.max() + 1)]
        return cls(merge={first: rest for first, *rest in members if rest})

    def to_dict(self) -> dict[str, Any]:
        """Returns the description as a dictionary for JSON or YAML. Unused keys are left out."""
        values = dataclasses.asdict(self)
        values["merge"] = {target: list(sources) for target, sources in self.merge.items()}
        for key in ("fill_holes", "keep_largest"):
            values[key] = list(values[key])
        unlabelled = values.pop("unlabelled")
        used = {key: value for key, value in values.items() if value}
        return used if unlabelled is None else used | {"unlabelled": unlabelled}

    @property
    def names(self) -> dict[int, str]:
        """The name of each label, by the number of the label. Labels without a name are missing."""
        return {label: entry["name"] for label, entry in self.labels.items() if "name" in entry}

    @property
    def colors(self) -> dict[int, str]:
        """The colour of each label as ``"#rrggbb"``, by the number of the label.

        Labels without a colour are missing.
        """
        return {label: entry["color"] for label, entry in self.labels.items() if "color" in entry}

    def apply(self, labels: "ArrayLike | Tensor") -> NDArray[Any]:
        """Applies the description to a label map. Returns a new array.

        An image is treated in 2D and a volume in 3D. To treat each slice of a volume as an image,
        call this method for each slice.

        Args:
            labels: Integers from 0, ``(H, W)`` or ``(D, H, W)``. The value ``unlabelled`` is
                allowed too.

        Returns:
            The new labels, in an array of the same shape and type. If ``labels`` is boolean, the
            type is uint8.

        Raises:
            InputError: If ``labels`` has another shape, another type or negative labels, or if its
                type cannot hold a target label of ``merge``.
        """
        array = as_label_array(labels)
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
                "give an array of integers with shape (H, W) or (D, H, W)."
            )
        smallest = array.min(initial=0, where=array != self.unlabelled)
        if smallest < 0:
            raise InputError(
                f"labels: the smallest label is {smallest}; give labels of 0 or more, or set "
                "unlabelled to the negative value of the pixels without a label."
            )
        largest = max(self.merge, default=0)
        if array.dtype.kind != "b" and largest > np.iinfo(array.dtype).max:
            raise InputError(
                f"merge: label {largest} does not fit labels of type {array.dtype}; "
                "merge into a label with a smaller number, or convert the labels to a larger type."
            )
