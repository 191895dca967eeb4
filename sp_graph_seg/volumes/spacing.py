"""Reads the spacing of voxels from the metadata of ImageJ, OME-TIFF and OME-Zarr."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sp_graph_seg.volumes.source import Spacing

_MICROMETRES = {
    "angstrom": 1e-4,
    "Å": 1e-4,
    "nanometer": 1e-3,
    "nm": 1e-3,
    "micrometer": 1.0,
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

NO_SPACING: tuple[None, None] = None, None


def in_micrometres(
    lengths: Sequence[float], units: Sequence[str | None]
) -> tuple[Spacing | None, str | None]:
    """Converts distances along z, y and x to micrometres.

    Args:
        lengths: Three distances.
        units: Their units. If all are None, the numbers are returned as they are, without a unit.

    Returns:
        The spacing, and "micrometer" or None. Both are None if a number or unit is invalid.
    """
    if not all(math.isfinite(length) and length > 0 for length in lengths):
        return NO_SPACING
    z, y, x = map(float, lengths)
    if set(units) == {None}:
        return (z, y, x), None
    factors = [_MICROMETRES.get(unit or "", math.nan) for unit in units]
    if not all(map(math.isfinite, factors)):
        return NO_SPACING
    return (z * factors[0], y * factors[1], x * factors[2]), "micrometer"


def imagej_spacing(
    metadata: Mapping[str, Any], resolution: Sequence[tuple[int, int] | None]
) -> tuple[Spacing | None, str | None]:
    """Returns the spacing of an ImageJ TIFF.

    Args:
        metadata: Its description, with ``spacing`` along z and ``unit``.
        resolution: Pixels per unit along y and x, as fractions.
    """
    unit = str(metadata.get("unit", "")).replace("\\u00B5", "µ")
    pixels = [pair[0] / pair[1] if pair and pair[1] else 0.0 for pair in resolution]
    if "spacing" not in metadata or unit not in _MICROMETRES or not all(pixels):
        return NO_SPACING
    return in_micrometres([metadata["spacing"], *(1 / n for n in pixels)], [unit] * 3)


def ome_spacing(xml: str, series: int) -> tuple[Spacing | None, str | None]:
    """Returns the spacing of an image in an OME-TIFF from its XML."""
    from xml.etree import ElementTree

    pixels = ElementTree.fromstring(xml).findall(".//{*}Pixels")[series].attrib
    if not all(f"PhysicalSize{axis}" in pixels for axis in "ZYX"):
        return NO_SPACING
    return in_micrometres(
        [float(pixels[f"PhysicalSize{axis}"]) for axis in "ZYX"],
        [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "ZYX"],  # the default of OME
    )
