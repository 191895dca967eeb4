"""Describes where the voxels of a volume lie: names, spacing, units and origin of its axes."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Axis:
    """One axis of an array, with the positions of the voxels along it.

    Attributes:
        name: "z", "y", "x", or "t" for frames.
        spacing: Distance between the centres of neighbouring voxels. None if it is unknown.
        unit: Unit of spacing and origin: "micrometer" or "second". None if it is not declared.
        origin: Position of the centre of the first voxel.
    """

    name: str
    spacing: float | None = None
    unit: str | None = None
    origin: float = 0.0

    def part(self, indices: range, binning: int = 1) -> "Axis":
        """Returns the axis of a part of the voxels.

        The part consists of the voxels at ``indices``. Each run of ``binning`` of these voxels is
        averaged into one.
        """
        if self.spacing is None:
            return self
        first = indices.start + (binning - 1) / 2 * indices.step
        return replace(
            self,
            spacing=self.spacing * indices.step * binning,
            origin=self.origin + first * self.spacing,
        )


Axes = tuple[Axis, Axis, Axis]

UNKNOWN: Axes = (Axis("z"), Axis("y"), Axis("x"))
"""Axes of slices whose voxel size is not declared."""


@dataclass(frozen=True)
class Geometry:
    """The positions of the voxels that were read, and the axis order of the stored array.

    Attributes:
        axes: The axes of the slices, rows and columns that were read.
        order: The names of these axes in the order of the stored array. (default: the order of
            ``axes``)
        part: The part of the stored array that was read, as JSON values. See `Volume.part_read`.
    """

    axes: Axes = UNKNOWN
    order: str = ""
    part: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.order:
            object.__setattr__(self, "order", self.names)

    @property
    def names(self) -> str:
        """The names of the axes of slices, rows and columns, such as "zyx" or "yzx"."""
        return "".join(axis.name for axis in self.axes)

    @property
    def spacing(self) -> Spacing | None:
        """The distances between neighbouring slices, rows and columns.

        None if a distance is unknown, or if the distances have different units.
        """
        slices, rows, columns = self.axes
        if not slices.unit == rows.unit == columns.unit:
            return None
        if slices.spacing is None or rows.spacing is None or columns.spacing is None:
            return None
        return slices.spacing, rows.spacing, columns.spacing

    @property
    def unit(self) -> str | None:
        """The unit of the spacing. None if the spacing or its unit is unknown."""
        return None if self.spacing is None else self.axes[0].unit

    @property
    def places(self) -> tuple[int, int, int]:
        """For each axis of the stored array, whether it counts slices (0), rows (1) or columns (2).

        `numpy.transpose` with these numbers brings a block of slices into the stored axis order.
        """
        first, second, third = (self.names.index(name) for name in self.order)
        return first, second, third

    def stored(self) -> Axes:
        """Returns the axes in the order of the stored array."""
        first, second, third = (self.axes[place] for place in self.places)
        return first, second, third

    def sorted(self) -> "Geometry":
        """Returns this geometry for an array that stores its axes in the order z (or t), y, x."""
        return replace(self, order="".join(sorted(self.names, key="tzyx".index)))

    def to_json(self) -> dict[str, Any]:
        """Converts the geometry to JSON values."""
        return dataclasses.asdict(self) | {"axes": [dataclasses.asdict(axis) for axis in self.axes]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Geometry":
        """Restores a geometry from the result of `to_json`."""
        slices, rows, columns = (Axis(**axis) for axis in values["axes"])
        return cls((slices, rows, columns), values["order"], values["part"])


_MICROMETRES = {
    "angstrom": 1e-4,
    "Å": 1e-4,
    "nanometer": 1e-3,
    "nm": 1e-3,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "um": 1.0,
    "µm": 1.0,  # micro sign
    "μm": 1.0,  # Greek mu
    "millimeter": 1e3,
    "mm": 1e3,
    "centimeter": 1e4,
    "cm": 1e4,
    "inch": 25.4e3,
    "meter": 1e6,
    "m": 1e6,
}
_SECONDS = {
    "second": 1.0,
    "sec": 1.0,
    "s": 1.0,
    "millisecond": 1e-3,
    "ms": 1e-3,
    "msec": 1e-3,
    "minute": 60.0,
    "min": 60.0,
    "hour": 3600.0,
    "h": 3600.0,
}


def unit_in_tables(unit: str | None) -> str | None:
    """Returns "um" for every name of the micrometre, and any other unit unchanged."""
    return "um" if unit is not None and _MICROMETRES.get(unit) == 1.0 else unit


REFERENCE_FRAME = "reference frame"
"""The name that OME uses for an unknown unit of length."""


def measured_axis(name: str, length: float, unit: str | None, origin: float = 0.0) -> Axis:
    """Makes an axis from the spacing and origin that a file declares.

    Lengths are converted to micrometres. For the axis "t", times are converted to seconds.

    Args:
        name: "z", "t", "y" or "x".
        length: The distance between neighbouring voxels.
        unit: The unit of the distance. If None, the numbers are not converted and have no unit.
        origin: The position of the centre of the first voxel, in the same unit.

    Returns:
        The axis. Its spacing is unknown if the length or the unit is invalid.
    """
    kind, factors = ("second", _SECONDS) if name == "t" else ("micrometer", _MICROMETRES)
    unit = None if unit == REFERENCE_FRAME else unit
    factor = 1.0 if unit is None else factors.get(unit.strip(), math.nan)
    length, origin = float(length) * factor, float(origin) * factor
    if not (math.isfinite(length) and length > 0):
        return Axis(name)
    origin = origin if math.isfinite(origin) else 0.0
    return Axis(name, length, None if unit is None else kind, origin)
