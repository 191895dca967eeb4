"""Functions and classes that store a training in a file, so that it can be resumed."""

import io
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Generator, nn

from sp_graph_seg.errors import OutputError, ReportWarning
from sp_graph_seg.io.durable import durable_write
from sp_graph_seg.io.files import check_room
from sp_graph_seg.io.fingerprint import fingerprint
from sp_graph_seg.training.history import History, Step
from sp_graph_seg.training.verdict import warn_of_other_threads

#: Largest share of the time that is spent on writing.
_SHARE = 0.05

#: Size of two checkpoints and a model, in sizes of the weights: Adam keeps two more of each.
_COPIES = 7

_FILES: ContextVar[Iterator[tuple[Path, str]] | None] = ContextVar("_FILES", default=None)


@contextmanager
def checkpoints(folder: Path | None, identity: str = "") -> Iterator[None]:
    """Stores the state of every training that runs inside a ``with`` block.

    Each training has its own file in a folder. If the file exists already, the training is resumed
    from it. With the same number of threads, the result is then exactly the same as without an
    interruption.

    Args:
        folder: The folder. It is made if it does not exist. With ``None``, nothing is stored.
        identity: A text that describes everything that the trainings depend on. A file that was
            written with another identity is not used.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    numbered = ((folder / f"training{number}.pt", identity) for number in count())
    token = _FILES.set(numbered)
    try:
        yield
    finally:
        _FILES.reset(token)


class Checkpoint:
    """The file in which the state of one training is stored.

    Inside a ``with`` block of :func:`checkpoints`, each new training gets the next file of the
    folder. Outside such a block, nothing is stored.

    Args:
        net: The network. A check makes sure that the disk has room for its weights.
        **parts: Other objects with a state, such as optimisers and random number generators.
    """

    def __init__(self, net: nn.Module, **parts: Any) -> None:
        files = _FILES.get()
        self._path: Path | None = None
        self._identity = ""
        if files is not None:
            self._path, self._identity = next(files)
        self._parts = {"net": net, **parts}
        self._shapes = [(name, tuple(value.shape)) for name, value in net.state_dict().items()]
        self._written = time.monotonic()
        self._cost = 0.0
        if self._path is not None:
            size = sum(value.nbytes for value in net.state_dict().values())
            check_room(self._path.parent, _COPIES * size)

    def restore(self, on_step: Callable[[Step], None] | None = None) -> History:
        """Restores the state of the training from the file, if the file exists.

        Args:
            on_step: Called for every step before the interruption, with its row of the history.

        Returns:
            The history of the steps before the interruption. It is empty if there is no file, or if
            the file is damaged, has another identity or is of another network, as that of another
            version may be.
        """
        history = History()
        state = self._read()
        if state is None:
            return history
        for name, part in self._parts.items():
            load = part.set_state if isinstance(part, Generator) else part.load_state_dict
            load(state["parts"][name])
        warn_of_other_threads(str(self._path), state["threads"])
        history.labels = tuple(state["labels"])
        for row in state["history"]:
            history.append(row)
            if on_step is not None:
                on_step(row)
        return history

    def keep(self, history: History, is_last: bool = False) -> None:
        """Writes the state of the training to the file, unless the last writing was too recent.

        States are written so rarely that writing takes at most about 5 % of the training time. The
        state after the last step is always written. If writing fails, a warning is issued, and the
        training continues without checkpoints.
        """
        now = time.monotonic()
        if self._path is None or not (is_last or self._cost <= _SHARE * (now - self._written)):
            return
        state = {
            "parts": {
                name: part.get_state() if isinstance(part, Generator) else part.state_dict()
                for name, part in self._parts.items()
            },
            "history": list(history),
            "labels": list(history.labels),
            "threads": torch.get_num_threads(),
        }
        content = io.BytesIO()  # torch.save tells of a full disk in many ways
        torch.save({"state": state, "digest": self._digest(state)}, content)
        try:
            with durable_write(self._path) as temporary:
                temporary.write_bytes(content.getbuffer())
        except OutputError as error:
            warnings.warn(
                f"{error} Training goes on without checkpoints.", ReportWarning, stacklevel=2
            )
            self._path.unlink(missing_ok=True)  # leaves its room to the model
            self._path = None
            return
        self._written = time.monotonic()
        self._cost = self._written - now

    def _read(self) -> dict[str, Any] | None:
        if self._path is None or not self._path.exists():
            return None
        try:
            content = torch.load(self._path, map_location="cpu", weights_only=True)
            return content["state"] if content["digest"] == self._digest(content["state"]) else None
        except Exception:  # damage has many forms; the training begins anew
            return None

    def _digest(self, state: dict[str, Any]) -> str:
        return fingerprint(state=state, identity=self._identity, shapes=self._shapes)
