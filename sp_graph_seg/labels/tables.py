"""How much of each label there is, and in how many pieces, also of volumes larger than memory."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.errors import InputError
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
    """Columns of equal length with their units.

    ``table["size"]`` is a column as an array, ``len(table)`` the number of rows, iteration yields
    the rows as dictionaries, and ``pandas.DataFrame(table.columns)`` is a data frame.

    Attributes:
        columns: The columns by name.
        headers: What the columns are called in CSV, with their units.
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
        """The table as comma-separated text, with the units in the header."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.headers[name] for name in self.columns)
        writer.writerows(row.values() for row in self)
        return text.getvalue()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} rows: {', '.join(self.columns)})"


class RegionCounter:
    """Counts the labels of a volume and joins their components, slice by slice.

    Two voxels of the same label are connected if they share a face, wherever in the volume. In
    memory are two slices and one row of numbers for each component.

    Args:
        spacing: Size of a voxel along depth, height and width (of a pixel along height and width
            where ``ndim`` is 2); None counts in voxels.
        unit: What ``spacing`` is in, such as ``"um"``; it ends up in the headers of CSV.
        names: Names of labels, for the tables.
        unlabelled: Value of voxels without a label; they are left out.
        ndim: 2 for a single image, which is then the only slice.

    Raises:
        InputError: If the spacing is not one positive length an axis, or lacks its unit.

    Example:
        >>> import numpy as np
        >>> counter = RegionCounter()
        >>> for image in (np.eye(2, dtype=int), np.ones((2, 2), dtype=int)):
        ...     counter.add(image)
        >>> counter.region_table()["components"].tolist()
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

    def add(self, labels: ArrayLike | Tensor) -> None:
        """Adds the next slice.

        Args:
            labels: ``(H, W)``, integers, of the size of the slices before.

        Raises:
            InputError: If it is no such slice.
        """
        self._joiner.add(as_array(labels))

    def region_table(self) -> Table:
        """The table of :func:`region_table`, of the slices so far."""
        records = self._joiner.records()
        labels, first, components = np.unique(
            records[:, LABEL], return_index=True, return_counts=True
        )
        size = np.add.reduceat(records[:, SIZE], first) if labels.size else labels
        surface = self._joiner.surface()
        columns = {
            "label": labels,
            "name": self._names_of(labels),
            "size": size,
            "fraction": size / max(int(size.sum()), 1),
            "volume": size * math.prod(self.spacing),
            "components": components,
            "largest": records[first, SIZE],
            "mean_size": size / components,
            "surface": np.array([surface[label] for label in labels.tolist()], dtype=np.int64),
        }
        return Table(columns, self._headers(columns))

    def component_table(self) -> Table:
        """The table of :func:`component_table`, of the slices so far."""
        records = self._joiner.records()
        size = records[:, SIZE]
        volume = size * math.prod(self.spacing)
        columns = {
            "label": records[:, LABEL],
            "name": self._names_of(records[:, LABEL]),
            "size": size,
            "volume": volume,
            "diameter": (
                np.cbrt(6 / np.pi * volume) if self.ndim == 3 else np.sqrt(4 / np.pi * volume)
            ),
        }
        axes = list(enumerate("zyx"))[3 - self.ndim :]
        for (axis, name), width in zip(axes, self.spacing, strict=True):
            columns[f"centroid_{name}"] = records[:, INDEX_SUM][:, axis] / size * width
        for axis, name in axes:
            columns[f"{name}_start"] = records[:, INDEX_MIN][:, axis]
            columns[f"{name}_stop"] = records[:, INDEX_MAX][:, axis] + 1
        return Table(columns, self._headers(columns))

    def _names_of(self, labels: NDArray[np.int64]) -> NDArray[np.str_]:
        return np.array([self.names.get(label, "") for label in labels.tolist()], dtype=np.str_)

    def _headers(self, columns: Iterable[str]) -> dict[str, str]:
        """Names of columns with their units, such as ``volume_um3``."""
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
        return headers | {"volume": f"{kind}_{size}"}


def region_table(
    labels: ArrayLike | Tensor,
    spacing: Sequence[float] | None = None,
    names: Mapping[int, str] | None = None,
    *,
    unit: str | None = None,
    unlabelled: int | None = None,
) -> Table:
    """How much of each label there is, and in how many pieces.

    Columns: ``label`` and ``name``; ``size``, the number of voxels; ``fraction`` of all voxels that
    have a label; ``volume``, physical (in 2D the area); ``components``, their number; ``largest``
    and ``mean_size``, of the components in voxels; ``surface``, the number of voxels that share a
    face with another label (neither the border of the volume nor unlabelled voxels count).

    Args:
        labels: ``(H, W)`` or ``(D, H, W)`` integers; of a volume one slice is read at a time, so
            it may be a memory map, or an array of Zarr or HDF5.
        spacing: Size of a voxel along each axis of ``labels``; None counts in voxels.
        names: Names of labels, such as :attr:`Relabel.names`.
        unit: What ``spacing`` is in, such as ``"um"``.
        unlabelled: Value of voxels without a label, such as 255; they are left out.

    Returns:
        A row for each label, in their order.

    Raises:
        InputError: If the labels are no such integers, or the spacing is not one positive length
            an axis or lacks its unit.
    """
    return _count_slices(labels, spacing, names, unit, unlabelled).region_table()


def component_table(
    labels: ArrayLike | Tensor,
    spacing: Sequence[float] | None = None,
    names: Mapping[int, str] | None = None,
    *,
    unit: str | None = None,
    unlabelled: int | None = None,
) -> Table:
    """Where each connected component is, and how large.

    Columns: ``label`` and ``name``; ``size`` in voxels; ``volume``, physical (in 2D the area);
    ``diameter`` of the ball (disc) of that volume; ``centroid_z``, ``_y`` and ``_x``, physical,
    where the middle of the first voxel is 0; and the bounding box as Python slices, in voxels:
    ``z_start``, ``z_stop`` and so on, the stop excluded. There is no z in 2D.

    Args:
        labels: As in :func:`region_table`, and the other arguments too.
        spacing: Size of a voxel along each axis of ``labels``; None counts in voxels.
        names: Names of labels.
        unit: What ``spacing`` is in.
        unlabelled: Value of voxels without a label.

    Returns:
        A row for each component, by label, the largest first.

    Raises:
        InputError: As in :func:`region_table`.
    """
    return _count_slices(labels, spacing, names, unit, unlabelled).component_table()


def _count_slices(
    labels: Any,
    spacing: Sequence[float] | None,
    names: Mapping[int, str] | None,
    unit: str | None,
    unlabelled: int | None,
) -> RegionCounter:
    volume = labels if hasattr(labels, "shape") else np.asarray(labels)
    if len(volume.shape) not in (2, 3) or 0 in volume.shape:
        raise InputError(
            f"labels: shape {tuple(volume.shape)} is neither (H, W) nor (D, H, W) with voxels; "
            "give an image or a volume of labels."
        )
    ndim = len(volume.shape)
    counter = RegionCounter(spacing, unit, names, unlabelled, ndim)
    for image in [volume] if ndim == 2 else (volume[z] for z in range(volume.shape[0])):
        counter.add(image)
    return counter


def _check_spacing(
    spacing: Sequence[float] | None, unit: str | None, ndim: int
) -> tuple[float, ...]:
    if spacing is None:
        if unit is not None:
            raise InputError(f"unit: {unit!r} is given without a spacing; give spacing too.")
        return (1.0,) * ndim
    widths = tuple(map(float, spacing))
    if len(widths) != ndim or not all(math.isfinite(width) and width > 0 for width in widths):
        raise InputError(f"spacing: {widths} must be {ndim} positive lengths, one for each axis.")
    if not unit:
        raise InputError(f"spacing: {widths} has no unit; give it too, such as unit='um'.")
    return widths
