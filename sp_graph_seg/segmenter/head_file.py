"""Describes a head in a model file, because the file does not hold the code of the head."""

from typing import Any

from torch import nn

_PLAIN = (bool, int, float, str, type(None))


def describe_head(head: nn.Module | None) -> list[list[Any]]:
    """Lists the name, the class and the plain settings of every module of a head, as JSON values.

    The list is empty if there is no head.
    """
    if head is None:
        return []
    return [
        [name, type(module).__name__, _settings(module)] for name, module in head.named_modules()
    ]


def find_difference(saved: list[list[Any]], given: list[list[Any]]) -> str:
    """Describes the first difference between two descriptions of heads.

    The result is an empty string if the descriptions are equal. Otherwise, it names what was saved
    and what was given.
    """
    if not saved or not given:
        told = [description[0][1] if description else "no head" for description in (saved, given)]
        return "" if saved == given else f"saved {told[0]}, given {told[1]}"
    for one, other in zip(saved, given, strict=False):
        if one[:2] != other[:2]:
            return f"saved {one[1]}, given {other[1]}"
        for key in sorted(one[2].keys() | other[2].keys()):
            if one[2].get(key) != other[2].get(key):
                return f"{key} of {one[1]}: saved {one[2].get(key)}, given {other[2].get(key)}"
    return "" if len(saved) == len(given) else f"saved {len(saved)} modules, given {len(given)}"


def _settings(module: nn.Module) -> dict[str, Any]:
    return {
        key: value
        for key, value in sorted(vars(module).items())
        if not key.startswith("_") and key != "training" and isinstance(value, _PLAIN)
    }
