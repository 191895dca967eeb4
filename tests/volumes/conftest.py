"""Writers of tiny files, one for each way to store the same volume."""

import av
import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image


def _write_folder(folder, array, suffix):
    folder.mkdir()
    for number, image in enumerate(array):
        picture = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
        # Without leading zeros: natural order, not that of the alphabet.
        Image.fromarray(picture).save(folder / f"slice {number + 8}.{suffix}")
    return folder


def _write_hdf5(path, array, chunks=None):
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data", data=array, chunks=chunks)
    return path


def _write_zarr(path, array, version, chunks):
    stored = zarr.create_array(
        path, shape=array.shape, dtype=array.dtype, chunks=chunks, zarr_format=version
    )
    stored[:] = array
    return path


def _write_npy(path, array):
    np.save(path, array)
    return path


def _write_tiff(path, array, **options):
    colours = {1: "minisblack", 3: "rgb"}[array.shape[-1] if array.ndim == 4 else 1]
    tifffile.imwrite(path, array, photometric=colours, **options)
    return path


def write_video(
    path, array, codec="ffv1", pixels="bgr0", options=None, rate=10, stamps=None, container=None
):
    """Encode ``(n, C, H, W)``; ffv1 in bgr0 or gray loses nothing."""
    source = "gray" if array.shape[1] == 1 else "rgb24"
    with av.open(str(path), "w", container_options=container or {}) as file:
        stream = file.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = array.shape[2:]
        stream.pix_fmt = pixels
        stream.codec_context.thread_count = 1  # on a busy machine encoders with threads aborted
        for number, image in enumerate(array):
            picture = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=source)
            frame.pts = number if stamps is None else stamps[number]
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


#: How to write ``(Z, 1, Y, X)``, and which axes the user must give.
GREY = {
    "plain.tif": lambda p, a: _write_tiff(p, a[:, 0], metadata=None),
    "shaped.tif": lambda p, a: _write_tiff(p, a[:, 0]),
    "zlib.tif": lambda p, a: _write_tiff(p, a[:, 0], compression="zlib", metadata=None),
    "tiled.tif": lambda p, a: _write_tiff(p, a[:, 0], tile=(16, 16), compression="lzw"),
    "big.tif": lambda p, a: _write_tiff(p, a[:, 0], bigtiff=True, byteorder=">"),
    "imagej.tif": lambda p, a: _write_tiff(p, a[:, 0], imagej=True, metadata={"axes": "ZYX"}),
    "a.ome.tif": lambda p, a: _write_tiff(p, a[:, 0], ome=True, metadata={"axes": "ZYX"}),
    "png": lambda p, a: _write_folder(p, a, "png"),
    "tif": lambda p, a: _write_folder(p, a, "tif"),
    "plain.h5": lambda p, a: _write_hdf5(p, a[:, 0]),
    "chunked.nxs": lambda p, a: _write_hdf5(p, a[:, 0], chunks=(2, 4, 8)),
    "2.zarr": lambda p, a: _write_zarr(p, a[:, 0], 2, (2, 4, 8)),
    "3.zarr": lambda p, a: _write_zarr(p, a[:, 0], 3, (2, 4, 8)),
    "a.npy": lambda p, a: _write_npy(p, a[:, 0]),
    "fortran.npy": lambda p, a: _write_npy(p, np.asfortranarray(a[:, 0])),
    "grey.mkv": lambda p, a: write_video(p, a, pixels="gray"),
}
#: The same for ``(Z, 3, Y, X)``.
COLOUR = {
    "rgb.tif": (lambda p, a: _write_tiff(p, np.moveaxis(a, 1, -1), metadata=None), None),
    "shaped rgb.tif": (lambda p, a: _write_tiff(p, np.moveaxis(a, 1, -1)), None),
    "zlib rgb.tif": (lambda p, a: _write_tiff(p, np.moveaxis(a, 1, -1), compression="zlib"), None),
    "hyper.tif": (
        lambda p, a: tifffile.imwrite(p, a, imagej=True, metadata={"axes": "ZCYX"}) or p,
        None,
    ),
    "rgb png": (lambda p, a: _write_folder(p, a, "png"), None),
    "rgb.mkv": (write_video, None),
    "zcyx.h5": (_write_hdf5, "zcyx"),
    "tyxc.zarr": (lambda p, a: _write_zarr(p, np.moveaxis(a, 1, -1), 3, (2, 5, 5, 3)), "tyxc"),
    "yxzc.npy": (lambda p, a: _write_npy(p, a.transpose(2, 3, 0, 1)), "yxzc"),
}


@pytest.fixture(scope="session")
def stored(tmp_path_factory):
    """Every way to store a volume: name -> (path, axes to give, the values ``(Z, C, Y, X)``)."""
    folder = tmp_path_factory.mktemp("stored")
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (6, 1, 18, 23), np.uint8)
    colour = rng.integers(0, 256, (6, 3, 18, 23), np.uint8)
    files = {name: (write(folder / name, grey), None, grey) for name, write in GREY.items()}
    for name, (write, axes) in COLOUR.items():
        files[name] = write(folder / name, colour), axes, colour
    return files


@pytest.fixture(scope="session")
def video():
    return write_video


def pytest_generate_tests(metafunc):
    if "stored_kind" in metafunc.fixturenames:
        metafunc.parametrize("stored_kind", [*GREY, *COLOUR])
