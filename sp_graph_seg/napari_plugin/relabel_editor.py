"""The names, colours and mergers of labels, which a person changes one by one."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel import Relabel


class LabelRow(NamedTuple):
    """A label that is left after the mergers."""

    label: int
    color: str
    name: str
    """Its name; empty if it has none."""
    merged: tuple[int, ...]
    """The labels that became this one."""


class _State(NamedTuple):
    target: dict[int, int]
    names: dict[int, str]
    colors: dict[int, str]


class RelabelEditor:
    """Changes a relabelling step by step, with the way back.

    Args:
        colors: The colour of every label, as ``"#rrggbb"``.
        relabel: The relabelling to start from. Its names, colours and mergers can be changed, and
            its other steps are kept.

    Example:
        >>> labels = RelabelEditor({0: "#0077dd", 1: "#ffbb00", 2: "#bb0000"})
        >>> labels.merge([2, 0])
        2
        >>> labels.name(2, "pore")
        >>> labels.to_relabel().to_dict()["merge"]
        {2: [0]}
    """

    def __init__(self, colors: Mapping[int, str], relabel: Relabel | None = None) -> None:
        self._base = relabel or Relabel()
        target = {label: label for label in sorted(colors)}
        for kept, others in self._base.merge.items():
            target.update(dict.fromkeys([kept, *others], kept))
        given = {**colors, **self._base.colors}
        self._state = _State(target, self._base.names, given)
        self._before: list[_State] = []

    def rows(self, used: Collection[int] | None = None) -> list[LabelRow]:
        """Returns the labels that are left, in ascending order.

        Args:
            used: Labels that occur, before or after mergers; the others are left out. (default:
                all)
        """
        target, names, colors = self._state
        left = set(target.values() if used is None else (target[label] for label in used))
        return [
            LabelRow(
                label,
                colors[label],
                names.get(label, ""),
                tuple(other for other, kept in target.items() if kept == label != other),
            )
            for label in sorted(left)
        ]

    def target_of(self, label: int) -> int:
        """Returns the label that a label has become."""
        return self._state.target[label]

    def colors(self) -> dict[int, str]:
        """Returns the colour of every label; a merged label has that of the one it became."""
        target, _, colors = self._state
        return {label: colors[kept] for label, kept in target.items()}

    def merge(self, labels: Sequence[int]) -> int:
        """Merges labels into the first of them, and returns it.

        The first label keeps its colour and its name. If it has none, it takes the first name among
        the others.

        Raises:
            InputError: There are fewer than two different labels.
        """
        kept, *others = dict.fromkeys(self.target_of(label) for label in labels)
        if not others:
            raise InputError("merge: needs two labels; select two or more.")
        target, names, colors = self._copy()
        name = next((names[label] for label in (kept, *others) if label in names), "")
        for label in others:
            names.pop(label, None)
        if name:
            names[kept] = name
        joined = {label: kept if old in others else old for label, old in target.items()}
        self._change(_State(joined, names, colors))
        return kept

    def name(self, label: int, name: str) -> None:
        """Names a label; an empty name removes its name.

        Raises:
            InputError: Another label has this name, or it is not a valid name.
        """
        target, names, colors = self._copy()
        names.pop(label, None)
        if name.strip():
            names[label] = name.strip()
        self._change(_State(target, names, colors))

    def color(self, label: int, color: str) -> None:
        """Gives a label another colour, ``"#rrggbb"`` or a name that Matplotlib knows.

        Raises:
            InputError: The colour is unknown.
        """
        target, names, colors = self._copy()
        colors[label] = Relabel(labels={label: {"color": color}}).colors[label]
        self._change(_State(target, names, colors))

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._before)

    def undo(self) -> None:
        """Takes back the last change, if there is one."""
        if self._before:
            self._state = self._before.pop()

    def to_relabel(self) -> Relabel:
        """Returns the relabelling, with a colour for every label that is left."""
        return self._relabel(self._state)

    def _relabel(self, state: _State) -> Relabel:
        merge: dict[int, list[int]] = {}
        for label, kept in state.target.items():
            if label != kept:
                merge.setdefault(kept, []).append(label)
        about = {
            label: {"color": state.colors[label]}
            | ({"name": state.names[label]} if label in state.names else {})
            for label in sorted(set(state.target.values()))
        }
        return Relabel.from_dict(self._base.to_dict() | {"labels": about, "merge": merge})

    def _copy(self) -> _State:
        return _State(*(dict(part) for part in self._state))  # type: ignore[arg-type]

    def _change(self, state: _State) -> None:
        self._relabel(state)  # refuses what cannot be described
        self._before.append(self._state)
        self._state = state


def labels_in(array: NDArray[Any], unlabelled: int) -> list[int]:
    """Returns the labels that occur in an array, in ascending order."""
    return [label for label in np.unique(array).tolist() if label != unlabelled]


def as_stored(labels: NDArray[np.int64], dtype: np.dtype) -> NDArray[Any]:
    """Converts labels to the type of an output; negative ones get its largest value."""
    return np.where(labels < 0, np.iinfo(dtype).max, labels).astype(dtype)
