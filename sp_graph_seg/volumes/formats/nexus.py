"""Reads what NeXus declares in an HDF5 file: the dataset to plot, and where its voxels lie.

The rules of NeXus are at https://manual.nexusformat.org/datarules.html.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sp_graph_seg.volumes.axes import Layout
from sp_graph_seg.volumes.geometry import Axes, Axis, measured_axis

if TYPE_CHECKING:
    import h5py

#: The most that a step between positions may differ from their mean, as a share of it.
_UNEVEN = 0.01


def get(group: "h5py.Group", name: str) -> Any:
    """Returns the group or dataset ``name``, or None if it is missing or its link is broken."""
    try:
        return group[name]
    except (KeyError, OSError):
        return None


def as_text(value: object) -> str:
    """Converts an HDF5 attribute to text.

    An attribute that is empty, or is not a single text, becomes the null character. No group or
    dataset has this name, so `get` returns None for it.
    """
    if isinstance(value, np.ndarray) and value.size == 1:  # h5py gives arrays of one text so
        value = value.item()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) and value else "\0"


def nexus_plot(group: "h5py.Group") -> "tuple[h5py.Group, h5py.Dataset] | None":
    """Follows ``default`` and ``signal`` to the dataset that NeXus declares for plotting.

    Returns:
        The group that holds the dataset, and the dataset. None if no dataset is declared.
    """
    import h5py

    for _ in range(8):  # enough for NXroot, NXentry, NXdata; links may form a circle
        signal = get(group, as_text(group.attrs.get("signal")))
        if isinstance(signal, h5py.Dataset):
            return group, signal
        deeper = get(group, as_text(group.attrs.get("default")))
        if not isinstance(deeper, h5py.Group):
            return None
        group = deeper
    return None


def axis_names(group: "h5py.Group", dataset: "h5py.Dataset") -> list[str]:
    """Returns the axis names that NeXus declares, or else the labels of the HDF5 dimensions."""
    named = group.attrs.get("axes", dataset.attrs.get("axes", ()))
    if isinstance(named, str | bytes):  # NeXus before 2014
        named = as_text(named).strip("[]").replace(",", ":").split(":")
    names = [as_text(name) for name in named]
    if len(names) == dataset.ndim:
        return names
    return [dimension.label for dimension in dataset.dims]


def axis_letters(names: Sequence[str]) -> str | None:
    """Joins axis names to letters such as "zyx". Returns None if a name is not z, t, c, y or x."""
    letters = "".join(names).lower()
    known = {"y", "x"} <= set(letters) <= set("ztcyx")
    return letters if len(letters) == len(names) == len(set(letters)) and known else None


def measured_axes(
    group: "h5py.Group", dataset: "h5py.Dataset", names: Sequence[str], layout: Layout
) -> Axes:
    """Returns the axes z (or t), y and x with the positions of their voxels.

    The dataset in ``group`` that has the name of an axis holds the positions of the voxels along
    this axis. If there is no such dataset, the HDF5 dimension scale holds the positions. The names
    of the axes can differ from z, y and x.

    Args:
        group: The group that declares the names of the axes.
        dataset: The dataset that holds the voxels.
        names: The declared names of the axes of ``dataset``.
        layout: The meaning of the axes of ``dataset``.
    """
    letters = {"z": layout.slices, "y": "y", "x": "x"}
    found = {place: Axis(name) for place, name in letters.items()}
    for number, (place, name) in enumerate(zip(layout.order, names, strict=True)):
        if place in found:
            scales = dataset.dims[number]
            values = get(group, name) if name else None
            values = scales[0] if values is None and len(scales) else values
            if values is not None:
                found[place] = _axis(letters[place], values, dataset.shape[number])
    return found["z"], found["y"], found["x"]


def _axis(name: str, positions: Any, length: int) -> Axis:
    """Makes an axis from the positions of its voxels or of their edges.

    The spacing is unknown if the positions are not evenly spaced.
    """
    if getattr(positions, "shape", None) not in ((length,), (length + 1,)) or length < 2:
        return Axis(name)
    unit = as_text(positions.attrs.get("units"))
    values = np.asarray(positions, dtype=float)
    if len(values) > length:
        values = (values[1:] + values[:-1]) / 2
    steps = np.diff(values)
    step = float(steps.mean())
    if not np.abs(steps - step).max() <= _UNEVEN * abs(step):
        return Axis(name)
    return measured_axis(name, abs(step), None if unit == "\0" else unit, float(values.min()))
