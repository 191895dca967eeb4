"""Axes by their letters: what a file declares, what the user says, and never a guess."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes.source import Region, as_slice

_MEANING = {"z": "z", "t": "z", "c": "c", "s": "c", "y": "y", "x": "x"}
_COLOURS = (3, 4)


@dataclass(frozen=True)
class Layout:
    """Where the axes z, c, y, x lie in a stored array.

    Attributes:
        order: A letter of ``zcyx`` for each axis of the array, ``-`` for one of length 1.
        shape: The array's shape.
    """

    order: str
    shape: tuple[int, ...]

    def along(self, values: Sequence[int]) -> tuple[int, int, int, int]:
        """Bring a number for each axis into the order z, c, y, x; 1 where there is no axis."""
        found = dict(zip(self.order, map(int, values), strict=True))
        z, c, y, x = (found.get(axis, 1) for axis in "zcyx")
        return z, c, y, x

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Z, C, Y, X."""
        return self.along(self.shape)

    def runs(self, order: str = "C") -> tuple[int, int, int]:
        """Give the chunks along z, y and x of a plain array: its fastest axis lies in one run."""
        spatial = [i for i, axis in enumerate(self.order) if axis in "zyx" and self.shape[i] > 1]
        fastest = (spatial or [0])[-1 if order == "C" else 0]
        z, _, y, x = self.along([n if i == fastest else 1 for i, n in enumerate(self.shape)])
        return z, y, x

    def index(self, region: Region) -> tuple[slice | int, ...]:
        """Give the index of a region into the stored array."""
        parts = region._asdict()
        return tuple(0 if axis == "-" else as_slice(parts[axis]) for axis in self.order)

    def arrange(self, block: np.ndarray) -> np.ndarray:
        """Transpose what `index` selected to ``(Z, C, Y, X)``, a view."""
        kept = self.order.replace("-", "")
        block = block.transpose([kept.index(axis) for axis in "zcyx" if axis in kept])
        for position, axis in enumerate("zcyx"):
            if axis not in kept:
                block = np.expand_dims(block, position)
        return block


def resolve_axes(
    path: str, shape: Sequence[int], given: str | None, declared: str | None
) -> Layout:
    """Find out what the axes of an array mean.

    Args:
        path: The file, for the messages.
        shape: Shape of the array.
        given: The letters that the user gave, which win, or None.
        declared: The letters in the file's metadata, or None: then three axes are z, y, x, unless
            the first or last could be colours.

    Returns:
        The layout.

    Raises:
        InputError: The axes are unknown, ambiguous, or do not fit the shape; it is one image.
    """
    shape = tuple(map(int, shape))
    if 0 in shape:
        raise InputError(f"{path}: has no voxels (shape {shape}); export it again")
    if given is not None:
        return _layout(path, shape, checked_letters(given))
    if declared is not None:
        layout = _layout(path, shape, declared.lower())
    else:
        layout = Layout(_default_letters(path, shape), shape)
    if layout.sizes[0] == 1:
        raise one_slice(
            path, shape, "".join(_MEANING.get(a, "z") for a in (declared or "").lower())
        )
    return layout


def one_slice(path: str, shape: Sequence[int], letters: str = "") -> InputError:
    """Say that a volume has one slice, which is allowed when the user says so."""
    usual = {2: "yx", 3: "zyx", 4: "zcyx"}.get(len(shape), "tczyx")
    example = letters if letters and len(set(letters)) == len(letters) else usual
    return InputError(
        f"{path}: is one image (shape {tuple(shape)}); read it as an image, or give axes, such as "
        f'axes="{example}", to call it a volume of one slice'
    )


def checked_letters(axes: str) -> str:
    """Give the user's letters in lower case, or refuse them."""
    letters = axes.lower() if isinstance(axes, str) else ""
    meanings = [_MEANING.get(letter, letter) for letter in letters]
    if not (
        set(letters) <= set("ztcyx")
        and len(set(letters)) == len(letters)
        and {"y", "x"} <= set(meanings)
    ):
        raise InputError(
            f"axes: {axes!r} is no order of axes; give each of y and x, and z or t (slices) and c "
            '(channels) if present, once, such as "zyx", "tyxc" or "zcyx"'
        )
    return letters


def check_axes_of_files(path: str, letters: str | None) -> None:
    """Refuse axes that contradict the files: each is a slice."""
    if letters is not None and letters[0] not in "zt":
        raise InputError(
            f"axes: {letters!r} does not suit {path}, where each file or frame is a slice; leave "
            'axes out, or begin with z or t, such as "zyx"'
        )


def _layout(path: str, shape: tuple[int, ...], letters: str) -> Layout:
    """Give each axis its meaning; axes of length 1 may mean anything."""
    if len(letters) != len(shape):
        raise InputError(
            f"{path}: has {len(shape)} axes (shape {shape}), but the axes {letters!r} are "
            f"{len(letters)}; give axes with one letter for each"
        )
    order = ["-"] * len(shape)
    for i, letter in enumerate(letters):
        meaning = _MEANING.get(letter, letter)
        rivals = [j for j in range(len(shape)) if order[j] == meaning]
        if shape[i] == 1 and (rivals or meaning not in "zcyx"):
            continue
        if meaning not in "zcyx" or any(shape[j] > 1 for j in rivals):
            raise InputError(
                f"{path}: has the axes {letters} of shape {shape}, more than slices, channels, y "
                "and x; export one time, position or measurement, or give axes"
            )
        for j in rivals:
            order[j] = "-"
        order[i] = meaning
    if "y" not in order or "x" not in order:
        raise InputError(
            f"{path}: its axes are declared as {letters!r} (shape {shape}), without y and x; give "
            'axes, such as axes="zyx"'
        )
    return Layout("".join(order), shape)


def _default_letters(path: str, shape: tuple[int, ...]) -> str:
    """Give zyx for an array without metadata, or ask."""
    if len(shape) == 3 and shape[0] not in _COLOURS and shape[2] not in _COLOURS:
        return "zyx"
    if len(shape) == 2:
        raise one_slice(path, shape)
    if len(shape) == 3:
        last = shape[2] in _COLOURS
        examples = f'axes="zyx" for slices, axes="{"yxc" if last else "cyx"}" for one colour image'
    elif len(shape) == 4:
        examples = 'axes="zcyx", or axes="tyxc" with channels last'
    else:
        examples = 'axes="zyx" for an array of 3 axes, axes="tczyx" for 5 of which t has length 1'
    raise InputError(
        f"{path}: does not say what its axes of shape {shape} are; give axes, such as {examples}"
    )
