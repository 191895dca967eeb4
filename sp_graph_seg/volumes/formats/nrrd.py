"""Reads uncompressed NRRD files. The values are in the file itself or in a separate file."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.fingerprint import stamp
from sp_graph_seg.volumes.axes import Layout, resolve_axes
from sp_graph_seg.volumes.formats.arrays import MappedSource, check_length
from sp_graph_seg.volumes.geometry import Axes, Axis, measured_axis
from sp_graph_seg.volumes.source import Source, reading, real_dtype

MAGIC = b"NRRD000"
_TYPES = {
    **{f"uint{8 * size}{end}": f"u{size}" for size in (1, 2, 4, 8) for end in ("", "_t")},
    **{f"int{8 * size}{end}": f"i{size}" for size in (1, 2, 4, 8) for end in ("", "_t")},
    **dict.fromkeys(("uchar", "unsigned char"), "u1"),
    **dict.fromkeys(("signed char",), "i1"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int"), "u2"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int"), "i2"),
    **dict.fromkeys(("uint", "unsigned int"), "u4"),
    **dict.fromkeys(("int", "signed int"), "i4"),
    **{"float": "f4", "double": "f8"},
}


class NrrdHeader(NamedTuple):
    """The header of an NRRD file.

    Attributes:
        fields: The values of the header fields. Their names are in lower case.
        comments: The comments, without the leading ``#``.
        shape: The shape of the array, with x last.
        dtype: The type of the values, in the byte order of the file.
        offset: Position of the first value in the file that holds the values, in bytes.
        data: The file that holds the values. This is the NRRD file or a separate file.
    """

    fields: dict[str, str]
    comments: list[str]
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    data: Path


def read_nrrd_header(file: Path) -> NrrdHeader:
    """Reads the header of an NRRD file.

    The format is described at https://teem.sourceforge.net/nrrd/format.html.

    Raises:
        InputError: The values are compressed or split into several files.
    """
    fields: dict[str, str] = {}
    comments: list[str] = []
    with open(file, "rb") as stream:
        stream.readline()
        for line in iter(stream.readline, b""):
            text = line.decode("utf-8", errors="replace").rstrip("\r\n")
            if not text:
                break
            if text.startswith("#"):
                comments.append(text[1:].strip())
            elif ":=" not in text:  # a key and its value
                name, _, value = text.partition(":")
                fields[name.lower()] = value.strip()
        offset = stream.tell()
    apart = fields.get("data file") or fields.get("datafile")
    if fields["encoding"] != "raw" or (apart and (apart == "LIST" or "%" in apart)):
        raise InputError(
            f"{file}: is compressed or split into several files; save it as one file with the "
            "NRRD encoding 'raw'."
        )
    order = ">" if fields.get("endian") == "big" else "<"
    dtype = np.dtype(order + _TYPES[fields["type"]])
    shape = tuple(int(size) for size in reversed(fields["sizes"].split()))
    data = file.parent / apart if apart else file
    skip = int(fields.get("byte skip") or fields.get("byteskip") or 0)
    if skip == -1:  # the values are at the end
        offset = data.stat().st_size - int(np.prod(shape)) * dtype.itemsize
    else:
        offset = (0 if apart else offset) + skip
    return NrrdHeader(fields, comments, shape, dtype, offset, data)


def open_nrrd(path: str, file: Path, axes: str | None) -> Source:
    """Returns a description of the array in an NRRD file.

    Args:
        path: The path that the user gave, for messages.
        file: The file.
        axes: The axis letters that the user gave, or None.

    Returns:
        The description.

    Raises:
        InputError: The file is damaged, its values are compressed, or its axes are unknown.
    """
    with reading(path, "save it again with the NRRD encoding 'raw'"):
        header = read_nrrd_header(file)
        layout = resolve_axes(path, header.shape, axes, _letters(header))
        check_length(path, header.data, header.offset, header.shape, header.dtype)
        return MappedSource(
            path=path,
            file=header.data,
            sizes=layout.sizes,
            dtype=real_dtype(path, header.dtype),
            chunks=layout.runs(),
            stamp=stamp(header.data),
            axes=layout.unmeasured() if axes else _axes(header, layout),
            axis_order=layout.spatial,
            layout=layout,
            stored=header.dtype,
            offset=header.offset,
        )


def _letters(header: NrrdHeader) -> str | None:
    """Returns the axis letters that the labels in the header give.

    Without such labels, three axes in space are "zyx". For other axes, returns None.
    """
    labels = re.findall(r'"([^"]*)"', header.fields.get("labels", ""))
    letters = "".join(reversed(labels)).lower()
    if len(letters) == len(labels) == len(header.shape) and {"y", "x"} <= set(letters):
        return letters
    kinds = set(header.fields.get("kinds", "").split())
    return "zyx" if len(header.shape) == 3 and kinds <= {"space", "domain"} else None


def _axes(header: NrrdHeader, layout: Layout) -> Axes:
    """Returns the axes z (or t), y and x with the spacing and origin that the header declares."""
    measured = _along_space(header) if "space directions" in header.fields else _along_axes(header)
    found = dict(zip(layout.order, reversed(measured), strict=True))
    z, y, x = (
        measured_axis(name, *found[place]) if place in found else Axis(name)
        for place, name in zip("zyx", (layout.slices, "y", "x"), strict=True)
    )
    return z, y, x


Measure = tuple[float, str | None, float]
"""The spacing, its unit, and the origin of an axis. An unknown spacing is NaN."""


def _along_space(header: NrrdHeader) -> list[Measure]:
    """Reads the spacing, unit and origin of each axis from header fields such as "space origin".

    The spacing of an axis is the length of its direction vector. The rotation of the scan is
    ignored.
    """
    fields, dimension = header.fields, len(header.shape)
    vectors = [
        None if word == "none" else np.array(word.strip("()").split(","), dtype=float)
        for word in re.findall(r"none|\([^)]*\)", fields["space directions"])
    ]
    units = re.findall(r'"([^"]*)"', fields.get("space units", "")) or [""] * dimension
    start = np.array(fields.get("space origin", "(0,0,0)").strip("()").split(","), dtype=float)
    found: list[Measure] = []
    for vector in vectors:
        if vector is None:
            found.append((np.nan, None, 0.0))
            continue
        length = float(np.linalg.norm(vector))
        along = float(start @ vector) / length if length else 0.0
        found.append((length, units[int(np.abs(vector).argmax())] or None, along))
    return found


def _along_axes(header: NrrdHeader) -> list[Measure]:
    """Reads the spacing, unit and origin of each axis from "spacings", "units" and "axis mins"."""
    dimension = len(header.shape)

    def numbers(name: str) -> list[float]:
        return [float(word) for word in header.fields.get(name, "nan " * dimension).split()]

    units = re.findall(r'"([^"]*)"', header.fields.get("units", "")) or [""] * dimension
    centres = header.fields.get("centerings", "cell " * dimension).split()
    found: list[Measure] = []
    for length, unit, start, centre in zip(
        numbers("spacings"), units, numbers("axis mins"), centres, strict=True
    ):
        half = length / 2 if centre == "cell" else 0.0
        found.append((length, unit or None, start + half))
    return found
