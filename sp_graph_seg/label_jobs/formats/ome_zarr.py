"""The format OME-Zarr 0.5 for labels, see https://ngff.openmicroscopy.org/0.5.

An output is an image pyramid with the colours and names of the labels.
"""

import itertools
import math
import os
import secrets
from pathlib import Path
from typing import Any

import numpy as np

from sp_graph_seg.io.durable import remove, sync, sync_tree
from sp_graph_seg.label_jobs.base import PROVENANCE, Finished, Found, PiecewiseFormat
from sp_graph_seg.label_jobs.damage import STORED, check_zarr, count_chunks
from sp_graph_seg.label_jobs.formats.chunks import chunk_shape
from sp_graph_seg.label_jobs.formats.pyramid import Level, build_pyramid
from sp_graph_seg.label_jobs.manifest import Manifest
from sp_graph_seg.volumes.formats.zarr import open_root

CHUNK_BYTES = 16 * 2**20
_METADATA = "zarr.json"
_FULL = "0"
_CHUNKS = f"{_FULL}/c"


class OmeZarr(PiecewiseFormat):
    """The format OME-Zarr, a group of arrays.

    Array ``0`` holds the labels of all voxels. The other arrays are smaller copies. All voxels of a
    chunk that is not stored are unlabelled.
    """

    suffixes = (".zarr", ".ome.zarr")
    package = "zarr"
    is_folder = True
    may_hold_more = True

    def create(self, path: Path, manifest: Manifest) -> None:
        """Creates the group and array ``0``. Does nothing if they exist.

        If two processes do this at the same time, both use the group that was created first.
        """
        if (path / _METADATA).exists():
            return
        remove(path)  # the rest of an interrupted removal
        temporary = path.with_stem(f"creating-{secrets.token_hex(8)}")
        try:
            _create(temporary, manifest)
            sync_tree(temporary)
            os.replace(temporary, path)
            sync(path.parent)
        except OSError:
            if not (path / _METADATA).exists():  # otherwise another process was faster
                raise
        finally:
            remove(temporary)

    def write_block(
        self, path: Path, start: int, labels: np.ndarray, places: tuple[int, int, int]
    ) -> None:
        """Writes the chunks of a block. No chunk belongs to more than one block."""
        import zarr

        array = zarr.open_array(store=str(path / _FULL), mode="r+")
        along, stop = places.index(0), start + len(labels)
        array[_between(start, stop, along)] = labels.transpose(places)
        size, counts = array.chunks[along], array.cdata_shape
        numbers = [range(count) for count in counts[:along]]
        numbers.append(range(start // size, math.ceil(stop / size)))
        for chunk in itertools.product(*numbers):
            sync_tree(Path(path, _CHUNKS, *map(str, chunk)))
        if (path / _CHUNKS).exists():  # chunks without labels are not stored
            sync(path / _CHUNKS)

    def read_block(
        self, path: Path, start: int, stop: int, places: tuple[int, int, int]
    ) -> np.ndarray:
        """Reads the chunks of a block and verifies their checksums."""
        import zarr

        array = zarr.open_array(store=str(path / _FULL), mode="r")
        stored = np.asarray(array[_between(start, stop, places.index(0))])
        return np.ascontiguousarray(stored.transpose(np.argsort(places)))

    def complete(self, path: Path, manifest: Manifest, found: Found) -> None:
        """Adds the smaller arrays and the metadata, and removes leftover temporary files."""
        import zarr

        for file in (path / _CHUNKS).rglob("*"):
            if file.is_file() and not file.name.isdigit():  # a chunk's name is a number
                file.unlink()
        levels = build_pyramid(path, manifest)
        attributes = {
            "ome": _ome(manifest, found, levels),
            PROVENANCE: manifest.provenance(found),
            STORED: count_chunks(path),
        }
        temporary = path.with_stem(f"completing-{secrets.token_hex(8)}")
        try:
            zarr.create_group(store=str(temporary), attributes=attributes)
            sync_tree(temporary)
            os.replace(temporary / _METADATA, path / _METADATA)
        finally:
            remove(temporary)
        sync_tree(path)

    def read(self, path: Path) -> Finished:
        """Reads the provenance from the attributes of the group, which may be in a ZIP file."""
        group: Any = open_root(path)
        array = group[_FULL]
        provenance: Any = group.attrs[PROVENANCE]
        return Finished(array.shape, np.dtype(array.dtype), provenance)

    def check(self, path: Path) -> None:
        """Counts all chunks and reads them.

        Reading alone is not enough, because the voxels of a missing chunk read as unlabelled.
        """
        check_zarr(path)

    def has_foreign_files(self, path: Path) -> bool:
        """Returns whether the group holds files other than numbered arrays and their metadata."""
        inside = (entry.relative_to(path).parts for entry in path.rglob("*"))
        return not all(_is_own(parts) for parts in inside)


def _is_own(parts: tuple[str, ...]) -> bool:
    """Returns whether this format may write a file or folder at the path ``parts`` in the group."""
    *above, name = parts
    if name == _METADATA and len(above) < 2:
        return True
    return parts[1:2] in ((), ("c",)) and all(part.isdigit() for part in (parts[0], *parts[2:]))


def _create(path: Path, manifest: Manifest) -> None:
    """Creates the group and array ``0``, in which all voxels are unlabelled."""
    import zarr
    from zarr.codecs import ZstdCodec

    group = zarr.create_group(store=str(path))
    group.create_array(
        _FULL,
        shape=manifest.stored_shape,
        chunks=chunk_shape(manifest, CHUNK_BYTES),
        dtype=manifest.dtype,
        fill_value=manifest.unlabelled,
        compressors=ZstdCodec(level=3, checksum=True),
        dimension_names=tuple(manifest.geometry.order),
    )


def _ome(manifest: Manifest, found: Found, levels: list[Level]) -> dict[str, Any]:
    """Returns the OME metadata, see https://ngff.openmicroscopy.org/0.5/#multiscale-md."""
    axes = []
    for axis in manifest.geometry.stored():
        about = {"name": axis.name, "type": "time" if axis.name == "t" else "space"}
        axes.append(about | ({} if axis.unit is None else {"unit": axis.unit}))
    datasets = []
    for number, level in enumerate(levels):
        scale = {"type": "scale", "scale": [axis.spacing or 1.0 for axis in level.axes]}
        shift = {"type": "translation", "translation": [axis.origin for axis in level.axes]}
        datasets.append({"path": str(number), "coordinateTransformations": [scale, shift]})
    image = {"name": "labels", "axes": axes, "datasets": datasets}
    described = {"version": "0.5", "multiscales": [image]}
    if manifest.labels is None:
        return described
    colors: list[dict[str, Any]] = [{"label-value": manifest.unlabelled, "rgba": [0, 0, 0, 0]}]
    names: list[dict[str, Any]] = [{"label-value": manifest.unlabelled, "name": "unlabelled"}]
    for entry in manifest.legend(found.used):
        number, rgb = entry["label"], bytes.fromhex(entry["color"][1:])
        colors.append({"label-value": number, "rgba": [*rgb, 255]})
        names.append({"label-value": number, "name": entry.get("name", f"label {number}")})
    image["type"] = "mode of 2 x 2 x 2"
    return described | {"image-label": {"colors": colors, "properties": names}}


def _between(start: int, stop: int, along: int) -> tuple[slice, ...]:
    """Returns the index of the range from ``start`` to ``stop - 1`` along the axis ``along``."""
    return (*[slice(None)] * along, slice(start, stop))
