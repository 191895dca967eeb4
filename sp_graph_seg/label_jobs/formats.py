"""The five formats of a finished output: streaming in, and the record back out."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sp_graph_seg.label_jobs.late_failure import late_failure
from sp_graph_seg.label_jobs.manifest import Manifest
from sp_graph_seg.label_jobs.outputs import Kind

RECORD = "sp_graph_seg"
ZARR_CHUNK_BYTES = 16 * 2**20
HDF5_CHUNK_BYTES = 2**20  # what HDF5 keeps in memory of a dataset, unless told otherwise
MAX_CHUNK_SIDE = 1024
# zlib's Z_RLE. Measured on labels of 512 x 512 pixels: as small as by default, in a fourth of the
# time (8 against 28 ms).
RUN_LENGTHS = 3

Blocks = Iterator[tuple[int, np.ndarray]]
"""Number of the first slice and labels ``(n, H, W)`` of each block, in order."""


class Finished(NamedTuple):
    """What a finished output says about itself.

    Attributes:
        shape: ``(S, H, W)``.
        dtype: The type of its labels.
        record: `Manifest.record`.
        dataset: The dataset in an HDF5 file.
        names: The stems of the PNGs in a folder, sorted.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    record: dict[str, Any]
    dataset: str | None = None
    names: list[str] | None = None


def chunk_shape(manifest: Manifest, max_bytes: int) -> tuple[int, int, int]:
    """Chunks of about max_bytes whose slices divide a block, so that each is written once."""
    _, *sides = manifest.shape
    height, width = (math.ceil(n / math.ceil(n / MAX_CHUNK_SIDE)) for n in sides)
    room = max(1, max_bytes // (height * width * manifest.dtype.itemsize))
    slices = max(n for n in range(1, min(manifest.block, room) + 1) if manifest.block % n == 0)
    return slices, height, width


def slice_names(manifest: Manifest) -> list[str]:
    """The stems of the PNGs in a folder, in the order of the slices."""
    if manifest.names is not None:
        return list(manifest.names)
    count = manifest.shape[0]
    digits = max(4, len(str(count - 1)))
    return [f"{number:0{digits}}" for number in range(count)]


def write_zarr(path: Path, manifest: Manifest, skipped: Mapping[int, str], blocks: Blocks) -> None:
    """Write a Zarr v3 array at the root of a folder; a lost chunk would read as unlabelled."""
    import zarr
    from zarr.codecs import ZstdCodec

    array = zarr.create_array(
        store=str(path),
        shape=manifest.shape,
        chunks=chunk_shape(manifest, ZARR_CHUNK_BYTES),
        dtype=manifest.dtype,
        fill_value=manifest.unlabelled,
        compressors=ZstdCodec(level=3, checksum=True),
        dimension_names=(manifest.axis, "y", "x"),
        attributes={RECORD: manifest.record(skipped)},
    )
    for start, labels in blocks:
        array[start : start + len(labels)] = labels


def read_zarr(path: Path) -> Finished:
    """Read the record of a Zarr array."""
    import zarr

    array = zarr.open_array(store=str(path), mode="r")
    record: Any = array.attrs[RECORD]
    return Finished(array.shape, np.dtype(array.dtype), record)


def write_tiff(path: Path, manifest: Manifest, skipped: Mapping[int, str], blocks: Blocks) -> None:
    """Write one page a slice; the record is JSON in the description of the first page."""
    from tifffile import TiffWriter

    # Classic TIFF ends at 4 GiB, and how far labels shrink is not known before.
    with TiffWriter(path, bigtiff=manifest.nbytes > 2**32 - 2**25) as tif:
        tif.write(
            (page for _, labels in blocks for page in labels),
            shape=manifest.shape,
            dtype=manifest.dtype,
            photometric="minisblack",
            compression="zlib",
            metadata={
                "axes": f"{manifest.axis.upper()}YX",
                RECORD: manifest.record(skipped),
            },
        )


def read_tiff(path: Path) -> Finished:
    """Read the record of a TIFF."""
    from tifffile import TiffFile

    with TiffFile(path) as tif:
        series = tif.series[0]
        return Finished(series.shape, np.dtype(series.dtype), tif.shaped_metadata[0][RECORD])


def write_hdf5(path: Path, manifest: Manifest, skipped: Mapping[int, str], blocks: Blocks) -> None:
    """Write one chunked dataset; the record is JSON in one of its attributes."""
    import h5py

    # An attribute of more than 64 KiB, as many skipped slices make, needs the format of HDF5 1.8.
    with late_failure(path) as raw, h5py.File(raw, "w", libver=("v108", "latest")) as file:
        dataset = file.create_dataset(
            manifest.dataset,
            shape=manifest.shape,
            dtype=manifest.dtype,
            chunks=chunk_shape(manifest, HDF5_CHUNK_BYTES),
            compression="gzip",
            fillvalue=manifest.unlabelled,
        )
        for dimension, name in zip(dataset.dims, (manifest.axis, "y", "x"), strict=True):
            dimension.label = name
        dataset.attrs[RECORD] = json.dumps(manifest.record(skipped))
        for start, labels in blocks:
            dataset[start : start + len(labels)] = labels
            raw.tell_failure()


def read_hdf5(path: Path) -> Finished:
    """Read the record of the one dataset of an HDF5 file."""
    import h5py

    names: list[str] = []
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        (name,) = names
        dataset = file[name]
        record = json.loads(dataset.attrs[RECORD])
        return Finished(dataset.shape, dataset.dtype, record, dataset=dataset.name)


def write_npy(path: Path, manifest: Manifest, _: Mapping[int, str], blocks: Blocks) -> None:
    """Write one NumPy array, which has no room for a record."""
    header = {
        "descr": np.lib.format.dtype_to_descr(manifest.dtype),
        "fortran_order": False,
        "shape": manifest.shape,
    }
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _start, labels in blocks:
            file.write(labels.data)


def read_npy(path: Path) -> Finished:
    """Refuse: a .npy file holds no record."""
    raise ValueError(f"{path} holds no record")


def write_folder(
    path: Path, manifest: Manifest, skipped: Mapping[int, str], blocks: Blocks
) -> None:
    """Write a one-channel PNG for each slice; the record is JSON in a text chunk of each."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    names = slice_names(manifest)
    path.mkdir()
    for start, block in blocks:
        for number, labels in enumerate(block, start):
            here = {number: skipped[number]} if number in skipped else {}
            info = PngInfo()
            info.add_text(RECORD, json.dumps(manifest.record(here)))
            file = path / f"{names[number]}.png"
            Image.fromarray(labels).save(file, pnginfo=info, compress_type=RUN_LENGTHS)


def read_folder(path: Path) -> Finished:
    """Read the records of a folder of PNGs that holds nothing else."""
    from PIL import Image

    files = sorted(path.iterdir())
    sizes, modes, skipped = set(), set(), {}
    for file in files:
        if file.suffix != ".png":
            raise ValueError(f"{file} is no PNG")
        with Image.open(file) as image:
            record = json.loads(image.info[RECORD])
            sizes.add(image.size)
            modes.add(image.mode)
        skipped.update(record["skipped"])
    ((width, height),), (mode,) = sizes, modes
    dtype = np.dtype(np.uint8 if mode == "L" else np.uint16)
    names = [file.stem for file in files]
    return Finished((len(files), height, width), dtype, record | {"skipped": skipped}, names=names)


Writer = Callable[[Path, Manifest, Mapping[int, str], Blocks], None]
Reader = Callable[[Path], Finished]

WRITERS: dict[Kind, Writer] = {
    "zarr": write_zarr,
    "tiff": write_tiff,
    "hdf5": write_hdf5,
    "npy": write_npy,
    "folder": write_folder,
}
READERS: dict[Kind, Reader] = {
    "zarr": read_zarr,
    "tiff": read_tiff,
    "hdf5": read_hdf5,
    "npy": read_npy,
    "folder": read_folder,
}
