"""The formats NRRD and VTI, for Avizo, 3D Slicer and ParaView.

Both formats store the labels as raw values after a text header.
"""

import json
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from sp_graph_seg.label_jobs.base import PROVENANCE, Blocks, Finished, Found, StreamedFormat
from sp_graph_seg.label_jobs.manifest import Manifest
from sp_graph_seg.volumes.formats.arrays import check_length
from sp_graph_seg.volumes.formats.nrrd import read_nrrd_header
from sp_graph_seg.volumes.formats.vti import read_vti_header


class Nrrd(StreamedFormat):
    """The format NRRD, see https://teem.sourceforge.net/nrrd/format.html.

    The provenance is a comment in the header. The values are not compressed, so a program can read
    a part of them without reading the rest.
    """

    suffixes = (".nrrd",)
    is_packed = False

    def write(self, path: Path, manifest: Manifest, found: Found, blocks: Blocks) -> None:
        """Writes the header and then the values. The x axis varies fastest."""
        axes = manifest.geometry.stored()[::-1]
        kinds = ["time" if axis.name == "t" else "space" for axis in axes]
        fields = {
            "type": "uint8" if manifest.dtype == np.uint8 else "uint16",
            "dimension": "3",
            "sizes": " ".join(map(str, manifest.stored_shape[::-1])),
            "encoding": "raw",
            "endian": "little",
            "kinds": " ".join(kinds),
            "labels": " ".join(f'"{axis.name}"' for axis in axes),
        }
        if all(axis.name != "t" and axis.spacing is not None for axis in axes):
            units = " ".join(f'"{axis.unit or ""}"' for axis in axes)
            x, y, z = (axis.spacing for axis in axes)
            fields |= {
                "space dimension": "3",
                "space directions": f"({x!r},0,0) (0,{y!r},0) (0,0,{z!r})",
                "space origin": f"({','.join(repr(axis.origin) for axis in axes)})",
                "space units": units,
            }
        elif any(axis.spacing is not None for axis in axes):
            fields |= {
                "spacings": " ".join(repr(axis.spacing or float("nan")) for axis in axes),
                "units": " ".join(f'"{axis.unit or ""}"' for axis in axes),
                "centerings": "node node node",
                "axis mins": " ".join(repr(axis.origin) for axis in axes),
            }
        note = json.dumps({PROVENANCE: manifest.provenance(found)})  # ASCII, in one line
        lines = [f"{name}: {value}" for name, value in fields.items()]
        # A key with a value would be a warning in ParaView.
        header = "\n".join(["NRRD0005", f"# {note}", *lines, "", ""])
        _write(path, header.encode("ascii"), blocks)

    def read(self, path: Path) -> Finished:
        """Reads the shape, the type and the provenance from the header."""
        header = read_nrrd_header(path)
        check_length(str(path), path, header.offset, header.shape, header.dtype)
        note = json.loads(header.comments[0])
        return Finished(header.shape, header.dtype.newbyteorder("="), note[PROVENANCE])


class Vti(StreamedFormat):
    """The format VTI (image data of VTK).

    It is described at https://docs.vtk.org/en/latest/vtk_file_formats/vtkxml_file_format.html. The
    labels are stored as point data, and the points are the centres of the voxels. The provenance
    and the units are stored as strings in the field data.
    """

    suffixes = (".vti",)
    is_packed = False

    def write(self, path: Path, manifest: Manifest, found: Found, blocks: Blocks) -> None:
        """Writes the header, the number of bytes and then the values. The x axis varies fastest."""
        axes = manifest.geometry.stored()[::-1]
        extent = " ".join(f"0 {length - 1}" for length in manifest.stored_shape[::-1])
        spacing = " ".join(repr(axis.spacing or 1.0) for axis in axes)
        origin = " ".join(repr(axis.origin) for axis in axes)
        kind = "UInt8" if manifest.dtype == np.uint8 else "UInt16"
        units = " ".join(axis.unit or "unknown" for axis in axes)
        notes = {PROVENANCE: json.dumps({PROVENANCE: manifest.provenance(found)}), "units": units}
        texts = "".join(
            f'<Array type="String" Name={quoteattr(name)} NumberOfTuples="1" format="ascii">'
            f"{' '.join(map(str, text.encode()))} 0</Array>"
            for name, text in notes.items()
        )
        header = (
            '<?xml version="1.0"?>\n<VTKFile type="ImageData" version="1.0" '
            'byte_order="LittleEndian" header_type="UInt64">\n'
            f'<ImageData WholeExtent="{extent}" Origin="{origin}" Spacing="{spacing}">\n'
            f'<FieldData>{texts}</FieldData>\n<Piece Extent="{extent}"><PointData Scalars="labels">'
            f'<DataArray type="{kind}" Name="labels" format="appended" offset="0"/>'
            '</PointData></Piece>\n</ImageData>\n<AppendedData encoding="raw">_'
        )
        size = np.array(manifest.nbytes, "<u8").tobytes()
        _write(path, header.encode() + size, blocks, b"</AppendedData>\n</VTKFile>\n")

    def read(self, path: Path) -> Finished:
        """Reads the shape, the type and the provenance from the header."""
        header = read_vti_header(path)
        check_length(str(path), path, header.offset, header.shape, header.dtype)
        note = json.loads(header.notes[PROVENANCE])
        return Finished(header.shape, header.dtype.newbyteorder("="), note[PROVENANCE])


def _write(path: Path, header: bytes, blocks: Blocks, end: bytes = b"") -> None:
    """Writes ``header``, then the values in little-endian byte order, then ``end``."""
    with open(path, "wb") as file:
        file.write(header)
        for _, labels in blocks:
            file.write(labels.astype(labels.dtype.newbyteorder("<"), copy=False).data)
        file.write(end)
