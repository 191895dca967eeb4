"""Makes and stores records. A record says how a result was made.

It holds the inputs, the software versions, the date and the command.
"""

import hashlib
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sp_graph_seg._version import __version__
from sp_graph_seg.io.files import write_text

RECORDS = "records.json"
"""The file of a folder of results with a record of each command that wrote into it."""

_PACKAGES = ("numpy", "torch", "torch_geometric", "scikit-image", "scipy")
_COMMAND: ContextVar[tuple[str, ...] | None] = ContextVar("command", default=None)
_PIECE_BYTES = 2**20


@contextmanager
def recorded_as(command: Sequence[str]) -> Iterator[None]:
    """Sets the command that is written into the records made in the ``with`` block.

    Outside of such a block, records hold the command line of the process.
    """
    token = _COMMAND.set(tuple(command))
    try:
        yield
    finally:
        _COMMAND.reset(token)


def make_record(inputs: Iterable[str | os.PathLike[str]] = (), **more: Any) -> dict[str, Any]:
    """Makes the record of a result, which says how the result was made.

    Args:
        inputs: The files or folders from which the result is made.
        **more: JSON values to add to the record, such as the seed.

    Returns:
        A mapping with ``command``, ``folder`` (the working directory), ``date`` (UTC),
        ``versions``, ``inputs`` (the path, the size in bytes and the SHA-256 of each input), and
        the values of ``more``.
    """
    command = _COMMAND.get() or (Path(sys.argv[0]).name, *sys.argv[1:])
    return {
        "command": shlex.join(command),
        "folder": os.getcwd(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "inputs": [describe_file(path) for path in inputs],
        **more,
    }


def describe_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the absolute path, the size in bytes and the checksum of a file or folder.

    The checksum of a file is the SHA-256 of its content, as ``sha256sum`` computes it. The checksum
    of a folder is the SHA-256 of a list of its files. This list has one line ``CHECKSUM  NAME`` for
    each file, sorted by name. For a folder, the number of files is also returned.
    """
    path = Path(path)
    if not path.is_dir():
        return {"path": str(path.absolute()), **_content(path)}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    found = [(file.relative_to(path).as_posix(), _content(file)) for file in files]
    lines = "".join(f"{content['sha256']}  {name}\n" for name, content in found)
    return {
        "path": str(path.absolute()),
        "files": len(files),
        "bytes": sum(content["bytes"] for _, content in found),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }


def add_record(folder: Path, outputs: Iterable[Path], record: Mapping[str, Any]) -> None:
    """Adds a record to the file ``records.json`` in a folder.

    If a new output replaced an older one, the older record no longer lists this output.

    Args:
        folder: The folder of the outputs, where ``records.json`` is written.
        outputs: The files that the command may have written. Files that do not exist are left out.
        record: The result of :func:`make_record`.
    """
    names = sorted(os.path.relpath(output, folder) for output in outputs if output.exists())
    earlier = []
    for old in read_records(folder):
        kept = [name for name in old["outputs"] if name not in names]
        earlier += [{**old, "outputs": kept}] if kept else []
    records = [*earlier, {**record, "outputs": names}]
    write_text(folder / RECORDS, json.dumps(records, indent=1) + "\n")


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Reads the records in ``records.json`` of a folder.

    Returns an empty list if the file is missing or damaged.
    """
    try:
        records = json.loads((folder / RECORDS).read_text(encoding="utf-8"))
        return [record for record in records if isinstance(record["outputs"], list)]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def find_record(file: Path) -> dict[str, Any] | None:
    """Finds the newest record of a file in ``records.json`` of the same folder.

    Returns None if the file has no record.
    """
    records = read_records(file.parent)
    return next((record for record in reversed(records) if file.name in record["outputs"]), None)


def _content(file: Path) -> dict[str, Any]:
    digest, count = hashlib.sha256(), 0
    with file.open("rb") as content:
        while piece := content.read(_PIECE_BYTES):
            digest.update(piece)
            count += len(piece)
    return {"bytes": count, "sha256": digest.hexdigest()}


def _versions() -> dict[str, str]:
    found = {"sp_graph_seg": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
