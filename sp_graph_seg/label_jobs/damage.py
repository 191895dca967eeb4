"""Reads finished outputs completely to find damage.

If an output is damaged, an exception of any type is raised.
"""

from pathlib import Path
from typing import Any

#: The attribute of a finished Zarr group that tells how many chunks its arrays store.
STORED = "sp_graph_seg_chunks"


def count_chunks(path: Path) -> int:
    """Counts the stored chunks of all arrays in a Zarr group.

    The names of the files that hold chunks are numbers.
    """
    files = path.glob("[0-9]*/c/**/*")
    return sum(file.is_file() and file.name.isdigit() for file in files)


def check_zarr(path: Path) -> None:
    """Verifies the number of chunks in a Zarr group and the checksums of the chunks.

    The expected number is stored in the attributes of the group.
    """
    import zarr

    group = zarr.open_group(store=str(path), mode="r")
    if count_chunks(path) != group.attrs[STORED]:
        raise ValueError(
            f"{path}: holds more or fewer chunks than expected; write the labels again"
        )
    image: Any = group.attrs["ome"]
    for level in image["multiscales"][0]["datasets"]:
        _read_all(group[level["path"]])


def check_hdf5(path: Path, name: str | None) -> None:
    """Reads all chunks of a dataset to verify their checksums."""
    import h5py

    with h5py.File(path, "r") as file:
        _read_all(file[name])


def check_tiff(path: Path) -> None:
    """Reads all pages of a TIFF to verify their checksums."""
    from tifffile import TiffFile

    with TiffFile(path) as tif:
        for page in tif.series[0].pages:
            _ = page.asarray()


def check_pngs(path: Path) -> None:
    """Verifies the checksums of all PNGs in a folder."""
    from PIL import Image

    for file in path.glob("*.png"):
        with Image.open(file) as image:
            image.verify()


def _read_all(array: Any) -> None:
    """Reads a whole array in slabs, each as thick as one chunk."""
    for start in range(0, array.shape[0], array.chunks[0]):
        _ = array[start : start + array.chunks[0]]
