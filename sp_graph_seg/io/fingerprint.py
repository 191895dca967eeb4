"""Computes fingerprints of values and files.

A stored result is used again only for an input with the same fingerprint.
"""

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
    """Computes a hash (SHA-256) of named values. Equal values have the same hash in every process.

    An array or tensor is hashed by its type, shape and content. An object, such as a transform, is
    hashed by its class and all its attributes. A function is hashed by its name, but not by its
    code. The order of the items changes the hash of a list, but not of a mapping or set.

    Args:
        **parameters: The values. They may be nested in lists and mappings.

    Returns:
        The first 32 hexadecimal digits of the hash.

    Raises:
        InputError: A value, such as a lambda or a closure, has no hash that is the same in every
            process.
    """
    named = [[name, _describe(value, name)] for name, value in sorted(parameters.items())]
    return _hash(json.dumps(named).encode())


def stamp(file: Path) -> tuple[int, int]:
    """Returns the size and the modification time of a file.

    They serve as a fingerprint that is fast even for a large file.

    Raises:
        InputError: The file cannot be found.
    """
    try:
        status = file.stat()
    except OSError as error:
        raise InputError(f"{file}: cannot be found ({error.strerror}); check the path.") from error
    return status.st_size, status.st_mtime_ns


def _describe(value: Any, name: str) -> Any:
    """Converts ``value`` to nested lists of plain values. Error messages call it ``name``."""
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
        f"{name}: {value!r} cannot be recognised in another process, so it has no fingerprint; "
        "use a function that is defined in a module, or an object that keeps its parameters as "
        "attributes."
    )
