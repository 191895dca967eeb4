"""Determines the axes of stored arrays: as the file declares or the user gives, never guessed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes.geometry import UNKNOWN, Axes, Axis
from sp_graph_seg.volumes.source import StoredCrop, as_slice

_MEANING = {"z": "z", "t": "z", "c": "c", "s": "c", "y": "y", "x": "x"}
_COLOURS = (3, 4)


@dataclass(frozen=True)
class Layout:
    """The order of the axes z, c, y, x in a stored array.

    Attributes:
        order: One letter for each axis of the array: z, c, y, x, or ``-`` for an axis of length 1
            that is dropped.
        shape: The array's shape.
        slices: "t" if the slices are frames, else "z".
    """

    order: str
    shape: tuple[int, ...]
    slices: str = "z"

    def along(self, values: Sequence[int]) -> tuple[int, int, int, int]:
        """Sorts one number for each stored axis into the order z, c, y, x. Missing axes get 1."""
        found = dict(zip(self.order, map(int, values), strict=True))
        z, c, y, x = (found.get(axis, 1) for axis in "zcyx")
        return z, c, y, x

    @property
    def spatial(self) -> str:
        """The order of the axes z, y and x in the array; a missing z comes first."""
        found = [axis for axis in self.order if axis in "zyx"]
        return "".join(found if "z" in found else ["z", *found])

    def unmeasured(self) -> Axes:
        """Returns the axes z (or t), y and x of a volume whose voxel size is not declared."""
        return Axis(self.slices), *UNKNOWN[1:]

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """The lengths of the axes z, c, y, x."""
        return self.along(self.shape)

    def runs(self, order: str = "C") -> tuple[int, int, int]:
        """Returns the chunk size along z, y and x of an array without chunks: one line of values.

        The line runs along the axis whose values are adjacent in the file.
        """
        spatial = [i for i, axis in enumerate(self.order) if axis in "zyx" and self.shape[i] > 1]
        fastest = (spatial or [0])[-1 if order == "C" else 0]
        z, _, y, x = self.along([n if i == fastest else 1 for i, n in enumerate(self.shape)])
        return z, y, x

    def index(self, crop: StoredCrop) -> tuple[slice | int, ...]:
        """Returns the index that selects a crop of the stored array."""
        parts = crop._asdict()
        return tuple(0 if axis == "-" else as_slice(parts[axis]) for axis in self.order)

    def arrange(self, values: np.ndarray) -> np.ndarray:
        """Transposes an array selected by `index` to ``(Z, C, Y, X)``, as a view."""
        kept = self.order.replace("-", "")
        values = values.transpose([kept.index(axis) for axis in "zcyx" if axis in kept])
        for position, axis in enumerate("zcyx"):
            if axis not in kept:
                values = np.expand_dims(values, position)
        return values


def resolve_axes(
    path: str,
    shape: Sequence[int],
    given: str | None,
    declared: str | None,
    *,
    may_be_one: bool = False,
) -> Layout:
    """Determines what the axes of an array mean.

    Args:
        path: The file, for the messages.
        shape: Shape of the array.
        given: The letters that the user gave, or None. They take precedence.
        declared: The letters in the file's metadata, or None if there are none. In that case,
            three axes are z, y, x, unless the first or last could be colours (length 3 or 4).
        may_be_one: Whether an array of one slice is accepted, as in formats that hold volumes only.

    Returns:
        The layout.

    Raises:
        InputError: The axes are unknown, ambiguous or do not fit the shape, or the array is one
            image.
    """
    shape = tuple(map(int, shape))
    if 0 in shape:
        raise InputError(f"{path}: has no voxels (shape {shape}); export it again.")
    if given is not None:
        return _layout(path, shape, checked_letters(given))
    if declared is not None:
        layout = _layout(path, shape, declared.lower())
    elif may_be_one and len(shape) == 2:
        layout = Layout("yx", shape)
    else:
        layout = Layout(_default_letters(path, shape), shape)
    if layout.sizes[0] == 1 and not may_be_one:
        raise one_slice(
            path, shape, "".join(_MEANING.get(a, "z") for a in (declared or "").lower())
        )
    return layout


def one_slice(path: str, shape: Sequence[int], letters: str = "") -> InputError:
    """Makes the error for a volume of one slice, which is allowed only if the user gives axes."""
    usual = {2: "yx", 3: "zyx", 4: "zcyx"}.get(len(shape), "tczyx")
    example = letters if letters and len(set(letters)) == len(letters) else usual
    return InputError(
        f"{path}: is one image (shape {tuple(shape)}); read it as an image, or as a volume of one "
        f'slice with axes="{example}".'
    )


def checked_letters(axes: str) -> str:
    """Checks the user's letters and returns them in lower case."""
    letters = axes.lower() if isinstance(axes, str) else ""
    meanings = [_MEANING.get(letter, letter) for letter in letters]
    if not (
        set(letters) <= set("ztcyx")
        and len(set(letters)) == len(letters)
        and {"y", "x"} <= set(meanings)
    ):
        raise InputError(
            f"axes: {axes!r} are not axes; give y and x, z or t for slices, c for channels, each "
            'once, such as "zyx", "tyxc" or "zcyx".'
        )
    return letters


def check_axes_of_files(path: str, letters: str | None) -> None:
    """Refuses axes that do not begin with z or t, for an input whose files or frames are slices."""
    if letters is not None and letters[0] not in "zt":
        raise InputError(
            f"axes: {letters!r} does not suit {path}, where each file or frame is a slice; leave "
            'axes out, or begin them with z or t, such as "zyx".'
        )


def _layout(path: str, shape: tuple[int, ...], letters: str) -> Layout:
    """Assigns a meaning to each axis. An axis of length 1 may have any letter."""
    if len(letters) != len(shape):
        raise InputError(
            f"{path}: has {len(shape)} axes (shape {shape}), but {letters!r} has {len(letters)} "
            "letters; give axes with one letter for each."
        )
    order = ["-"] * len(shape)
    for i, letter in enumerate(letters):
        meaning = _MEANING.get(letter, letter)
        rivals = [j for j in range(len(shape)) if order[j] == meaning]
        if shape[i] == 1 and (rivals or meaning not in "zcyx"):
            continue
        if meaning not in "zcyx" or any(shape[j] > 1 for j in rivals):
            raise InputError(
                f"{path}: has the axes {letters} (shape {shape}), but only slices, channels, y and "
                "x can be read; export one time, position or measurement, or give other axes."
            )
        for j in rivals:
            order[j] = "-"
        order[i] = meaning
    if "y" not in order or "x" not in order:
        raise InputError(
            f"{path}: its axes are declared as {letters!r} (shape {shape}), without y and x; give "
            'axes, such as axes="zyx".'
        )
    slices = letters[order.index("z")] if "z" in order else "z"
    return Layout("".join(order), shape, "t" if slices == "t" else "z")


def _default_letters(path: str, shape: tuple[int, ...]) -> str:
    """Returns "zyx" for an array without declared axes; refuses it if other axes are possible."""
    if len(shape) == 3 and shape[0] not in _COLOURS and shape[2] not in _COLOURS:
        return "zyx"
    if len(shape) == 2:
        raise one_slice(path, shape)
    if len(shape) == 3:
        last = shape[2] in _COLOURS
        examples = (
            f'axes="zyx" for slices or axes="{"yxc" if last else "cyx"}" for one colour image'
        )
    elif len(shape) == 4:
        examples = 'axes="zcyx", or axes="tyxc" with channels last'
    else:
        examples = 'axes="zyx" for 3 axes or axes="tczyx" for 5, where t has length 1'
    raise InputError(
        f"{path}: does not declare its axes (shape {shape}); give axes, such as {examples}."
    )
