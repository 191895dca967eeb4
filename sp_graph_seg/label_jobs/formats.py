"""The formats of finished outputs. To add one, write a class and list it in FORMATS."""

import itertools
import json
import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sp_graph_seg.io.durable import LateFailure, remove, sync, sync_tree
from sp_graph_seg.label_jobs.base import (
    PROVENANCE,
    Blocks,
    Finished,
    Format,
    PiecewiseFormat,
    StreamedFormat,
)
from sp_graph_seg.label_jobs.damage import (
    STORED,
    check_hdf5,
    check_pngs,
    check_tiff,
    check_zarr,
    count_chunks,
)
from sp_graph_seg.label_jobs.manifest import Manifest

ZARR_CHUNK_BYTES = 16 * 2**20
HDF5_CHUNK_BYTES = 2**20  # the default size of the chunk cache of HDF5
MAX_CHUNK_SIDE = 1024
# zlib's Z_RLE. Measured on labels of 512 x 512 pixels: as small as with the default, in a fourth of
# the time (8 instead of 28 ms).
RUN_LENGTHS = 3


class Zarr(PiecewiseFormat):
    """A Zarr v3 array at the root of a folder. A missing chunk reads as unlabelled."""

    suffixes = (".zarr",)
    package = "zarr"
    is_folder = True
    may_hold_more = True
    _METADATA = "zarr.json"
    _CHUNKS = "c"

    def create(self, path: Path, manifest: Manifest) -> None:
        """Creates the array. If two processes do so, both use the first one."""
        if (path / self._METADATA).exists():
            return
        remove(path)  # the rest of an interrupted removal
        temporary = path.with_stem(f"creating-{secrets.token_hex(8)}")
        try:
            self._write_metadata(temporary, manifest, {})
            sync_tree(temporary)
            os.replace(temporary, path)
            sync(path.parent)
        except OSError:
            if not (path / self._METADATA).exists():  # otherwise another process was faster
                raise
        finally:
            remove(temporary)

    def write_block(
        self, path: Path, start: int, labels: np.ndarray, places: tuple[int, int, int]
    ) -> None:
        """Writes the chunks of a block. No chunk belongs to two blocks."""
        import zarr

        array = zarr.open_array(store=str(path), mode="r+")
        along, stop = places.index(0), start + len(labels)
        array[_between(start, stop, along)] = labels.transpose(places)
        size, counts = array.chunks[along], array.cdata_shape
        numbers = [range(count) for count in counts[:along]]
        numbers.append(range(start // size, math.ceil(stop / size)))
        for chunk in itertools.product(*numbers):
            sync_tree(Path(path, self._CHUNKS, *map(str, chunk)))
        if (path / self._CHUNKS).exists():  # chunks without labels are not stored
            sync(path / self._CHUNKS)

    def read_block(
        self, path: Path, start: int, stop: int, places: tuple[int, int, int]
    ) -> np.ndarray:
        """Reads the chunks of a block, and verifies the checksums of Zstandard."""
        import zarr

        array = zarr.open_array(store=str(path), mode="r")
        stored = np.asarray(array[_between(start, stop, places.index(0))])
        return np.ascontiguousarray(stored.transpose(np.argsort(places)))

    def complete(self, path: Path, manifest: Manifest, skipped: Mapping[int, str]) -> None:
        """Replaces the metadata by metadata with the provenance."""
        temporary = path.with_stem(f"completing-{secrets.token_hex(8)}")
        try:
            for file in (path / self._CHUNKS).rglob("*"):
                if file.is_file() and not file.name.isdigit():  # a chunk's name is a number
                    file.unlink()
            attributes = {PROVENANCE: manifest.provenance(skipped), STORED: count_chunks(path)}
            self._write_metadata(temporary, manifest, attributes)
            sync_tree(temporary)
            os.replace(temporary / self._METADATA, path / self._METADATA)
        finally:
            remove(temporary)
        sync(path)

    def read(self, path: Path) -> Finished:
        """Reads the provenance from the attributes."""
        import zarr

        array = zarr.open_array(store=str(path), mode="r")
        provenance: Any = array.attrs[PROVENANCE]
        return Finished(array.shape, np.dtype(array.dtype), provenance)

    def check(self, path: Path) -> None:
        """Counts the chunks, because a missing one reads as unlabelled, and reads all of them."""
        check_zarr(path)

    def has_foreign_files(self, path: Path) -> bool:
        """Tells whether there is more than the metadata and chunks, whose names are numbers."""
        own = {self._METADATA, self._CHUNKS}
        names = [entry.name for entry in (path / self._CHUNKS).rglob("*")]
        is_foreign = any(entry.name not in own for entry in path.iterdir())
        return is_foreign or not all(name.isdigit() for name in names)

    def _write_metadata(self, path: Path, manifest: Manifest, attributes: dict[str, Any]) -> None:
        import zarr
        from zarr.codecs import ZstdCodec

        zarr.create_array(
            store=str(path),
            shape=manifest.stored_shape,
            chunks=chunk_shape(manifest, ZARR_CHUNK_BYTES),
            dtype=manifest.dtype,
            fill_value=manifest.unlabelled,
            compressors=ZstdCodec(level=3, checksum=True),
            dimension_names=tuple(manifest.geometry.order),
            attributes=attributes,
        )


class Tiff(StreamedFormat):
    """One page for each slice. The provenance is JSON in the description of the first page."""

    suffixes = (".tif", ".tiff")

    def write(
        self, path: Path, manifest: Manifest, skipped: Mapping[int, str], blocks: Blocks
    ) -> None:
        """Writes all pages."""
        from tifffile import TiffWriter

        # Classic TIFF is limited to 4 GiB, and the compressed size is not known in advance.
        with TiffWriter(path, bigtiff=manifest.nbytes > 2**32 - 2**25) as tif:
            tif.write(
                (page for _, labels in blocks for page in labels),
                shape=manifest.stored_shape,
                dtype=manifest.dtype,
                photometric="minisblack",
                compression="zlib",
                metadata={
                    "axes": manifest.geometry.order.upper(),
                    PROVENANCE: manifest.provenance(skipped),
                },
            )

    def read(self, path: Path) -> Finished:
        """Reads the description of the first page."""
        from tifffile import TiffFile

        with TiffFile(path) as tif:
            series = tif.series[0]
            return Finished(
                series.shape, np.dtype(series.dtype), tif.shaped_metadata[0][PROVENANCE]
            )

    def check(self, path: Path) -> None:
        """Decompresses all pages, which verifies their checksums."""
        check_tiff(path)


class Hdf5(StreamedFormat):
    """One chunked dataset. The provenance is JSON in one of its attributes."""

    suffixes = (".h5", ".hdf5", ".nxs")
    package = "h5py"
    may_hold_more = True
    dataset = "/labels"
    keeps_order = True

    def write(
        self, path: Path, manifest: Manifest, skipped: Mapping[int, str], blocks: Blocks
    ) -> None:
        """Writes the dataset into a new file."""
        import h5py

        # With many skipped slices, the attribute may exceed 64 KiB, which requires the format of
        # HDF5 1.8.
        with (
            LateFailure(path, "w+") as raw,
            h5py.File(raw, "w", libver=("v108", "latest")) as file,
        ):
            dataset = file.create_dataset(
                manifest.dataset,
                shape=manifest.stored_shape,
                dtype=manifest.dtype,
                chunks=chunk_shape(manifest, HDF5_CHUNK_BYTES),
                compression="gzip",
                fillvalue=manifest.unlabelled,
            )
            for dimension, name in zip(dataset.dims, manifest.geometry.order, strict=True):
                dimension.label = name
            dataset.attrs[PROVENANCE] = json.dumps(manifest.provenance(skipped))
            for start, labels in blocks:
                dataset[start : start + len(labels)] = labels
                raw.tell_failure()

    def read(self, path: Path) -> Finished:
        """Reads the provenance of the only dataset of a file."""
        import h5py

        names: list[str] = []
        with h5py.File(path, "r") as file:
            file.visititems(
                lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
            )
            (name,) = names
            dataset = file[name]
            provenance = json.loads(dataset.attrs[PROVENANCE])
            return Finished(dataset.shape, dataset.dtype, provenance, dataset.name)

    def check(self, path: Path) -> None:
        """Decompresses all chunks, which verifies their checksums."""
        check_hdf5(path, self.read(path).dataset)


class Npy(StreamedFormat):
    """One NumPy array, without provenance."""

    suffixes = (".npy",)
    is_packed = False
    keeps_provenance = False
    keeps_order = True

    def write(self, path: Path, manifest: Manifest, _: Mapping[int, str], blocks: Blocks) -> None:
        """Writes the array."""
        header = {
            "descr": np.lib.format.dtype_to_descr(manifest.dtype),
            "fortran_order": False,
            "shape": manifest.stored_shape,
        }
        with open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for _start, labels in blocks:
                file.write(labels.data)

    def read(self, path: Path) -> Finished:
        """Raises an error, because the format stores no provenance."""
        raise ValueError(f"{path} stores no provenance")


class Pngs(StreamedFormat):
    """A folder with a one-channel PNG for each slice. Each has the provenance in a text chunk."""

    is_folder = True
    may_hold_more = True

    def write(
        self, path: Path, manifest: Manifest, skipped: Mapping[int, str], blocks: Blocks
    ) -> None:
        """Writes a file for each index along the first axis, named by its number."""
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        names = slice_names(manifest.stored_shape[0])
        are_slices = manifest.geometry.places[0] == 0
        path.mkdir()
        for start, block in blocks:
            for number, labels in enumerate(block, start):
                here = {n: why for n, why in skipped.items() if n == number or not are_slices}
                info = PngInfo()
                info.add_text(PROVENANCE, json.dumps(manifest.provenance(here)))
                file = path / f"{names[number]}.png"
                Image.fromarray(labels).save(file, pnginfo=info, compress_type=RUN_LENGTHS)

    def read(self, path: Path) -> Finished:
        """Reads the provenance of all slices. The folder must hold nothing else."""
        from PIL import Image

        files = sorted(path.iterdir())
        if [file.name for file in files] != [f"{name}.png" for name in slice_names(len(files))]:
            raise ValueError(f"{path} does not hold exactly the slices")
        sizes, modes, skipped = set(), set(), {}
        for file in files:
            with Image.open(file) as image:
                provenance = json.loads(image.info[PROVENANCE])
                sizes.add(image.size)
                modes.add(image.mode)
            skipped.update(provenance["skipped"])
        ((width, height),), (mode,) = sizes, modes
        dtype = np.dtype(np.uint8 if mode == "L" else np.uint16)
        return Finished((len(files), height, width), dtype, provenance | {"skipped": skipped})

    def check(self, path: Path) -> None:
        """Verifies the checksums in all files."""
        check_pngs(path)


PNGS = Pngs()
FORMATS: tuple[Format, ...] = (Zarr(), Tiff(), Hdf5(), Npy(), PNGS)


def chunk_shape(manifest: Manifest, max_bytes: int) -> tuple[int, int, int]:
    """Returns the shape of chunks of about max_bytes, a whole number of them in each block."""
    _, *sides = manifest.shape
    height, width = (math.ceil(n / math.ceil(n / MAX_CHUNK_SIDE)) for n in sides)
    room = max(1, max_bytes // (height * width * manifest.dtype.itemsize))
    slices = max(n for n in range(1, min(manifest.block, room) + 1) if manifest.block % n == 0)
    first, second, third = ((slices, height, width)[place] for place in manifest.geometry.places)
    return first, second, third


def _between(start: int, stop: int, along: int) -> tuple[slice, ...]:
    """Returns the index of a range along one axis."""
    return (*[slice(None)] * along, slice(start, stop))


def slice_names(count: int) -> list[str]:
    """Returns the stems of the PNGs in a folder, which sort like the slices."""
    digits = max(4, len(str(count - 1)))
    return [f"{number:0{digits}}" for number in range(count)]
