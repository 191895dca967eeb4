"""Functions that check the values in a description of a relabelling. Their errors name the key."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require

Label = int | str
"""A label, by its number or by its name."""


class Resolver(NamedTuple):
    """A table that finds the number of a label from its name or its number.

    Attributes:
        numbers: For each name, the number of the label with this name.
        merged: For each label that is merged into another label, the number of the other label.
            :meth:`resolve` raises an error for these labels.
    """

    numbers: Mapping[str, int]
    merged: Mapping[int, int] = {}

    def resolve(self, key: str, label: Any) -> int:
        """Returns the number of a label. Error messages begin with ``key``."""
        number = _number(label)
        if number is None and isinstance(label, str):
            number = self.numbers.get(label)
        if number is None:
            close = difflib.get_close_matches(str(label), self.numbers, n=1)
            hint = (
                f"did you mean {close[0]!r}?"
                if close
                else "give it a number and a name under labels."
            )
            raise InputError(f"{key}: the label {label!r} is unknown; {hint}")
        if number in self.merged:
            target = self.merged[number]
            raise InputError(
                f"{key}: label {number} cannot be used, because it is merged into label {target}; "
                f"use {target}."
            )
        return number


def parse_labels(value: Any) -> dict[int, dict[str, str]]:
    """Parses the names and colours of labels. Two labels cannot have the same name."""
    parsed: dict[int, dict[str, str]] = {}
    named: dict[str, int] = {}
    for key, entry in _as_mapping("labels", value).items():
        label = _number(key)
        if label is None:
            raise InputError(
                f"labels: {key!r} is not the number of a label; "
                "write lines such as 3: {name: grain}."
            )
        if label in parsed:
            raise InputError(f"labels: two entries describe label {label}; delete one of the two.")
        where = f"labels: label {label}"
        parsed[label] = {}
        for what, text in _as_mapping(where, {} if entry is None else entry).items():
            if what == "name":
                parsed[label]["name"] = name = _parse_name(where, text)
                if name in named:
                    raise InputError(
                        f"labels: labels {named[name]} and {label} have the same name, {name!r}; "
                        "rename one of them, or remove one name and write "
                        f"merge: {{{named[name]}: [{label}]}}."
                    )
                named[name] = label
            elif what == "color":
                parsed[label]["color"] = _parse_color(where, text)
            else:
                raise InputError(f"{where} has the unknown key {what!r}; use only name and color.")
    return parsed


def parse_merge(value: Any, resolver: Resolver) -> dict[int, tuple[int, ...]]:
    """Parses the labels to merge.

    A label cannot have two targets, and a target cannot be merged into another label.
    """
    into: dict[int, int] = {}
    merge: dict[int, tuple[int, ...]] = {}
    for label, listed in _as_mapping("merge", value).items():
        target = resolver.resolve("merge", label)
        for source in parse_list("merge", listed, resolver):
            if source == target:
                continue
            if source in into:
                raise InputError(
                    f"merge: label {source} is merged twice, into {into[source]} and {target}; "
                    "keep one of these two targets."
                )
            into[source] = target
        if target in merge:
            raise InputError(
                f"merge: two entries have the target {target}; join their labels in one list."
            )
        merge[target] = tuple(source for source, goal in into.items() if goal == target)
    for target in merge:
        if target in into:
            raise InputError(
                f"merge: label {target} is merged into {into[target]}, but other labels are merged "
                f"into {target}; merge all of them into {into[target]}."
            )
    return {target: sources for target, sources in merge.items() if sources}


def parse_sizes(key: str, value: Any, resolver: Resolver) -> dict[int, int]:
    """Parses a dictionary that gives a size in pixels for each label."""
    sizes: dict[int, int] = {}
    for label, size in _as_mapping(key, value).items():
        number = resolver.resolve(key, label)
        if number in sizes:
            raise InputError(
                f"{key}: two entries give a size for label {number}; delete one of the two."
            )
        sizes[number] = parse_pixels(f"{key}: the size for label {number}", size)
    return sizes


def parse_list(key: str, value: Any, resolver: Resolver) -> tuple[int, ...]:
    """Parses a list of labels, and drops labels that are repeated."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InputError(f"{key}: {value!r} is not a list of labels; write [{value}].")
    return tuple(dict.fromkeys(resolver.resolve(key, label) for label in value))


def parse_pixels(what: str, value: Any) -> int:
    """Parses a number of pixels. It must be a whole number of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise InputError(f"{what} is {value!r}; give a whole number of pixels, 0 or more.")
    return int(value)


def parse_unlabelled(value: Any, used: Collection[int]) -> int | None:
    """Parses the value of pixels without a label. It must not be the number of a label in use."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"unlabelled: {value!r} is not a whole number; give a number such as 255.")
    if value in used:
        raise InputError(
            f"unlabelled: {value} is also used as a label by another key; give another value for "
            "unlabelled, or remove the label from the other key."
        )
    return int(value)


def _as_mapping(key: str, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise InputError(
            f"{key}: {value!r} is not a mapping of keys to values; write {{key: value}}."
        )
    return value


def _number(label: Any) -> int | None:
    """Converts a label, or text with only digits, to a number. Anything else becomes None."""
    if isinstance(label, str) and label.isascii() and label.isdigit():
        return int(label)
    is_number = isinstance(label, int | np.integer) and not isinstance(label, bool)
    return int(label) if is_number and label >= 0 else None


def _parse_name(where: str, name: Any) -> str:
    if not isinstance(name, str):
        raise InputError(
            f"{where} has the name {name!r}, which is not text; put the name in quotes, such as "
            'name: "no".'
        )
    if not name.strip():
        raise InputError(
            f"{where} has an empty name; write a name, or delete the entry 'name' of this label."
        )
    if name != " ".join(name.split()):
        raise InputError(
            f"{where} has the name {name!r}, which has extra spaces or lines; write one line with "
            "single spaces between words."
        )
    if _number(name) is not None:
        raise InputError(f"{where} has the name {name!r}, which is a number; write a word.")
    return name


def _parse_color(where: str, color: Any) -> str:
    """Converts a colour that Matplotlib knows to the form ``"#rrggbb"``."""
    require("matplotlib")
    from matplotlib.colors import is_color_like, to_hex

    if not isinstance(color, str) or not is_color_like(color):
        raise InputError(
            f"{where} has the color {color!r}, which is unknown; write the name of a color, or a "
            'code in quotes such as color: "#ffa500".'
        )
    return to_hex(color)
