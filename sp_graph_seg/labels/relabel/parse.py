"""Checks of single values of a description, each error with the name of its key."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require

Name = int | str
"""A label, by its number or by its name."""


def parse_labels(value: Any) -> dict[int, dict[str, str]]:
    """Names and colours by the number of their label, each name once."""
    parsed: dict[int, dict[str, str]] = {}
    named: dict[str, int] = {}
    for key, entry in as_mapping("labels", value).items():
        label = _number(key)
        if label is None:
            raise InputError(
                f"labels: {key!r} is no number of a label; write lines such as 3: {{name: grain}}."
            )
        if label in parsed:
            raise InputError(f"labels: lists label {label} twice; keep one of the lines.")
        where = f"labels: label {label}"
        parsed[label] = {}
        for what, text in as_mapping(where, {} if entry is None else entry).items():
            if what == "name":
                parsed[label]["name"] = name = _parse_name(where, text)
                if name in named:
                    raise InputError(
                        f"labels: {named[name]} and {label} have the same name, {name!r}; to make "
                        f"them one write merge: {{{named[name]}: [{label}]}}."
                    )
                named[name] = label
            elif what == "color":
                parsed[label]["color"] = _parse_color(where, text)
            else:
                raise InputError(f"{where} has the key {what!r}; use name and color.")
    return parsed


def resolve(key: str, label: Any, numbers: Mapping[str, int]) -> int:
    """The number of a label that is given by number or by name."""
    number = _number(label)
    if number is None:
        number = numbers.get(label) if isinstance(label, str) else None
    if number is None:
        close = difflib.get_close_matches(str(label), numbers, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "give it a number and name in labels."
        raise InputError(f"{key}: {label!r} is no label; {hint}")
    return number


def whole_number(what: str, value: Any) -> int:
    """A number of pixels, from 0."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise InputError(f"{what}, {value!r}, must be a whole number of pixels, 0 or more.")
    return int(value)


def as_mapping(key: str, value: Any) -> Mapping[Any, Any]:
    """``value``, if it has names and values."""
    if not isinstance(value, Mapping):
        raise InputError(f"{key}: {value!r} is no mapping; write it as {{key: value}}.")
    return value


def as_list(key: str, value: Any) -> list[Any]:
    """``value`` as a list, if it is one of labels."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InputError(f"{key}: {value!r} is no list of labels; write it as [{value}].")
    return list(value)


def _number(label: Any) -> int | None:
    """The number of a label from 0, also from text as JSON has it; None if it is no number."""
    if isinstance(label, str) and label.isascii() and label.isdigit():
        return int(label)
    is_number = isinstance(label, int | np.integer) and not isinstance(label, bool)
    return int(label) if is_number and label >= 0 else None


def _parse_name(where: str, name: Any) -> str:
    if not isinstance(name, str) or not name.strip() or name != " ".join(name.split()):
        raise InputError(
            f"{where} has the name {name!r}; write a text of one line, in quotes if it could be "
            'read as something else, such as name: "no".'
        )
    if _number(name) is not None:
        raise InputError(f"{where} has a number for its name, {name!r}; write a word.")
    return name


def _parse_color(where: str, color: Any) -> str:
    """A colour as ``"#rrggbb"``."""
    require("matplotlib")
    from matplotlib.colors import is_color_like, to_hex

    if not isinstance(color, str) or not is_color_like(color):
        raise InputError(
            f"{where} has the color {color!r}; write a name or a number in quotes, such as "
            'color: "#ffa500".'
        )
    return to_hex(color)
