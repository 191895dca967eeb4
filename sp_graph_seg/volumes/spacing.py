"""Reads the spacing of voxels from the metadata of TIFF files: ImageJ, OME or plain TIFF tags."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sp_graph_seg.volumes.geometry import UNKNOWN, Axes, Axis, measured_axis

#: Numbers of pixels per inch that programs write when they know none: those of screens and
#: printers, and one per inch, centimetre and millimetre.
_PRINTED = {
    1,
    3,
    25,
    72,
    75,
    90,
    96,
    100,
    120,
    144,
    150,
    180,
    200,
    240,
    300,
    350,
    360,
    400,
    600,
    720,
    1200,
}
_NO_UNITS = ("", "pixel", "pixels", "inch")  # inch: written for a unit that nobody set
_CENTIMETRE, _INCH = 3, 2  # values of the tag ResolutionUnit

Ratio = tuple[int, int]


def imagej_axes(
    metadata: Mapping[str, Any], resolution: Sequence[Ratio | None], slices: str
) -> Axes:
    """Returns the axes of a TIFF that ImageJ wrote.

    ImageJ writes the origin in pixels. It does not write the distance between slices if it is 1.

    Args:
        metadata: The values in the ImageJ description, such as ``spacing`` (the distance between
            slices), ``unit``, ``finterval`` (the time between frames) and ``tunit`` (the unit of
            this time).
        resolution: Pixels per unit along y and x, as fractions.
        slices: "z", or "t" if the slices are frames.
    """
    unit = str(metadata.get("unit", "")).replace("\\u00B5", "µ")
    if unit.lower() in _NO_UNITS:
        return UNKNOWN if slices == "z" else (_frames(metadata), *UNKNOWN[1:])
    pixels = [pair[0] / pair[1] if pair and pair[1] else math.nan for pair in resolution]
    usual = 1.0 if metadata.get("images", 1) > 1 else math.nan
    lengths = {"z": metadata.get("spacing", usual)}
    lengths |= {axis: 1 / n if n else math.nan for axis, n in zip("yx", pixels, strict=True)}
    z, y, x = (
        measured_axis(axis, length, unit, -float(metadata.get(f"{axis}origin", 0)) * length)
        for axis, length in lengths.items()
    )
    return (z, y, x) if slices == "z" else (_frames(metadata), y, x)


def _frames(metadata: Mapping[str, Any]) -> Axis:
    interval = metadata.get("finterval", math.nan)
    return measured_axis("t", interval, str(metadata.get("tunit", "sec")))


def ome_axes(xml: str, series: int, slices: str) -> Axes:
    """Returns the axes of an image in an OME-TIFF from the XML metadata.

    Args:
        xml: The metadata of the file.
        series: The number of the image.
        slices: "z", or "t" if the slices are frames.
    """
    from xml.etree import ElementTree

    pixels = ElementTree.fromstring(xml).findall(".//{*}Pixels")[series]
    plane = pixels.find("{*}Plane")

    def axis(name: str, key: str, usual: str, position: str) -> Axis:
        length = float(pixels.attrib.get(key, math.nan))
        unit = pixels.attrib.get(f"{key}Unit", usual)
        axis = measured_axis(name, length, unit)
        if plane is None or position not in plane.attrib or axis.spacing is None:
            return axis
        start = measured_axis(name, length, plane.attrib.get(f"{position}Unit", usual))
        factor = 0.0 if start.spacing is None else start.spacing / length
        return Axis(name, axis.spacing, axis.unit, float(plane.attrib[position]) * factor)

    z, y, x = (
        axis(letter.lower(), f"PhysicalSize{letter}", "µm", f"Position{letter}") for letter in "ZYX"
    )
    return (z, y, x) if slices == "z" else (axis("t", "TimeIncrement", "s", "DeltaT"), y, x)


def plain_axes(resolution: Sequence[Ratio | None], unit: int, slices: str) -> Axes:
    """Returns the axes of a TIFF from its resolution tags.

    Common resolutions of printers and screens, such as 300 pixels per inch, are ignored, because
    they say nothing about the scan.

    Args:
        resolution: The tags YResolution and XResolution: pixels per unit, as fractions.
        unit: The tag ResolutionUnit: 2 for inches, 3 for centimetres.
        slices: "z", or "t" if the slices are frames.

    Returns:
        The axes. The distance between slices is unknown, because no tag declares it.
    """
    pixels = [pair[0] / pair[1] if pair and pair[1] else 0.0 for pair in resolution]
    name = {_CENTIMETRE: "cm", _INCH: "inch"}.get(unit)
    per_inch = {round(n * (2.54 if unit == _CENTIMETRE else 1)) for n in pixels}
    if name is None or not all(pixels) or per_inch <= _PRINTED:
        return (Axis(slices), *UNKNOWN[1:])
    y, x = (measured_axis(axis, 1 / n, name) for axis, n in zip("yx", pixels, strict=True))
    return Axis(slices), y, x
