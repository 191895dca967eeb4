"""Reads VTK image data (.vti) with raw, uncompressed values after the XML header."""

from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.fingerprint import stamp
from sp_graph_seg.volumes.axes import resolve_axes
from sp_graph_seg.volumes.formats.arrays import MappedSource, check_length
from sp_graph_seg.volumes.geometry import Axes, measured_axis
from sp_graph_seg.volumes.sidecar import PROVENANCE, geometry_in_note
from sp_graph_seg.volumes.source import Source, reading, real_dtype

_MARK = b'<AppendedData encoding="raw">'
_READ_BYTES = 2**20
_TYPES = {
    **{f"Int{8 * size}": f"i{size}" for size in (1, 2, 4, 8)},
    **{f"UInt{8 * size}": f"u{size}" for size in (1, 2, 4, 8)},
    "Float32": "f4",
    "Float64": "f8",
}


class VtiHeader(NamedTuple):
    """The header of a .vti file.

    Attributes:
        shape: The lengths of the axes z, y and x. If a voxel has several components, their number
            comes last.
        dtype: The type of the values, in the byte order of the file.
        offset: Position of the first value in the file, in bytes.
        spacing: Distances between neighbouring voxels along z, y and x.
        origin: Position of the centre of the first voxel along z, y and x.
        notes: The texts in the VTK field data, by their names.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    notes: dict[str, str]


def read_vti_header(file: Path) -> VtiHeader:
    """Reads the header of a .vti file.

    The format is described at
    https://docs.vtk.org/en/latest/vtk_file_formats/vtkxml_file_format.html.

    Raises:
        InputError: The values are compressed, encoded as text or divided into pieces.
    """
    head = b""
    with open(file, "rb") as stream:
        while _MARK not in head and (more := stream.read(_READ_BYTES)):
            head += more
    text, mark, rest = head.partition(_MARK)
    if not mark:
        raise _unsuited(file)
    root = ElementTree.fromstring(text + b"</VTKFile>")
    pieces, image = root.findall(".//Piece"), root.find("ImageData")
    values = _values(pieces[0]) if len(pieces) == 1 else None
    if image is None or values is None or root.get("compressor"):
        raise _unsuited(file)
    array, of_cells = values
    order = ">" if root.get("byte_order") == "BigEndian" else "<"
    count = np.dtype(order + {"UInt32": "u4"}.get(root.get("header_type", "UInt32"), "u8"))
    first = len(text) + len(mark) + rest.index(b"_") + 1
    ends = [int(end) for end in pieces[0].get("Extent", "").split()]
    sizes = [high - low + (not of_cells) for low, high in zip(ends[::2], ends[1::2], strict=True)]
    components = int(array.get("NumberOfComponents", 1))
    spacing = _numbers(image, "Spacing", "1 1 1")
    shift = [low + of_cells / 2 for low in ends[::2]]
    starts = _numbers(image, "Origin", "0 0 0")
    origin = [
        start + step * length for start, step, length in zip(starts, shift, spacing, strict=True)
    ]
    return VtiHeader(
        (*sizes[::-1], *([components] if components > 1 else [])),
        np.dtype(order + _TYPES[array.get("type", "")]),
        first + int(array.get("offset", 0)) + count.itemsize,
        tuple(spacing[::-1]),
        tuple(origin[::-1]),
        {
            text.get("Name", ""): _text_of_numbers(text.text or "")
            for text in image.findall("FieldData/Array[@type='String']")
        },
    )


def open_vti(path: str, file: Path, axes: str | None) -> Source:
    """Returns a description of the array in a .vti file.

    Args:
        path: The path that the user gave, for messages.
        file: The file.
        axes: The axis letters that the user gave, or None.

    Returns:
        The description. The voxels are the points of the VTK grid. If the file stores values for
        the cells of the grid, the voxels are the cells.

    Raises:
        InputError: The file is damaged, or its values are compressed, encoded as text or divided
            into pieces.
    """
    with reading(path, "save it again as raw appended data, without compression"):
        header = read_vti_header(file)
        names = "zyx" if len(header.shape) == 3 else "zyxc"
        layout = resolve_axes(path, header.shape, axes, names)
        check_length(path, file, header.offset, header.shape, header.dtype)
        return MappedSource(
            path=path,
            file=file,
            sizes=layout.sizes,
            dtype=real_dtype(path, header.dtype),
            chunks=layout.runs(),
            stamp=stamp(file),
            axes=layout.unmeasured() if axes else _axes(header),
            axis_order=layout.spatial,
            layout=layout,
            stored=header.dtype,
            offset=header.offset,
        )


def _axes(header: VtiHeader) -> Axes:
    """Returns the axes that this library noted in the file, or else the axes that VTK declares.

    The axes that VTK declares have no unit.
    """
    noted = geometry_in_note(header.notes.get(PROVENANCE, ""))
    if noted is not None:
        return noted.sorted().stored()
    is_known = set(header.spacing) != {1.0}
    z, y, x = (
        measured_axis(name, length if is_known else np.nan, None, origin)
        for name, length, origin in zip("zyx", header.spacing, header.origin, strict=True)
    )
    return z, y, x


def _values(piece: ElementTree.Element) -> tuple[ElementTree.Element, bool] | None:
    """Returns the XML element of the values, and whether they belong to cells instead of points.

    Returns None if no values are appended to the header.
    """
    for kind in ("PointData", "CellData"):
        data = piece.find(kind)
        for array in [] if data is None else data.findall("DataArray"):
            if data is not None and data.get("Scalars", array.get("Name")) == array.get("Name"):
                return (array, kind == "CellData") if array.get("format") == "appended" else None
    return None


def _numbers(element: ElementTree.Element, name: str, usual: str) -> list[float]:
    return [float(word) for word in element.get(name, usual).split()]


def _text_of_numbers(text: str) -> str:
    """Decodes a text that is written as the numbers of its bytes, with a zero at the end."""
    return bytes(int(word) for word in text.split()).rstrip(b"\0").decode(errors="replace")


def _unsuited(file: Path) -> InputError:
    return InputError(
        f"{file}: does not store VTK image data as one piece of raw, uncompressed values; save the "
        "image again as raw appended data, in one piece and without compression."
    )
