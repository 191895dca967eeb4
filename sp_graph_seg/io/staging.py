"""Lets a command make its results in a separate folder, and moves them all at the end."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
    """The folder in which a command makes its results, and the final paths of the results.

    Attributes:
        folder: The folder to write to. At the end, the files named in ``names`` are moved to their
            final paths, in this order. Everything else in the folder is removed.
        names: The file names of the results.
        places: The final paths of the results, in the order of ``names``.
        is_complete: Whether an interrupted run of the same command had already made all results, so
            that the command has nothing left to do.
    """

    folder: Path
    names: Sequence[str]
    places: Sequence[Path]
    is_complete: bool = False

    def file(self, name: str) -> Path:
        """Returns the path in the folder to which the command writes the result ``name``."""
        return self.folder / name

    def made(self) -> list[Path]:
        """Returns the final paths of the results that have been made."""
        pairs = zip(self.names, self.places, strict=True)
        return [place for name, place in pairs if self.file(name).exists()]


@contextmanager
def staged(
    folder: Path,
    results: Sequence[Path],
    description: Mapping[str, Any],
    overwrite: bool = False,
) -> Iterator[Stage]:
    """Lets a command make its results in a folder, and moves them to their final paths at the end.

    If the command is interrupted, even by ``kill -9``, its files stay in the folder. The same
    command then finds these files and continues. The results of two commands are never mixed. Older
    results are kept until all new results are made. Only one process at a time can work in the
    folder.

    Args:
        folder: The folder for the unfinished work. It is removed at the end. Its parent folder is
            created if it is missing.
        results: The final paths of all files that the command may make. No two of them may have the
            same file name. The command need not make all of them.
        description: The settings and inputs on which the results depend, as JSON values. Unfinished
            work is continued only if its description is the same.
        overwrite: Whether to replace existing results, and to discard unfinished work of a
            different command.

    Yields:
        The `Stage`, which names the folder to write to.

    Raises:
        InputError: A result already exists, the folder holds unfinished work of a different
            command, or another process works in the folder.
        OutputError: The folder cannot be written to.
    """
    wanted = json.loads(json.dumps(description))
    names = [path.name for path in results]
    with _without_empty_folders(folder.parent), locked(folder):
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
                    "repeat that command, or add --overwrite to discard its work."
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


@contextmanager
def _without_empty_folders(folder: Path) -> Iterator[None]:
    """Makes a folder. After an error, removes what was made of it and of its parents, if empty."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    check_writable(folder)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # of a folder that is not empty
            for path in made:
                path.rmdir()
        raise


def finish_staged(folder: Path) -> None:
    """Moves the remaining results of a run that was interrupted while it moved its results.

    Does nothing if there is no such run.

    Raises:
        InputError: Another process works in the folder.
        OutputError: The results cannot be moved.
    """
    tidy_lock(folder)
    if (folder / _MANIFEST).exists():
        with locked(folder):
            _finish(folder, _read(folder))


def _begin(folder: Path, description: Any) -> None:
    """Creates the folder, or removes the temporary files of a killed run from it."""
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
    """Reads the manifest of the unfinished work. Returns None if there is no manifest."""
    try:
        return json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder}: holds unfinished work that cannot be read ({error}); move or delete this "
            "folder, and repeat the command."
        ) from error


def _finish(folder: Path, state: Mapping[str, Any] | None) -> bool:
    """Moves the results and removes the folder, if all results are made.

    The manifest is removed last. If the command did not make one of its possible results, an older
    file at the path of this result is removed, because it belongs to another run.

    Returns:
        Whether all results are made and moved.
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
            f"{error.filename}: cannot be written ({error.strerror}), so some results are still "
            f"in {folder}; fix the cause, then repeat the same command."
        ) from error
    return True
