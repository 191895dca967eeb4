"""Creates, reads and removes the folder of the work in progress."""

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
        skipped: The numbers of the skipped slices, with the reasons. None until the output is
            assembled.
    """

    manifest: Manifest
    skipped: dict[int, str] | None


def read_state(partial: Path) -> State | None:
    """Reads the state of a job from the folder of its work in progress.

    Args:
        partial: The folder.

    Returns:
        The state of the job, or None if the folder does not exist or no job was begun in it.

    Raises:
        InputError: The folder cannot be read, or it holds files but no valid manifest.
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
            f"{partial}: cannot be read ({error}); make the folder readable, or move or delete it."
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
    """Creates the folder and writes the manifest, unless the folder already has a manifest.

    The manifest gets its name by a hard link, which never replaces a file. If two processes do this
    at the same moment, only one manifest is kept. So both processes must read the manifest
    afterwards.
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
    """Records in the manifest that the output is assembled, so the blocks are no longer needed."""
    with durable_write(partial / MANIFEST) as temporary:
        temporary.write_text(_state_text(manifest, skipped), encoding="utf-8")


def remove_partial(partial: Path) -> None:
    """Removes the folder of the work in progress.

    The manifest is removed last, so that an interrupted removal can be repeated.
    """
    if not partial.exists():
        return
    for path in partial.iterdir():
        if path.name != MANIFEST:
            remove(path)
    (partial / MANIFEST).unlink(missing_ok=True)
    partial.rmdir()


def _state_text(manifest: Manifest, skipped: Mapping[int, str] | None) -> str:
    return json.dumps(manifest.to_json() | {"skipped": skipped}, indent=1)
