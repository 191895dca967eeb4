"""The folder of the work in progress: created, read and removed."""

import errno
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.durable import durable_write, remove, sync
from sp_graph_seg.label_jobs.manifest import VERSION, Manifest

MANIFEST = "manifest.json"


class State(NamedTuple):
    """The state of a job.

    Attributes:
        manifest: The manifest of the job.
        skipped: The skipped slices and their reasons if the output is assembled; None before.
    """

    manifest: Manifest
    skipped: dict[int, str] | None


def read_state(partial: Path) -> State | None:
    """Reads the manifest of a folder of work in progress.

    Args:
        partial: The folder.

    Returns:
        The state of the job, or None if the folder does not exist or no job was begun in it.

    Raises:
        InputError: The folder holds something else, or cannot be read.
    """
    try:
        text = (partial / MANIFEST).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if not partial.exists() or (
            partial.is_dir() and all(path.name.startswith(".") for path in partial.iterdir())
        ):
            return None
        if (partial / MANIFEST).is_file():  # another process just began
            return read_state(partial)
        text = ""
    except (OSError, ValueError) as error:
        raise InputError(
            f"{partial}: cannot be read ({error}); make it readable, or move or delete it."
        ) from error
    try:
        values = json.loads(text)
        if values["version"] == VERSION:
            skipped = values["skipped"]
            return State(
                Manifest.from_json(values),
                None if skipped is None else {int(key): skipped[key] for key in skipped},
            )
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise InputError(
        f"{partial}: holds no manifest that this version can read; move or delete the folder."
    )


def create_partial(partial: Path, manifest: Manifest) -> None:
    """Begins a job, unless another process began one at the same moment.

    The manifest gets its name by a hard link, which never replaces a file: one of two processes
    wins, and both must read the manifest afterwards.
    """
    partial.mkdir(exist_ok=True)
    temporary = partial / f".{secrets.token_hex(8)}.json"
    temporary.write_text(_state_text(manifest, None), encoding="utf-8")
    sync(temporary)
    try:
        os.link(temporary, partial / MANIFEST)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        os.replace(temporary, partial / MANIFEST)  # a file system without hard links
    temporary.unlink(missing_ok=True)
    sync(partial)
    sync(partial.parent)


def mark_assembled(partial: Path, manifest: Manifest, skipped: Mapping[int, str]) -> None:
    """Notes in the manifest that the output is assembled and the blocks are no longer needed."""
    with durable_write(partial / MANIFEST) as temporary:
        temporary.write_text(_state_text(manifest, skipped), encoding="utf-8")


def remove_partial(partial: Path) -> None:
    """Removes the folder, the manifest last, so that an interrupted removal can be repeated."""
    if not partial.exists():
        return
    for path in partial.iterdir():
        if path.name != MANIFEST:
            remove(path)
    (partial / MANIFEST).unlink(missing_ok=True)
    partial.rmdir()


def _state_text(manifest: Manifest, skipped: Mapping[int, str] | None) -> str:
    return json.dumps(manifest.to_json() | {"skipped": skipped}, indent=1)
