"""Results that are made in a folder of their own and get their places together, at the end."""

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
    """The work in progress of a command.

    Attributes:
        folder: The folder to write to. Files in it get their places at the end, in the order of
            ``names``; folders in it are removed.
        names: The names of the results.
        places: Where they get their places.
        is_complete: Whether an interrupted run of the same command had made everything.
    """

    folder: Path
    names: Sequence[str]
    places: Sequence[Path]
    is_complete: bool = False

    def file(self, name: str) -> Path:
        """Returns where a result is made."""
        return self.folder / name


@contextmanager
def staged(
    folder: Path,
    results: Sequence[Path],
    description: Mapping[str, Any],
    overwrite: bool = False,
) -> Iterator[Stage]:
    """Lets a command make its results in a folder, and moves them to their places at the end.

    If the command is interrupted, even by ``kill -9``, the same command finds its files there and
    goes on. So nothing of two commands is mixed, and older results are whole until the new ones
    are. One process at a time works in the folder.

    Args:
        folder: The folder of the work in progress, which is removed at the end. Its parent is
            made if it is missing.
        results: All files that may be made; the names differ. Those that are not made are left out.
        description: What the results depend on, as JSON values.
        overwrite: Replace existing results, and discard work in progress that differs.

    Yields:
        The stage.

    Raises:
        InputError: A result exists, work in progress differs, or another process is at work.
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
    """Moves the results of a run that was interrupted while they were moved, if there was one.

    Raises:
        InputError: Another process is at work.
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
    """If everything is made, moves it and removes the folder, its manifest last.

    A result that was not made this time is removed: the older one belongs to another run.
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
            f"{error.filename}: cannot be written ({error.strerror}), the results are in {folder}; "
            "repair the folder and repeat the same command."
        ) from error
    return True
