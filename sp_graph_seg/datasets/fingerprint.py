"""A name for a set of parameters, so that graphs made with others are not taken for theirs."""

import functools
import hashlib
import inspect
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import as_array


def fingerprint(**parameters: Any) -> str:
    """Hashes parameters: the same in every process, another one for other values.

    Of an object, such as a transform, its class and all its attributes count, of an array its type,
    shape and content, of a function its name (not its code).

    Args:
        **parameters: Values, nested as they like.

    Returns:
        16 hexadecimal digits.

    Raises:
        InputError: If a value holds something that has no such name, as a lambda.
    """
    text = json.dumps([[name, _describe(value, name)] for name, value in parameters.items()])
    return _hash(text.encode())


def _describe(value: Any, name: str) -> Any:
    """``value`` as nested lists of plain values; ``name`` is what an error calls it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return [
            "mapping",
            *([str(key), _describe(v, f"{name}[{key!r}]")] for key, v in value.items()),
        ]
    if isinstance(value, list | tuple):
        return ["list", *(_describe(v, f"{name}[{k}]") for k, v in enumerate(value))]
    if isinstance(value, set | frozenset):
        return ["set", *sorted((_describe(v, name) for v in value), key=json.dumps)]
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return _describe_array(as_array(value), name)
    if isinstance(value, functools.partial):
        parts = (value.func, value.args, value.keywords)
        return ["partial", *(_describe(part, name) for part in parts)]
    if inspect.ismethod(value):
        return ["method", value.__name__, _describe(value.__self__, name)]
    if inspect.isroutine(value) or inspect.isclass(value):
        if "<lambda>" in value.__qualname__ or getattr(value, "__closure__", None):
            raise _nameless(value, name)
        return ["name", value.__module__, value.__qualname__]
    if not hasattr(value, "__dict__"):
        raise _nameless(value, name)
    attributes = [[key, _describe(v, f"{name}.{key}")] for key, v in sorted(vars(value).items())]
    return ["object", _describe(type(value), name), *attributes]


def _describe_array(array: np.ndarray, name: str) -> Any:
    if array.dtype.hasobject:
        return ["objects", list(array.shape), _describe(array.ravel().tolist(), name)]
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return ["array", array.dtype.str, list(array.shape), _hash(content)]


def _hash(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _nameless(value: Any, name: str) -> InputError:
    return InputError(
        f"{name}: {value!r} cannot be told from others of its kind when its results are looked up "
        "on disk; use a function or a class with a name, its parameters as attributes."
    )
