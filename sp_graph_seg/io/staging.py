"""Makes the results of a command in a separate folder, and moves all of them at the end."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sp_graph_seg.errors import InputError, OutputError
from sp_graph_seg.io.durable import durable_write, remove, sync
from sp_graph_seg.io.files import check_writable, refuse_existing
from sp_graph_seg.io.locks import locked, tidy_lock

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Stage:
    """The folder in which a command makes its results, and where the results go.

    Attributes:
        folder: The folder to write to. At the end, the files that are named in ``names`` are moved,
            in this order, and everything else in the folder is removed.
        names: The file names of the results.
        places: The final path of each result.
        is_complete: Whether an interrupted run of the same command had already made all results.
    """

    folder: Path
    names: Sequence[str]
    places: Sequence[Path]
    is_complete: bool = False

    def file(self, name: str) -> Path:
        """Returns the path in the folder to which a result is written."""
        return self.folder / name


@contextmanager
def staged(
    folder: Path,
    results: Sequence[Path],
    description: Mapping[str, Any],
    overwrite: bool = False,
) -> Iterator[Stage]:
    """Lets a command make its results in a folder, and moves them to their paths at the end.

    If the command is interrupted, even by ``kill -9``, the same command finds its files in the
    folder and goes on. Results of two commands are never mixed, and older results stay until all
    new ones are made. One process at a time works in the folder.

    Args:
        folder: The folder of the unfinished work, which is removed at the end. Its parent is
            created if it is missing.
        results: The final paths of all files that may be made, each with a name of its own. The
            command need not make all of them.
        description: What the results depend on, as JSON values. Unfinished work is continued only
            if this is the same.
        overwrite: Replace existing results, and discard unfinished work of a different
            command.

    Yields:
        The stage.

    Raises:
        InputError: A result exists, the folder holds unfinished work of a different command, or
            another process works in it.
        OutputError: The folder cannot be written to.
    """
    check_writable(folder.parent)
    wanted = json.loads(json.dumps(description))
    names = [path.name for path in results]
    with locked(folder):
        begun = _read(folder)
        is_same = begun is not None and begun["description"] == wanted
        if _finish(folder, begun):
            if is_same:
                yield Stage(folder, names, results, is_complete=True)
                return
            begun = None
        if begun is not None and not is_same:
            if not overwrite:
                raise InputError(
                    f"{folder}: holds unfinished work of a command with other settings or inputs; "
                    "repeat that command, or discard it with --overwrite."
                )
            remove(folder)
        if begun is None:
            refuse_existing(results, overwrite)
        _begin(folder, wanted)
        try:
            yield Stage(folder, names, results)
        except BaseException as error:
            is_refused = isinstance(error, InputError) and not isinstance(error, OutputError)
            if is_refused or not _holds_work(folder):  # the next command will be another one
                remove(folder)
            raise
        places = {path.name: os.fspath(path.absolute()) for path in results}
        made = [name for name in names if (folder / name).exists()]
        state = {"description": wanted, "places": places, "made": made}
        _write(folder, state)
        _finish(folder, state)


def finish_staged(folder: Path) -> None:
    """Moves the remaining results if a run was interrupted while it moved them.

    Raises:
        InputError: Another process works in the folder.
        OutputError: The results cannot be moved.
    """
    tidy_lock(folder)
    if (folder / _MANIFEST).exists():
        with locked(folder):
            _finish(folder, _read(folder))


def _begin(folder: Path, description: Any) -> None:
    """Makes the folder; in one that exists, removes temporary files of a killed run."""
    try:
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            if path.name.startswith("."):
                remove(path)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written to ({error.strerror}); choose another folder."
        ) from error
    _write(folder, {"description": description})


def _holds_work(folder: Path) -> bool:
    files = (path for path in folder.rglob("*") if path.is_file())
    return any(path.name != _MANIFEST for path in files)


def _write(folder: Path, state: Mapping[str, Any]) -> None:
    with durable_write(folder / _MANIFEST) as temporary:
        temporary.write_text(json.dumps(state, indent=1), encoding="utf-8")


def _read(folder: Path) -> dict[str, Any] | None:
    """Reads what was begun; a folder without a manifest holds nothing that is needed."""
    try:
        return json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: cannot be read ({error}); move or delete it.") from error


def _finish(folder: Path, state: Mapping[str, Any] | None) -> bool:
    """Moves the results and removes the folder, if all results are made.

    The manifest is removed last. If a result was not made this time, an older file at its path is
    removed, as it belongs to another run.
    """
    if state is None or "made" not in state:
        return False
    try:
        for name, place in state["places"].items():
            if (folder / name).exists():
                os.replace(folder / name, place)
            elif name not in state["made"]:
                Path(place).unlink(missing_ok=True)
        for parent in {Path(place).parent for place in state["places"].values()}:
            sync(parent)
        for path in folder.iterdir():
            if path.name != _MANIFEST:
                remove(path)
        (folder / _MANIFEST).unlink()
        folder.rmdir()
    except OSError as error:
        raise OutputError(
            f"{error.filename}: cannot be written ({error.strerror}). Results that are not moved "
            f"yet are in {folder}; fix the cause, then repeat the same command."
        ) from error
    return True
