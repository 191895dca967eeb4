"""Tables of labels and of their components. The volume may be larger than memory."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    as_label_array,
)

if TYPE_CHECKING:
    from torch import Tensor


class Table:
    """A table with columns of the same length.

    ``table["size"]`` returns the column ``size`` as an array, and ``len(table)`` returns the number
    of rows. Iteration yields each row as a dictionary. ``pandas.DataFrame(table.columns)`` converts
    the table to a data frame.

    Attributes:
        columns: The columns by name.
        headers: The header of each column in a CSV file. It contains the unit.
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
        """Formats the table as comma-separated text. The headers contain the units."""
        header = (self.headers[name] for name in self.columns)
        return to_csv(header, (row.values() for row in self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} rows: {', '.join(self.columns)})"


class LabelCounter:
    """Counter that measures the labels of a volume and their components.

    Slices are added one by one, and a component may span many slices. Two voxels of the same label
    are connected if they share a face. The counter keeps two slices in memory, and one row of
    numbers for each component.

    Args:
        spacing: Size of a voxel along depth, height and width. If ``ndim`` is 2, size of a pixel
            along height and width. If None, lengths are in voxels. (default: :obj:`None`)
        unit: Unit of ``spacing``, such as ``"um"``. It becomes a part of the headers in CSV files.
        names: Names of labels, for the tables.
        unlabelled: Value of voxels without a label. These voxels are left out.
        ndim: 3 for a volume, 2 for a single image. (default: :obj:`3`)

    Raises:
        InputError: If ``spacing`` does not have one positive length for each axis, or only one of
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

    def add(self, labels: "ArrayLike | Tensor") -> None:
        """Adds the next slice of labels.

        Args:
            labels: Integers ``(H, W)``, of the same shape as the slices before.

        Raises:
            InputError: If ``labels`` does not hold integers, or has another shape.
        """
        image = as_label_array(labels)
        self._joiner.add(image)
        if self._areas is not None:
            self._areas.add(image)

    def label_table(self) -> Table:
        """Returns the same table as :func:`label_table`, for the slices added so far."""
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
        """Returns the same table as :func:`component_table`, for the slices added so far."""
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
        """Returns the header of each column with its unit, such as ``volume_um3``."""
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
    labels: "ArrayLike | Tensor",
    spacing: Sequence[float] | None = None,
    names: Mapping[int, str] | None = None,
    *,
    unit: str | None = None,
    unlabelled: int | None = None,
) -> Table:
    """Measures each label: its size, its components and its surface.

    The columns are:

    * ``label``: number of the label;
    * ``name``: name of the label, or empty text;
    * ``size``: number of voxels;
    * ``fraction``: share of all labelled voxels;
    * ``volume``: physical volume, or area in 2D;
    * ``components``: number of components;
    * ``largest``: number of voxels of the largest component;
    * ``mean_size``: mean number of voxels of a component;
    * ``surface``: number of voxels that share a face with a voxel of another label. The border of
      the volume and unlabelled voxels do not count;
    * ``area``: physical area of the surface between this label and other labels, see
      :class:`~sp_graph_seg.labels.areas.AreaCounter`. This column is missing in 2D.

    Args:
        labels: Integers ``(H, W)`` or ``(D, H, W)``. A volume is read one slice at a time, so it
            may be a memory map, or an array of Zarr or HDF5.
        spacing: Size of a voxel along each axis of ``labels``. If None, lengths are in voxels.
            (default: :obj:`None`)
        names: Names of labels, such as :attr:`Relabel.names`.
        unit: Unit of ``spacing``, such as ``"um"``.
        unlabelled: Value of voxels without a label, such as 255. These voxels are left out.

    Returns:
        A row for each label, in the order of the numbers of the labels.

    Raises:
        InputError: If ``labels`` has another shape or does not hold integers, ``spacing`` does not
            have one positive length for each axis, or only one of ``spacing`` and ``unit`` is
            given.
    """
    return _count_slices(labels, spacing, names, unit, unlabelled).label_table()


def component_table(
    labels: "ArrayLike | Tensor",
    spacing: Sequence[float] | None = None,
    names: Mapping[int, str] | None = None,
    *,
    unit: str | None = None,
    unlabelled: int | None = None,
) -> Table:
    """Measures each component: its position and its size.

    The columns are:

    * ``label``: number of the label;
    * ``name``: name of the label, or empty text;
    * ``size``: number of voxels;
    * ``volume``: physical volume, or area in 2D;
    * ``diameter``: diameter of a ball of the same volume, or in 2D of a disc of the same area;
    * ``centroid_z``, ``centroid_y``, ``centroid_x``: physical coordinates of the centroid. The
      centre of the first voxel is at 0;
    * ``z_start``, ``z_stop``, ``y_start``, ``y_stop``, ``x_start``, ``x_stop``: the bounding box in
      voxels. As in Python, the stop is not included.

    In 2D, the columns of z are missing.

    Args:
        labels: As in :func:`label_table`.
        spacing: As in :func:`label_table`.
        names: As in :func:`label_table`.
        unit: As in :func:`label_table`.
        unlabelled: As in :func:`label_table`.

    Returns:
        A row for each component. The rows are ordered by label. For each label, they are ordered
        from the largest to the smallest component.

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
            f"labels: the shape is {tuple(volume.shape)}; give a label map of shape (H, W) or "
            "(D, H, W) that is not empty."
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
            raise InputError(f"unit: {unit!r} is given without a spacing; give both or neither.")
        return (1.0,) * ndim
    widths = tuple(map(float, spacing))
    if len(widths) != ndim or not all(math.isfinite(width) and width > 0 for width in widths):
        raise InputError(
            f"spacing: {widths} is invalid; give {ndim} positive lengths, one for each axis."
        )
    if not unit:
        raise InputError(f"spacing: {widths} has no unit; give a unit such as unit='um'.")
    return widths
