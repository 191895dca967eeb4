"""Valid files of every format that is read, another one for each seed, and how they are read."""

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import tifffile
import torch
import zarr
from PIL import Image

from sp_graph_seg import Segmenter
from sp_graph_seg.config import Config, config_to_yaml, read_config
from sp_graph_seg.datasets.bsds300 import read_truth
from sp_graph_seg.io import read_image, read_labels
from sp_graph_seg.labels.relabel import read_relabel
from sp_graph_seg.segmenter.model_file import read_model, write_model
from sp_graph_seg.volumes import open_volume

SHAPE = (5, 24, 20)
BYTES = np.random.default_rng(0).integers(0, 255, (*SHAPE, 4)).astype(np.uint8)

#: Values that a hostile writer would try in place of any other.
STRANGE: tuple[Any, ...] = (0, -1, 2**63, 10**30, 1e308, -0.5, "", "x" * 300, None, [], {}, [[]])
STRANGE += (True, "nan", float("nan"), float("inf"), [1] * 50)


class Format(NamedTuple):
    """How to make a valid file, how the library reads it, and how to damage it, if not as bytes."""

    name: str
    write: Callable[[Path, random.Random], object]
    read: Callable[[Path], object]
    damage: Callable[[Path, random.Random], None] | None = None


def _values(rng: random.Random, types: str = "BHf") -> np.ndarray:
    return BYTES[..., 0].astype(rng.choice(types))


def _write_png(path: Path, rng: random.Random) -> None:
    mode = rng.choice(("1", "L", "LA", "P", "RGB", "RGBA", "I;16"))
    if mode == "I;16":
        image = Image.fromarray(BYTES[0, ..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(BYTES[0]).convert(mode)
    image.save(path, compress_level=rng.choice((0, 6)))


def _write_jpeg(path: Path, rng: random.Random) -> None:
    image = Image.fromarray(BYTES[0]).convert(rng.choice(("L", "RGB", "CMYK")))
    image.save(path, progressive=rng.random() < 0.5, quality=rng.choice((50, 95)))


def _write_tiff(path: Path, rng: random.Random) -> None:
    values = BYTES[0, ..., : rng.choice((1, 3))].squeeze()
    options: dict[str, Any] = {"photometric": "rgb" if values.ndim == 3 else "minisblack"}
    if rng.random() < 0.5:
        options["tile"] = (16, 16)
    options["compression"] = rng.choice((None, "zlib", "lzw", "packbits", "zstd", "lzma"))
    options["predictor"] = options["compression"] in ("zlib", "lzw") and rng.random() < 0.5
    options |= {"bigtiff": rng.random() < 0.3, "byteorder": rng.choice("<>")}
    tifffile.imwrite(path, values.astype(rng.choice("BH")), **options)


def _write_labels(path: Path, rng: random.Random) -> None:
    labels = BYTES[0, ..., 0] // 30
    mode = rng.choice(("L", "P", "I;16"))
    if mode == "I;16":
        Image.fromarray(labels.astype(np.uint16)).save(path)
    else:
        Image.fromarray(labels).convert(mode).save(path)


def _write_stack(path: Path, rng: random.Random) -> None:
    kind = rng.choice(("imagej", "ome", "plain"))
    options: dict[str, Any] = {"metadata": {"axes": "ZYX"}, "byteorder": rng.choice("<>")}
    if kind == "plain":
        options |= {"compression": rng.choice((None, "zlib", "lzw")), "rowsperstrip": 7}
    elif kind == "ome":
        options |= {"ome": True, "bigtiff": rng.random() < 0.5}
        options["metadata"] |= {"PhysicalSizeX": 2.0, "PhysicalSizeXUnit": "nm"}
    else:
        options = {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 2, "unit": "um"}}
    tifffile.imwrite(path, _values(rng), **options)


def _write_hdf5(path: Path, rng: random.Random) -> None:
    """Texts of fixed length: on a damaged heap of variable ones, libhdf5 itself may not end."""
    filters = {"compression": rng.choice((None, "gzip", "lzf")), "shuffle": rng.random() < 0.5}
    filters["fletcher32"] = rng.random() < 0.3
    with h5py.File(path, "w", libver=rng.choice(("earliest", "latest"))) as file:
        entry = file.create_group("entry/data")
        entry.create_dataset("data", data=_values(rng), chunks=(1, 12, 20), **filters)
        entry.attrs["signal"], entry.attrs["axes"] = np.bytes_("data"), np.array([b"z", b"y", b"x"])
        entry.attrs["NX_class"] = np.bytes_("NXdata")


def _write_zarr(path: Path, rng: random.Random) -> None:
    number = rng.choice((2, 3))
    options: dict[str, Any] = {"zarr_format": number}
    if number == 3 and rng.random() < 0.4:
        options["shards"] = (2, 24, 20)
    if rng.random() < 0.5:
        zarr.create_array(path, data=_values(rng), chunks=(1, 12, 20), **options)
        return
    group = zarr.open_group(path, mode="w", zarr_format=number)
    options.pop("zarr_format")
    group.create_array("0", data=_values(rng), chunks=(1, 12, 20), **options)
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [2.0, 1.0, 1.0]}]
    scales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    if number == 3:
        group.attrs["ome"] = {"version": "0.5", "multiscales": scales}
    else:
        group.attrs["multiscales"] = [{"version": "0.4", **scales[0]}]


def _write_npy(path: Path, rng: random.Random) -> None:
    values = _values(rng)
    with path.open("wb") as file:
        order = np.asfortranarray(values) if rng.random() < 0.5 else values
        np.lib.format.write_array(file, order, version=rng.choice(((1, 0), (2, 0), (3, 0))))


def _write_video(path: Path, rng: random.Random) -> None:
    import av

    codec, pixels = rng.choice((("mpeg4", "yuv420p"), ("mjpeg", "yuvj420p"), ("ffv1", "gray")))
    container = rng.choice(("mp4", "matroska", "avi")) if codec != "ffv1" else "matroska"
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 24, 20, pixels
        stream.codec_context.thread_count = 1
        for picture in BYTES[..., :3]:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def _write_mat(path: Path, rng: random.Random) -> None:
    from scipy.io import savemat

    people = np.empty((1, rng.randint(1, 3)), dtype=object)
    for number in range(people.size):
        people[0, number] = {"Segmentation": BYTES[number, ..., 0].astype(np.uint16) + 1}
    savemat(path, {"groundTruth": people}, do_compression=rng.random() < 0.5)


def _write_seg(path: Path, rng: random.Random) -> None:
    height, width = rng.choice(((24, 20), (1, 40), (30, 1)))
    head = f"format ascii cr\nwidth {width}\nheight {height}\nsegments 2\ndata\n"
    path.write_text(head + "".join(f"{row % 2} {row} 0 {width - 1}\n" for row in range(height)))


def _config(rng: random.Random) -> Config:
    return rng.choice((Config(), Config.preset("fast"), Config.preset("tomogram")))


RELABELS = (
    "labels: {1: {name: pore}}\nmerge: {1: [2, 3]}\nsmooth: 2\n",
    "labels:\n  0: {name: solid, color: '#ff0000'}\n  4: {name: crack}\nremove_small: {0: 20}\n",
    "merge:\n  0: [1]\n  2: [3, 4]\nfill_holes: [2]\nkeep_largest: [0]\n",
)


def _write_model(path: Path, rng: random.Random) -> None:
    config = Config(num_features=rng.choice((2, 5)), width=2, depth=1, n_segments=4, epochs=1)
    with torch.random.fork_rng():
        segmenter = Segmenter(config)
        segmenter.fit(np.random.default_rng(0).random((1, 3, 16, 16), dtype=np.float32))
    segmenter.save(path)


def _tamper(path: Path, rng: random.Random) -> None:
    """Puts strange values into the header of a model, under a right digest."""
    model = read_model(path)
    metadata = json.loads(json.dumps(model.metadata))
    notes = metadata.pop("notes")  # of any kind, so never wrong
    for _ in range(rng.randint(1, 3)):
        _replace_one(metadata, rng)
    write_model(path, model.weights, metadata | {"notes": notes}, model.record)


def _replace_one(value: Any, rng: random.Random) -> None:
    """Replaces, or removes, a value somewhere in nested mappings and lists."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = rng.choice(keys) if keys else None
    if key is None:
        return
    if isinstance(value[key], dict | list) and value[key] and rng.random() < 0.8:
        _replace_one(value[key], rng)
    elif rng.random() < 0.1:
        del value[key]
    else:
        value[key] = copy.deepcopy(rng.choice(STRANGE))


def _read_volume(path: Path) -> None:
    volume = open_volume(path)
    for _ in volume.check():
        pass
    for z in range(len(volume)):
        volume[z]


FORMATS = {
    "png": Format("a.png", _write_png, read_image),
    "jpeg": Format("a.jpg", _write_jpeg, read_image),
    "tiff": Format("a.tif", _write_tiff, read_image),
    "labels": Format("a.png", _write_labels, read_labels),
    "stack": Format("a.tif", _write_stack, _read_volume),
    "hdf5": Format("a.h5", _write_hdf5, _read_volume),
    "zarr": Format("a.zarr", _write_zarr, _read_volume),
    "npy": Format("a.npy", _write_npy, _read_volume),
    "video": Format("a.mp4", _write_video, _read_volume),
    "mat": Format("a.mat", _write_mat, read_truth),
    "seg": Format("a.seg", _write_seg, read_truth),
    "config": Format(
        "a.yaml",
        lambda path, rng: path.write_text(config_to_yaml(_config(rng))),
        lambda path: Config.from_dict(read_config(path)),
    ),
    "relabel": Format(
        "a.yaml", lambda path, rng: path.write_text(rng.choice(RELABELS)), read_relabel
    ),
    "model": Format("a.safetensors", _write_model, Segmenter.load),
    "sealed": Format("a.safetensors", _write_model, Segmenter.load, _tamper),
}
