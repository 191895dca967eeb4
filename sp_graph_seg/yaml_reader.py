"""Reads the YAML files that people write, in bounded time and memory."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require
from sp_graph_seg.limits import check_limit

if TYPE_CHECKING:
    import yaml


def read_yaml(path: str | os.PathLike[str], example: str) -> dict[Any, Any]:
    """Reads a file that maps names to values.

    Aliases are refused, because a few lines of aliases can stand for billions of values.

    Args:
        path: The file.
        example: A valid line, to show in messages.

    Returns:
        The mapping. It is empty if the file is empty.

    Raises:
        InputError: If the file cannot be read, is too large or too deeply nested, is not YAML, is
            not a mapping, lists a key twice, or uses aliases.
    """
    require("yaml")
    import yaml

    advice = f"write lines such as '{example}'."
    try:
        check_limit("bytes in a YAML file", os.path.getsize(path), path)
        text = Path(path).read_text(encoding="utf-8")
        _check_structure(path, text)
        values = yaml.load(text, _unique_loader(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a YAML file.") from error
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # such as the 99th of May
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: is not YAML ({reason}); {advice}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: is not a mapping of names to values; {advice}")
    return values


def _check_structure(path: str | os.PathLike[str], text: str) -> None:
    """Raises an error for aliases and deep nesting, which PyYAML may not be able to read."""
    import yaml

    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise InputError(
                f"{path}: uses the alias *{event.anchor}; write the value itself in its place."
            )
        is_start = isinstance(event, yaml.CollectionStartEvent)
        depth += is_start - isinstance(event, yaml.CollectionEndEvent)
        if is_start:
            check_limit("nested levels of YAML", depth, path)


def _unique_loader(path: str | os.PathLike[str]) -> "type[yaml.SafeLoader]":
    """Makes a YAML loader that raises an error if a mapping lists a key twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            if twice is not None:
                line = node.start_mark.line + 1
                raise InputError(
                    f"{path}: {twice!r} is listed twice in the mapping that begins at line {line}; "
                    "write it once."
                )
            return super().construct_mapping(node, deep=deep)

    return Loader
