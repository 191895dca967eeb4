"""Checks the options that select what is read: slices, rows, columns, channels and binning."""

import operator
from collections.abc import Sequence

from sp_graph_seg.errors import InputError

Bounds = tuple[int | None, int | None]
Crop = tuple[Bounds, Bounds]

#: The axes of slices, rows and columns, for slices perpendicular to each axis.
VIEWS = {"z": "zyx", "y": "yzx", "x": "xzy"}
_NAMES: dict[object, str] = {0: "z", 1: "y", 2: "x", "t": "z", "z": "z", "y": "y", "x": "x"}


def parse_crop(text: str) -> Crop:
    """Converts a text to a crop. ``10:200,30:400`` means rows 10 to 199 and columns 30 to 399.

    Args:
        text: The bounds of the rows, a comma, and the bounds of the columns. As in Python, a
            missing bound is the edge of the slice, and a negative bound counts from the end.

    Returns:
        ``((first row, end), (first column, end))``. A missing bound is None.

    Raises:
        InputError: The text is not a crop.

    Example:
        >>> parse_crop("10:200, 30:")
        ((10, 200), (30, None))
    """
    try:
        rows, columns = (part.split(":") for part in text.split(","))
        (top, bottom), (left, right) = (
            (int(first) if first.strip() else None, int(end) if end.strip() else None)
            for first, end in (rows, columns)
        )
    except ValueError as error:
        raise InputError(
            f"crop: {text!r} is not a crop; give rows and columns, such as 10:200,30:400."
        ) from error
    return (top, bottom), (left, right)


def choose_axis(axis: str | int) -> str:
    """Returns the letter of the axis that counts the slices: "z", "y" or "x"."""
    if axis not in _NAMES:
        raise InputError(f'axis: {axis!r} is unknown; give "z", "y" or "x".')
    return _NAMES[axis]


def choose_crop(crop: str | Crop | None) -> Crop:
    """Returns the bounds of the rows and columns. All bounds are None if ``crop`` is None."""
    if crop is None:
        return (None, None), (None, None)
    if isinstance(crop, str):
        return parse_crop(crop)
    try:
        (top, bottom), (left, right) = crop
    except (TypeError, ValueError) as error:
        raise InputError(
            f'crop: {crop!r} is not a crop; give ((top, bottom), (left, right)) or "10:200,30:400".'
        ) from error
    return (top, bottom), (left, right)


def choose_range(name: str, size: int, bounds: Bounds, step: int = 1) -> range:
    """Selects the indices of an axis between two bounds.

    Args:
        name: The name of the option, for messages.
        size: The length of the axis.
        bounds: The first index, and the index after the last one. None is the start or end of the
            axis. Negative numbers count from the end of the axis.
        step: The distance between the indices.

    Raises:
        InputError: A bound lies outside the axis, nothing is selected, or the step is below 1.
    """
    start, stop = (
        default if bound is None else _integer(name, bound)
        for bound, default in zip(bounds, (0, size), strict=True)
    )
    if _integer(f"{name}: step", step) < 1:
        raise InputError(f"{name}: the step {step} is not positive; give a step of 1 or more.")
    first, end = (bound + size if bound < 0 else bound for bound in (start, stop))
    if not (0 <= first < end <= size):
        raise InputError(
            f"{name}: {start}:{stop} is not a range inside 0:{size}; give a start from 0 to "
            f"{size - 1} and a larger stop, up to {size}."
        )
    return range(first, end, step)


def choose_channels(count: int, channels: int | Sequence[int] | None) -> tuple[int, ...]:
    """Returns the numbers of the channels to read, in the order that the user gave."""
    if channels is None:
        return tuple(range(count))
    wanted = list(channels) if isinstance(channels, Sequence) else [channels]
    numbers = [_integer("channels", channel) for channel in wanted]
    picked = tuple(number + count if number < 0 else number for number in numbers)
    if not picked or not set(picked) <= set(range(count)) or len(set(picked)) < len(picked):
        raise InputError(
            f"channels: {channels!r} cannot be chosen from {count} channels; give numbers from 0 "
            f"to {count - 1}, each at most once."
        )
    return picked


def choose_binning(
    binning: int | tuple[int, int, int], parts: Sequence[range]
) -> tuple[int, int, int]:
    """Returns three numbers: how many slices, rows and columns are averaged into one."""
    factors = list(binning) if isinstance(binning, tuple | list) else [1, binning, binning]
    numbers = [_integer("binning", factor) for factor in factors]
    lengths = [len(part) for part in parts]
    if len(numbers) != 3 or not all(1 <= n <= m for n, m in zip(numbers, lengths, strict=False)):
        raise InputError(
            f"binning: {binning!r} does not suit a volume of {' x '.join(map(str, lengths))} "
            "slices, rows and columns; give one number for rows and columns, or three numbers for "
            "slices, rows and columns, each at least 1 and no larger than the volume."
        )
    slices, rows, columns = numbers
    return slices, rows, columns


def _integer(name: str, value: object) -> int:
    """Converts a value to an integer. Raises an InputError if it is not a whole number."""
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(f"{name}: {value!r} is not an integer; give a whole number.") from error
