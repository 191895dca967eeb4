"""Fingerprints of values and files, to recognise results made from the same input."""

import functools
import hashlib
import inspect
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sp_graph_seg.errors import InputError


def fingerprint(**parameters: Any) -> str:
    """Computes a hash of parameters (SHA-256). Equal values have equal hashes in every process.

    An array or tensor is hashed by its type, shape and content; an object, such as a transform, by
    its class and all its attributes; a function by its name (not its code). Order matters in lists,
    but not in mappings and sets.

    Args:
        **parameters: The values, which may be nested in lists and mappings.

    Returns:
        32 hexadecimal digits.

    Raises:
        InputError: If a value cannot be hashed reliably, such as a lambda or a closure.
    """
    named = [[name, _describe(value, name)] for name, value in sorted(parameters.items())]
    return _hash(json.dumps(named).encode())


def stamp(file: Path) -> tuple[int, int]:
    """Returns the size and modification time of a file: a fast fingerprint of a large file.

    Raises:
        InputError: The file cannot be found.
    """
    try:
        status = file.stat()
    except OSError as error:
        raise InputError(f"{file}: cannot be found ({error.strerror}); check the path.") from error
    return status.st_size, status.st_mtime_ns


def _describe(value: Any, name: str) -> Any:
    """Converts ``value`` to nested lists of plain values. Errors call it ``name``."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, bytes):
        return ["bytes", _hash(value)]
    if isinstance(value, Mapping):
        items = ([str(key), _describe(v, f"{name}[{key!r}]")] for key, v in value.items())
        return ["mapping", *sorted(items, key=json.dumps)]
    if isinstance(value, list | tuple):
        return ["list", *(_describe(v, f"{name}[{k}]") for k, v in enumerate(value))]
    if isinstance(value, range):
        return ["range", value.start, value.stop, value.step]
    if isinstance(value, set | frozenset):
        return ["set", *sorted((_describe(v, name) for v in value), key=json.dumps)]
    if hasattr(value, "detach") and hasattr(value, "numpy"):  # a tensor, without loading torch
        is_brief = str(value.dtype) == "torch.bfloat16"  # NumPy has no such type
        value = (value.float() if is_brief else value).detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return _describe_array(np.asarray(value), name)
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
    return hashlib.sha256(content).hexdigest()[:32]


def _nameless(value: Any, name: str) -> InputError:
    return InputError(
        f"{name}: {value!r} has no name by which stored results can be recognised; "
        "use a function or a class with a name, and keep its parameters as attributes."
    )
