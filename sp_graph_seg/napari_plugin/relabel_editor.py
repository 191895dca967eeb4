"""An editor for the names, colours and mergers of labels. Each change can be undone."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel import Relabel


class LabelRow(NamedTuple):
    """A label that still exists after the mergers, as a row of the legend."""

    label: int
    color: str
    name: str
    """The name of the label. It is empty if the label has no name."""
    merged: tuple[int, ...]
    """The labels that were merged into this label."""


class _State(NamedTuple):
    target: dict[int, int]
    names: dict[int, str]
    colors: dict[int, str]


class RelabelEditor:
    """An editor that changes a relabelling one step at a time, and can undo each step.

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
        """Returns a row for each label that still exists after the mergers, in ascending order.

        Args:
            used: Labels to list. For a label that was merged into another label, the other label is
                listed. (default: all labels)
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
        """Returns the label into which ``label`` was merged, or ``label`` if it was not merged."""
        return self._state.target[label]

    def colors(self) -> dict[int, str]:
        """Returns the colour of every label. A merged label has the colour of its target."""
        target, _, colors = self._state
        return {label: colors[kept] for label, kept in target.items()}

    def merge(self, labels: Sequence[int]) -> int:
        """Merges all given labels into the first of them, and returns this first label.

        The first label keeps its colour and its name. If it has no name, it takes the first name
        among the other labels.

        Raises:
            InputError: There are fewer than two different labels.
        """
        kept, *others = dict.fromkeys(self.target_of(label) for label in labels)
        if not others:
            raise InputError(
                "merge: fewer than two different labels are selected; select two or more."
            )
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
        """Gives a label a name. An empty name removes the name that the label has.

        Raises:
            InputError: Another label has the same name, or the name is invalid, such as a number.
        """
        target, names, colors = self._copy()
        names.pop(label, None)
        if name.strip():
            names[label] = name.strip()
        self._change(_State(target, names, colors))

    def color(self, label: int, color: str) -> None:
        """Changes the colour of a label to ``"#rrggbb"`` or to a colour name of Matplotlib.

        Raises:
            InputError: The colour is unknown.
        """
        target, names, colors = self._copy()
        colors[label] = Relabel(labels={label: {"color": color}}).colors[label]
        self._change(_State(target, names, colors))

    @property
    def can_undo(self) -> bool:
        """Whether there is a change that :meth:`undo` can undo."""
        return bool(self._before)

    def undo(self) -> None:
        """Takes back the last change, if there is one."""
        if self._before:
            self._state = self._before.pop()

    def to_relabel(self) -> Relabel:
        """Returns the relabelling, with a colour for every label that exists after the mergers."""
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
    """Returns the labels in an array, in ascending order and without ``unlabelled``."""
    return [label for label in np.unique(array).tolist() if label != unlabelled]


def as_stored(labels: NDArray[np.int64], dtype: np.dtype) -> NDArray[Any]:
    """Converts labels to an integer type. Negative labels become the largest value of the type."""
    return np.where(labels < 0, np.iinfo(dtype).max, labels).astype(dtype)
