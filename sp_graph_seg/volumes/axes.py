"""Determines the axes of stored arrays from the letters that the user gives or the file declares.

If there are no such letters and the axes could have several meanings, the array is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sp_graph_seg.errors import InputError, OneImageError
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
        shape: The shape of the array.
        slices: The name of the axis that counts the slices: "t" for frames, else "z".
    """

    order: str
    shape: tuple[int, ...]
    slices: str = "z"

    def along(self, values: Sequence[int]) -> tuple[int, int, int, int]:
        """Returns ``values`` in the order z, c, y, x, with 1 for each axis that is not stored.

        ``values`` holds one number for each stored axis.
        """
        found = dict(zip(self.order, map(int, values), strict=True))
        z, c, y, x = (found.get(axis, 1) for axis in "zcyx")
        return z, c, y, x

    @property
    def spatial(self) -> str:
        """The letters z, y and x in the order of the array.

        If the array has no axis z, the letter z is put first.
        """
        found = [axis for axis in self.order if axis in "zyx"]
        return "".join(found if "z" in found else ["z", *found])

    def unmeasured(self) -> Axes:
        """Returns the axes z (or t), y and x without spacing, for files that declare no spacing."""
        return Axis(self.slices), *UNKNOWN[1:]

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """The lengths of the axes z, c, y, x. A missing axis has length 1."""
        return self.along(self.shape)

    def runs(self, order: str = "C") -> tuple[int, int, int]:
        """Returns a chunk size along z, y and x for an array that is stored without chunks.

        One line of voxels is taken for a chunk. The line runs along the axis whose values are
        adjacent in the file. So the chunk is as long as this axis, and has the size 1 along the
        other two axes.
        """
        spatial = [i for i, axis in enumerate(self.order) if axis in "zyx" and self.shape[i] > 1]
        fastest = (spatial or [0])[-1 if order == "C" else 0]
        z, _, y, x = self.along([n if i == fastest else 1 for i, n in enumerate(self.shape)])
        return z, y, x

    def index(self, crop: StoredCrop) -> tuple[slice | int, ...]:
        """Returns the NumPy index that selects a crop from the stored array."""
        parts = crop._asdict()
        return tuple(0 if axis == "-" else as_slice(parts[axis]) for axis in self.order)

    def arrange(self, values: np.ndarray) -> np.ndarray:
        """Transposes the values that `index` selected to ``(Z, C, Y, X)``. Returns a view."""
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
    """Determines the meaning of each axis of an array.

    Args:
        path: The path that the user gave, for messages.
        shape: The shape of the array.
        given: The axis letters that the user gave, such as "zyx", or None. They take precedence
            over ``declared``.
        declared: The axis letters in the metadata of the file, or None if there are none. If
            ``given`` is None too, an array of three axes is read as z, y, x. It is refused if its
            first or last axis has length 3 or 4, because this axis could hold colours.
        may_be_one: Whether an array of one slice is accepted even if ``given`` is None. This is
            useful for formats that store only volumes.

    Returns:
        The layout.

    Raises:
        InputError: The array has no voxels. Its axes are unknown or ambiguous, or do not fit the
            shape. Or the array is one image.
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


def one_slice(path: str, shape: Sequence[int], letters: str = "") -> OneImageError:
    """Creates the error for a single image where a volume is needed.

    The message names the axes with which the image is read as a volume of one slice.
    """
    usual = {2: "yx", 3: "zyx", 4: "zcyx"}.get(len(shape), "tczyx")
    example = letters if letters and len(set(letters)) == len(letters) else usual
    return OneImageError(
        f"{path}: is one image (shape {tuple(shape)}) and not a volume; read it as an image, or "
        f'give axes="{example}" to read it as a volume of one slice.',
        example,
    )


def checked_letters(axes: str) -> str:
    """Checks the axis letters that the user gave, and returns them in lower case."""
    letters = axes.lower() if isinstance(axes, str) else ""
    meanings = [_MEANING.get(letter, letter) for letter in letters]
    if not (
        set(letters) <= set("ztcyx")
        and len(set(letters)) == len(letters)
        and {"y", "x"} <= set(meanings)
    ):
        raise InputError(
            f"axes: {axes!r} does not name axes; give the letters y and x, z or t for slices, and "
            'c for channels, each at most once, such as "zyx", "tyxc" or "zcyx".'
        )
    return letters


def check_axes_of_files(path: str, letters: str | None) -> None:
    """Raises an InputError if axes do not begin with z or t.

    In a folder or video, each file or frame is a slice, so the slices come first.
    """
    if letters is not None and letters[0] not in "zt":
        raise InputError(
            f"axes: {letters!r} does not suit {path}, where each file or frame is a slice; leave "
            'out axes, or give axes that begin with z or t, such as "zyx".'
        )


def _layout(path: str, shape: tuple[int, ...], letters: str) -> Layout:
    """Assigns a meaning to each axis. An axis of length 1 may have any letter."""
    if len(letters) != len(shape):
        raise InputError(
            f"{path}: has {len(shape)} axes (shape {shape}), but {letters!r} has {len(letters)} "
            "letters; give one letter for each axis."
        )
    order = ["-"] * len(shape)
    for i, letter in enumerate(letters):
        meaning = _MEANING.get(letter, letter)
        rivals = [j for j in range(len(shape)) if order[j] == meaning]
        if shape[i] == 1 and (rivals or meaning not in "zcyx"):
            continue
        if meaning not in "zcyx" or any(shape[j] > 1 for j in rivals):
            raise InputError(
                f"{path}: has the axes {letters!r} (shape {shape}), but a volume can only have "
                "slices (z or t), channels (c), y and x; export one time point, position or "
                "measurement, or give other axes."
            )
        for j in rivals:
            order[j] = "-"
        order[i] = meaning
    if "y" not in order or "x" not in order:
        raise InputError(
            f"{path}: declares the axes {letters!r} (shape {shape}), but not both y and x; give "
            'the correct axes, such as axes="zyx".'
        )
    slices = letters[order.index("z")] if "z" in order else "z"
    return Layout("".join(order), shape, "t" if slices == "t" else "z")


def _default_letters(path: str, shape: tuple[int, ...]) -> str:
    """Returns "zyx" for an array without declared axes.

    Raises:
        InputError: The array does not have three axes, or the first or last could hold colours.
    """
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
        examples = 'axes="zcyx", or axes="tyxc" if the channels are last'
    else:
        examples = 'axes="zyx" for 3 axes or axes="tczyx" for 5, where t has length 1'
    raise InputError(
        f"{path}: does not declare its axes (shape {shape}); give axes, such as {examples}."
    )
