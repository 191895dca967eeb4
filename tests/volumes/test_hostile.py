"""Inputs that would not end, read what is not theirs, or take all memory, are refused by name."""

import os
import struct

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from sp_graph_seg.datasets.bsds300 import read_seg
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import read_image, read_labels
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.volumes import open_volume


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are of POSIX")
@pytest.mark.parametrize("read", [open_volume, read_image, read_labels])
def test_pipes_and_devices(read, tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for path in (tmp_path / "a.png", "/dev/zero"):
        with pytest.raises(InputError, match="is a pipe or a device; write its contents to a file"):
            read(path)


def test_hdf5_whose_values_lie_in_any_file(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(2 * 8 * 8))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        where = [(str(tmp_path / "secret"), 0, 128)]
        file.create_dataset("data", shape=(2, 8, 8), dtype="u1", external=where)
    with pytest.raises(InputError, match=r"a\.h5: stores the values of /data in .*secret"):
        open_volume(tmp_path / "a.h5")


def test_chunks_that_no_memory_holds(tmp_path):
    zarr.create_array(
        tmp_path / "a.zarr", shape=(2, 200_000, 200_000), chunks=(1, 200_000, 200_000), dtype="u1"
    )
    with pytest.raises(InputError, match=r"a\.zarr: 40,000,000,000 bytes in a chunk"):
        open_volume(tmp_path / "a.zarr", axes="zyx")


def test_npy_whose_size_does_not_fit_64_bits(tmp_path):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 2), }"
    header = header.ljust(117) + "\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    (tmp_path / "a.npy").write_bytes(start + bytes(100))
    with pytest.raises(InputError, match="is cut off"):
        open_volume(tmp_path / "a.npy", axes="zyx")


@pytest.mark.parametrize(
    ("width", "reason"), [(4_000_000, "above the limit"), (-4, r"\(-4 x 4000 pixels\)")]
)
def test_sizes_of_seg_files(width, reason, tmp_path):
    (tmp_path / "a.seg").write_text(f"width {width}\nheight 4000\nsegments 1\ndata\n")
    with pytest.raises(InputError, match=reason):
        read_seg(tmp_path / "a.seg")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("read", [open_volume, read_image, read_labels])
def test_a_tiff_whose_pages_form_a_circle(read, order, tmp_path):
    magic = b"II*\0" if order == "<" else b"MM\0*"
    pages = [struct.pack(f"{order}HI", 0, 14), struct.pack(f"{order}HI", 0, 8)]
    (tmp_path / "a.tif").write_bytes(magic + struct.pack(f"{order}I", 8) + b"".join(pages))
    with pytest.raises(InputError, match=r"a\.tif: is damaged, because page 2 leads back"):
        read(tmp_path / "a.tif")


def test_a_radius_beyond_the_image_is_the_whole_image():
    labels = np.array([[1, 1, 1, 2], [1, 1, 3, 3]])
    assert (Relabel(smooth=10**9).apply(labels) == 1).all()


@pytest.mark.parametrize("read", [read_image, read_labels])
def test_a_tiff_with_fewer_strips_than_rows(read, tmp_path):
    """A decoder puts zeros for each of the strips that are missing."""
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 8), np.uint8), compression="zlib")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    length = struct.pack("<HHI", 257, 4, 1)  # ImageLength, unsigned, one value
    at = data.index(length) + len(length) if length in data else data.index(b"\x01\x01\x03\0") + 8
    data[at : at + 2] = struct.pack("<H", 60_000)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.tif: is damaged, because it has only 1 of 7500"):
        read(tmp_path / "a.tif")
