"""Describes a head in a model file, because the file does not hold the code of the head."""

from typing import Any

from torch import nn

_PLAIN = (bool, int, float, str, type(None))


def describe_head(head: nn.Module | None) -> list[list[Any]]:
    """Lists name, class and plain settings of every module as JSON; empty without a head."""
    if head is None:
        return []
    return [
        [name, type(module).__name__, _settings(module)] for name, module in head.named_modules()
    ]


def find_difference(saved: list[list[Any]], given: list[list[Any]]) -> str:
    """Describes the first difference between two descriptions; empty if they are equal."""
    if not saved or not given:
        told = [description[0][1] if description else "no head" for description in (saved, given)]
        return "" if saved == given else f"{told[0]}, not {told[1]}"
    for one, other in zip(saved, given, strict=False):
        if one[:2] != other[:2]:
            return f"{one[1]}, not {other[1]}"
        for key in sorted(one[2].keys() | other[2].keys()):
            if one[2].get(key) != other[2].get(key):
                return f"{key}={one[2].get(key)} in {one[1]}, not {other[2].get(key)}"
    return "" if len(saved) == len(given) else f"{len(saved)} modules, not {len(given)}"


def _settings(module: nn.Module) -> dict[str, Any]:
    return {
        key: value
        for key, value in sorted(vars(module).items())
        if not key.startswith("_") and key != "training" and isinstance(value, _PLAIN)
    }
