"""The TIFF formats for labels, one for ImageJ and Fiji and one with OME metadata."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from sp_graph_seg.label_jobs.base import PROVENANCE, Blocks, Finished, Found, StreamedFormat
from sp_graph_seg.label_jobs.damage import check_tiff
from sp_graph_seg.label_jobs.manifest import Manifest
from sp_graph_seg.volumes.geometry import REFERENCE_FRAME

# Classic TIFF is limited to 4 GiB, and the compressed size is not known in advance.
CLASSIC_BYTES = 2**32 - 2**25


class ImageJTiff(StreamedFormat):
    """A TIFF for ImageJ and Fiji, with one page for each slice, colours and the voxel size.

    Above 4 GiB, the file is a BigTIFF with OME metadata, which Fiji can also read. The provenance
    is stored in the text that ImageJ shows as "Info". In a file with OME metadata, it is stored in
    the description of the image.
    """

    suffixes = (".tif", ".tiff")

    def write(self, path: Path, manifest: Manifest, found: Found, blocks: Blocks) -> None:
        """Writes one page for each index along the first axis."""
        from tifffile import TiffWriter

        is_large, is_ome = manifest.nbytes > CLASSIC_BYTES, self._is_ome(manifest)
        kind = {"ome": True, "bigtiff": is_large} if is_ome else {"imagej": True}
        describe = _ome if is_ome else _imagej
        with TiffWriter(path, **kind) as tif:
            tif.write(
                (page for _, labels in blocks for page in labels),
                shape=manifest.stored_shape,
                dtype=manifest.dtype,
                compression="zlib",
                **_colours(manifest, found),
                **describe(manifest, found),
            )

    def read(self, path: Path) -> Finished:
        """Reads the provenance from the metadata of the file."""
        from tifffile import TiffFile

        with TiffFile(path) as tif:
            series = tif.series[0]
            if tif.is_imagej:
                note = tif.imagej_metadata["Info"]
            else:
                note = ElementTree.fromstring(tif.ome_metadata).findtext(".//{*}Description")
            shape = (1,) * (3 - len(series.shape)) + series.shape  # of one slice, it has two axes
            return Finished(shape, np.dtype(series.dtype), json.loads(note)[PROVENANCE])

    def check(self, path: Path) -> None:
        """Decompresses all pages to verify their checksums."""
        check_tiff(path)

    def _is_ome(self, manifest: Manifest) -> bool:
        """Also if slices are one pixel wide, which tifffile takes for samples of ImageJ pixels."""
        return manifest.nbytes > CLASSIC_BYTES or manifest.stored_shape[2] == 1


class OmeTiff(ImageJTiff):
    """A TIFF with OME metadata (OME-XML), for Bio-Formats and QuPath."""

    suffixes = (".ome.tif", ".ome.tiff")

    def _is_ome(self, manifest: Manifest) -> bool:
        return True


def _colours(manifest: Manifest, found: Found) -> dict[str, Any]:
    """Returns the options of `tifffile` that set the colours of the labels.

    8-bit labels get a palette. 16-bit labels are written as grey values, because a palette would
    add 400 kB to each page.
    """
    if manifest.dtype != np.uint8 or manifest.labels is None:
        return {"photometric": "minisblack"}
    palette = np.zeros((3, 256), np.uint16)
    for entry in manifest.legend(found.used):
        rgb = np.array([*bytes.fromhex(entry["color"][1:])], np.uint16)
        palette[:, entry["label"]] = 257 * rgb  # to 16 bits
    return {"photometric": "palette", "colormap": palette}


def _imagej(manifest: Manifest, found: Found) -> dict[str, Any]:
    """Returns the metadata of an ImageJ stack. `volumes.spacing.imagej_axes` reads them."""
    slices, y, x = manifest.geometry.stored()
    metadata = {
        "axes": manifest.geometry.order.upper(),
        "min": 0.0,
        "max": float(max(found.used, default=manifest.unlabelled)),
        "Info": json.dumps({PROVENANCE: manifest.provenance(found)}),
    }
    if manifest.dtype == np.uint8:
        metadata["max"] = 255.0  # the whole palette
    if slices.name == "t" and slices.spacing is not None:
        metadata |= {"finterval": slices.spacing, "tunit": "sec"}
    if y.spacing is None or x.spacing is None:
        return {"metadata": metadata}
    metadata["unit"] = "um" if x.unit else REFERENCE_FRAME
    for axis in (slices, y, x):
        if axis.name != "t" and axis.spacing is not None and axis.origin:
            metadata[f"{axis.name}origin"] = -axis.origin / axis.spacing
    if slices.name == "z" and slices.spacing is not None:
        metadata["spacing"] = slices.spacing
    return {"resolution": (1 / x.spacing, 1 / y.spacing), "metadata": metadata}


def _ome(manifest: Manifest, found: Found) -> dict[str, Any]:
    """Returns the OME metadata. `volumes.spacing.ome_axes` reads them."""
    slices, y, x = manifest.geometry.stored()
    metadata: dict[str, Any] = {
        "axes": manifest.geometry.order.upper(),
        "Name": "labels",
        "Description": json.dumps({PROVENANCE: manifest.provenance(found)}),
    }
    if slices.name == "t" and slices.spacing is not None:
        metadata |= {"TimeIncrement": slices.spacing, "TimeIncrementUnit": "s"}
    count, plane = manifest.stored_shape[0], {}
    for axis in (slices, y, x):
        if axis.name == "t" or axis.spacing is None:
            continue
        letter, unit = axis.name.upper(), "µm" if axis.unit else REFERENCE_FRAME
        metadata |= {f"PhysicalSize{letter}": axis.spacing, f"PhysicalSize{letter}Unit": unit}
        steps = axis.spacing * np.arange(count) if axis is slices else np.zeros(count)
        plane[f"Position{letter}"] = (axis.origin + steps).tolist()
        plane[f"Position{letter}Unit"] = [unit] * count
    return {"metadata": metadata | ({"Plane": plane} if plane else {})}
