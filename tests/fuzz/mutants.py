"""Reads damaged copies of valid files of every format, in processes with limits.

Every copy must be read, or refused by an ``InputError`` of one line, in bounded time and memory::

    python tests/fuzz/mutants.py                            # all formats, as in the tests
    python tests/fuzz/mutants.py --seeds 36 --mutants 100   # the long run
    python tests/fuzz/mutants.py png tiff --seeds 10

Each seed makes another valid file, in a process of its own. A line for each format has the counts
of what came of its copies. The exit code is 1 if a copy failed; such copies are left in ``--keep``.
"""

import argparse
import copy
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
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
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import read_image, read_labels
from sp_graph_seg.labels.relabel import read_relabel
from sp_graph_seg.segmenter.model_file import read_model, write_model
from sp_graph_seg.volumes import open_volume

#: For a single copy; most take milliseconds.
SECONDS = 20
#: Above what the process holds after all imports.
MEMORY = 4 * 2**30

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

#: SciPy's reader of ``.mat`` can crash the whole process, so it runs only if it is asked for.
USUAL = [name for name in FORMATS if name != "mat"]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damages 1 to 4 places of a file as transfers, disks and attackers do."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not out:
            break
        at = rng.randrange(len(out))
        size = rng.choice((1, 2, 4, 8, 64, 512))
        action = rng.randrange(7)
        if action == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            out[at : at + size] = rng.randbytes(size)
        elif action == 2:
            out[at : at + size] = rng.choice((b"\x00", b"\xff", b"\x7f", b"9", b"[")) * size
        elif action == 3:
            del out[at:]
        elif action == 4:
            del out[at : at + size]
        elif action == 5:
            out[at:at] = out[max(0, at - size) : at]
        else:
            number = rng.choice((0, 1, -1, 2**31 - 1, -(2**31), 2**16, 10**9)) % 2**32
            out[at : at + 4] = number.to_bytes(4, rng.choice(("little", "big")))
    return bytes(out)


def damage(path: Path, rng: random.Random) -> None:
    """Damages a file, or a file of a folder."""
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
    file = rng.choice(files)
    file.write_bytes(mutate(file.read_bytes(), rng))


def run(name: str, seeds: range, mutants: int, keep: Path) -> Counter[str]:
    """Reads damaged copies of one format, and counts what came of them."""
    counts = Counter[str]()
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            counts += _fork(name, seed, mutants, Path(folder))
            failed = sorted(Path(folder).glob("failed*"))
            if failed:
                keep.mkdir(parents=True, exist_ok=True)
            for path in failed:
                shutil.move(path, keep / f"{name}-{seed}-{path.name.removeprefix('failed-')}")
    return counts


def _fork(name: str, seed: int, mutants: int, folder: Path) -> Counter[str]:
    """Reads the copies of one seed in a child, which may crash, or hang deaf to signals."""
    log = folder / "outcomes"
    log.touch()
    pid = os.fork()
    if not pid:
        try:
            _limit_memory()
            read_copies(FORMATS[name], random.Random(f"{name} {seed}"), mutants, folder, log)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(0)
    done, status = 0, 0
    while not done:
        time.sleep(0.005)
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done and time.time() - log.stat().st_mtime > 3 * SECONDS:
            os.kill(pid, signal.SIGKILL)
    counts = Counter(map(str, map(json.loads, log.read_text().splitlines())))
    if counts.total() < mutants:
        code = os.waitstatus_to_exitcode(status)
        counts[f"the process ended with {code}; the copies after this one were not read"] += 1
        last = folder / FORMATS[name].name
        if last.exists():
            last.rename(folder / f"failed-{counts.total()}{last.suffix}")
    return counts


def read_copies(kind: Format, rng: random.Random, mutants: int, folder: Path, log: Path) -> None:
    """Makes a valid file, reads damaged copies of it, and writes the outcome of each to a log."""
    signal.signal(signal.SIGALRM, _stop)
    (folder / "valid").mkdir()
    valid, damaged = folder / "valid" / kind.name, folder / kind.name
    kind.write(valid, rng)
    kind.read(valid)
    with log.open("a") as lines:
        for number in range(1, mutants + 1):
            _copy(valid, damaged)
            (kind.damage or damage)(damaged, rng)
            outcome = _outcome(kind.read, damaged)
            print(json.dumps(outcome), file=lines, flush=True)
            if outcome not in ("read", "refused"):
                _copy(damaged, folder / f"failed-{number}{damaged.suffix}")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _outcome(read: Callable[[Path], object], path: Path) -> str:
    signal.alarm(SECONDS)
    try:
        read(path)
    except InputError as error:
        return "refused" if "\n" not in str(error) else f"refused in several lines: {error}"
    except _HangError:
        return "hung"
    except Exception as error:
        traceback.print_exc(limit=-4)
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    return "read"


class _HangError(BaseException):
    pass


def _stop(*_: object) -> None:
    raise _HangError


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    held = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))


def main() -> int:
    """Runs the formats that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", default=USUAL)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--mutants", type=int, default=100)
    parser.add_argument("--keep", type=Path, default=Path("mutants"))
    given = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    failed = False
    for name in given.formats:
        begin = time.monotonic()
        counts = run(name, seeds, given.mutants, given.keep)
        seconds = round(time.monotonic() - begin)
        print(json.dumps({name: counts, "seconds": seconds}), flush=True)
        failed |= bool(set(counts) - {"read", "refused"})
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
