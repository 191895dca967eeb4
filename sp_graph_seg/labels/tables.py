"""Tables of labels and of their components, also for volumes larger than memory."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.files import to_csv
from sp_graph_seg.labels.areas import AreaCounter
from sp_graph_seg.labels.components import (
    INDEX_MAX,
    INDEX_MIN,
    INDEX_SUM,
    LABEL,
    SIZE,
    ComponentJoiner,
)
from sp_graph_seg.transforms.arrays import as_array


class Table:
    """A table of columns of equal length.

    ``table["size"]`` is a column as an array and ``len(table)`` the number of rows. Iteration
    yields the rows as dictionaries. ``pandas.DataFrame(table.columns)`` makes a data frame.

    Attributes:
        columns: The columns by name.
        headers: For each column, its header in CSV, with the unit.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]], headers: Mapping[str, str]) -> None:
        self.columns = dict(columns)
        self.headers = dict(headers)

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.columns[column]

    def __len__(self) -> int:
        return len(self.columns["label"])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        values = (column.tolist() for column in self.columns.values())
        return (dict(zip(self.columns, row, strict=True)) for row in zip(*values, strict=True))

    def to_csv(self) -> str:
        """Formats the table as comma-separated text with the units in the header."""
        header = (self.headers[name] for name in self.columns)
        return to_csv(header, (row.values() for row in self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} rows: {', '.join(self.columns)})"


class LabelCounter:
    """Counts the labels of a volume and joins their components, slice by slice.

    Components may span many slices. Two voxels of the same label are connected if they
    share a face. The counter keeps two slices and one row of numbers for each component in memory.

    Args:
        spacing: Size of a voxel along depth, height and width, or of a pixel along height and
            width if ``ndim`` is 2. (default: :obj:`None`, lengths in voxels)
        unit: Unit of ``spacing``, such as ``"um"``, which is added to the headers of CSV.
        names: Names of labels, for the tables.
        unlabelled: Value of voxels without a label, which are left out.
        ndim: 3 for a volume, 2 for a single image. (default: :obj:`3`)

    Raises:
        InputError: If ``spacing`` is not one positive length for each axis, or only one of
            ``spacing`` and ``unit`` is given.

    Example:
        >>> import numpy as np
        >>> counter = LabelCounter()
        >>> for image in (np.eye(2, dtype=int), np.ones((2, 2), dtype=int)):
        ...     counter.add(image)
        >>> counter.label_table()["components"].tolist()
        [2, 1]
    """

    def __init__(
        self,
        spacing: Sequence[float] | None = None,
        unit: str | None = None,
        names: Mapping[int, str] | None = None,
        unlabelled: int | None = None,
        ndim: int = 3,
    ) -> None:
        self.spacing = _check_spacing(spacing, unit, ndim)
        self.unit = unit or ("voxel" if ndim == 3 else "pixel")
        self.names = dict(names or {})
        self.ndim = ndim
        self._joiner = ComponentJoiner(unlabelled)
        self._areas = AreaCounter(self.spacing, unlabelled) if ndim == 3 else None

    def add(self, labels: ArrayLike | Tensor) -> None:
        """Adds the next slice.

        Args:
            labels: ``(H, W)`` integers, of the same size as the slices before.

        Raises:
            InputError: If the labels are not such an array.
        """
        image = as_array(labels)
        self._joiner.add(image)
        if self._areas is not None:
            self._areas.add(image)

    def label_table(self) -> Table:
        """Returns the table of :func:`label_table` for the slices added so far."""
        measures = self._joiner.measures()
        labels, first, components = np.unique(
            measures[:, LABEL], return_index=True, return_counts=True
        )
        size = np.add.reduceat(measures[:, SIZE], first) if labels.size else labels
        surface = self._joiner.surface()
        columns = {
            "label": labels,
            "name": self._names_of(labels),
            "size": size,
            "fraction": size / max(int(size.sum()), 1),
            "volume": size * math.prod(self.spacing),
            "components": components,
            "largest": measures[first, SIZE],
            "mean_size": size / components,
            "surface": np.array([surface[label] for label in labels.tolist()], dtype=np.int64),
        }
        if self._areas is not None:
            areas = self._areas.areas()
            columns["area"] = np.array([areas.get(label, 0.0) for label in labels.tolist()])
        return Table(columns, self._headers(columns))

    def component_table(self) -> Table:
        """Returns the table of :func:`component_table` for the slices added so far."""
        measures = self._joiner.measures()
        size = measures[:, SIZE]
        volume = size * math.prod(self.spacing)
        columns = {
            "label": measures[:, LABEL],
            "name": self._names_of(measures[:, LABEL]),
            "size": size,
            "volume": volume,
            "diameter": (
                np.cbrt(6 / np.pi * volume) if self.ndim == 3 else np.sqrt(4 / np.pi * volume)
            ),
        }
        axes = list(enumerate("zyx"))[3 - self.ndim :]
        for (axis, name), width in zip(axes, self.spacing, strict=True):
            columns[f"centroid_{name}"] = measures[:, INDEX_SUM][:, axis] / size * width
        for axis, name in axes:
            columns[f"{name}_start"] = measures[:, INDEX_MIN][:, axis]
            columns[f"{name}_stop"] = measures[:, INDEX_MAX][:, axis] + 1
        return Table(columns, self._headers(columns))

    def _names_of(self, labels: NDArray[np.int64]) -> NDArray[np.str_]:
        return np.array([self.names.get(label, "") for label in labels.tolist()], dtype=np.str_)

    def _headers(self, columns: Iterable[str]) -> dict[str, str]:
        """Names the columns with their units, such as ``volume_um3``."""
        pixel = "voxel" if self.ndim == 3 else "pixel"
        count = dict.fromkeys(("size", "largest", "mean_size", "surface"), f"{pixel}s")
        headers = {name: f"{name}_{count[name]}" if name in count else name for name in columns}
        for name in headers:
            if name.startswith("centroid") or name == "diameter":
                headers[name] = f"{name}_{self.unit}"
            elif name.endswith(("_start", "_stop")):
                headers[name] = f"{name}_{pixel}"
        kind = "volume" if self.ndim == 3 else "area"
        size = pixel + "s" if self.unit == pixel else f"{self.unit}{self.ndim}"
        face = f"{pixel}_faces" if self.unit == pixel else f"{self.unit}2"
        return headers | {"volume": f"{kind}_{size}", "area": f"area_{face}"}


def label_table(
    labels: ArrayLike | Tensor,
    spacing: Sequence[float] | None = None,
    names: Mapping[int, str] | None = None,
    *,
    unit: str | None = None,
    unlabelled: int | None = None,
) -> Table:
    """Measures each label: its size, its components and its surface.

    The columns are:

    * ``label`` and ``name``;
    * ``size``: number of voxels, and ``fraction``: share of all labelled voxels;
    * ``volume``: physical volume, or area in 2D;
    * ``components``: number of components;
    * ``largest`` and ``mean_size``: the largest and the mean size of a component, in voxels;
    * ``surface``: number of voxels that share a face with another label. The border of the volume
      and unlabelled voxels do not count as another label;
    * ``area``: physical area of the surface between the label and others, only for volumes, see
      :class:`~sp_graph_seg.labels.areas.AreaCounter`.

    Args:
        labels: ``(H, W)`` or ``(D, H, W)`` integers. A volume is read one slice at a time, so it
            may be a memory map or an array of Zarr or HDF5.
        spacing: Size of a voxel along each axis of ``labels``. (default: :obj:`None`, lengths in
            voxels)
        names: Names of labels, such as :attr:`Relabel.names`.
        unit: Unit of ``spacing``, such as ``"um"``.
        unlabelled: Value of voxels without a label, such as 255, which are left out.

    Returns:
        A row for each label, in ascending order.

    Raises:
        InputError: If ``labels`` is not such an array, ``spacing`` is not one positive length for
            each axis, or only one of ``spacing`` and ``unit`` is given.
    """
    return _count_slices(labels, spacing, names, unit, unlabelled).label_table()


def component_table(
    labels: ArrayLike | Tensor,
    spacing: Sequence[float] | None = None,
    names: Mapping[int, str] | None = None,
    *,
    unit: str | None = None,
    unlabelled: int | None = None,
) -> Table:
    """Measures each component: its position and its size.

    The columns are:

    * ``label`` and ``name``;
    * ``size`` in voxels, and ``volume``: physical volume, or area in 2D;
    * ``diameter``: diameter of a ball (in 2D, a disc) of the same volume;
    * ``centroid_z``, ``centroid_y``, ``centroid_x``: physical coordinates of the centroid; the
      centre of the first voxel is at 0;
    * ``z_start``, ``z_stop`` and so on: the bounding box as Python slices, in voxels.

    The columns of z are missing in 2D.

    Args:
        labels: As in :func:`label_table`.
        spacing: As in :func:`label_table`.
        names: As in :func:`label_table`.
        unit: As in :func:`label_table`.
        unlabelled: As in :func:`label_table`.

    Returns:
        A row for each component, ordered by label, and for each label from large to small.

    Raises:
        InputError: As in :func:`label_table`.
    """
    return _count_slices(labels, spacing, names, unit, unlabelled).component_table()


def _count_slices(
    labels: Any,
    spacing: Sequence[float] | None,
    names: Mapping[int, str] | None,
    unit: str | None,
    unlabelled: int | None,
) -> LabelCounter:
    volume = labels if hasattr(labels, "shape") else np.asarray(labels)
    if len(volume.shape) not in (2, 3) or 0 in volume.shape:
        raise InputError(
            f"labels: the shape is {tuple(volume.shape)}; give a label map (H, W) or (D, H, W) "
            "that is not empty."
        )
    ndim = len(volume.shape)
    counter = LabelCounter(spacing, unit, names, unlabelled, ndim)
    for image in [volume] if ndim == 2 else (volume[z] for z in range(volume.shape[0])):
        counter.add(image)
    return counter


def _check_spacing(
    spacing: Sequence[float] | None, unit: str | None, ndim: int
) -> tuple[float, ...]:
    if spacing is None:
        if unit is not None:
            raise InputError(f"unit: {unit!r} is given without a spacing; give both.")
        return (1.0,) * ndim
    widths = tuple(map(float, spacing))
    if len(widths) != ndim or not all(math.isfinite(width) and width > 0 for width in widths):
        raise InputError(
            f"spacing: {widths} is invalid; give {ndim} positive lengths, one for each axis."
        )
    if not unit:
        raise InputError(f"spacing: {widths} has no unit; give one, such as unit='um'.")
    return widths
