"""Reads damaged copies of valid files of every format, in a process with limits.

Every copy must be read, or refused by an ``InputError`` of one line, in bounded time and memory::

    python tests/fuzz/mutants.py                             # all formats, as in the tests
    python tests/fuzz/mutants.py --seeds 500 --mutants 100   # the long run
    python tests/fuzz/mutants.py png tiff --seeds 10

It prints a line for each format and exits with 1 if a copy failed, which it leaves in ``--keep``.
"""

import argparse
import faulthandler
import json
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

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
from sp_graph_seg.segmenter.model_file import write_model
from sp_graph_seg.volumes import open_volume

#: Of a single copy; a whole run takes milliseconds for each.
SECONDS = 20
#: Above what the process holds after all imports.
MEMORY = 4 * 2**30

VALUES = np.random.default_rng(0).integers(0, 255, (5, 24, 20)).astype(np.uint8)


def _write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry/data")
        entry.create_dataset("data", data=VALUES, chunks=(1, 12, 20), compression="gzip")
        entry.attrs["signal"], entry.attrs["axes"] = "data", ["z", "y", "x"]
        entry.attrs["NX_class"] = "NXdata"


def _write_video(path: Path) -> None:
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 24, 20, "yuv420p"
        stream.codec_context.thread_count = 1
        for plane in VALUES:
            picture = np.repeat(plane[..., None], 3, axis=2)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())


def _write_mat(path: Path) -> None:
    from scipy.io import savemat

    people = np.empty((1, 1), dtype=object)
    people[0, 0] = {"Segmentation": VALUES[0].astype(np.uint16) + 1}
    savemat(path, {"groundTruth": people})


def _write_seg(path: Path) -> None:
    head = "format ascii cr\nwidth 20\nheight 24\nsegments 2\ndata\n"
    path.write_text(head + "".join(f"{row % 2} {row} 0 19\n" for row in range(24)))


def _write_model(path: Path) -> None:
    segmenter = Segmenter(Config(num_features=2, width=2, depth=1, n_segments=4, epochs=1))
    with torch.random.fork_rng():
        segmenter.fit(np.random.default_rng(0).random((1, 3, 16, 16), dtype=np.float32))
    segmenter.save(path)


def _write_sealed_model(path: Path) -> None:
    """A model of wrong contents with a right digest."""
    write_model(path, {"weight": torch.ones(2)}, {"config": {}, "head": [], "in_channels": 3})


def _read_volume(path: Path) -> None:
    volume = open_volume(path)
    for _ in volume.check():
        pass
    for z in range(len(volume)):
        volume[z]


class Format(NamedTuple):
    """How to make a valid file, and how the library reads it."""

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]


FORMATS = {
    "png": Format("a.png", lambda p: Image.fromarray(VALUES[0]).save(p), read_image),
    "jpeg": Format("a.jpg", lambda p: Image.fromarray(VALUES[0]).save(p), read_image),
    "tiff": Format(
        "a.tif", lambda p: tifffile.imwrite(p, VALUES[0], compression="zlib"), read_image
    ),
    "labels": Format("a.png", lambda p: Image.fromarray(VALUES[0]).save(p), read_labels),
    "stack": Format(
        "a.tif",
        lambda p: tifffile.imwrite(p, VALUES, imagej=True, metadata={"axes": "ZYX", "spacing": 2}),
        _read_volume,
    ),
    "hdf5": Format("a.h5", _write_hdf5, _read_volume),
    "zarr": Format(
        "a.zarr", lambda p: zarr.create_array(p, data=VALUES, chunks=(1, 12, 20)), _read_volume
    ),
    "npy": Format("a.npy", lambda p: np.save(p, VALUES), _read_volume),
    "video": Format("a.mp4", _write_video, _read_volume),
    "mat": Format("a.mat", _write_mat, read_truth),
    "seg": Format("a.seg", _write_seg, read_truth),
    "config": Format(
        "a.yaml",
        lambda p: p.write_text(config_to_yaml(Config())),
        lambda p: Config.from_dict(read_config(p)),
    ),
    "relabel": Format(
        "a.yaml",
        lambda p: p.write_text("labels: {1: {name: pore}}\nmerge: {1: [2, 3]}\nsmooth: 2\n"),
        read_relabel,
    ),
    "model": Format("a.safetensors", _write_model, Segmenter.load),
    "sealed": Format("a.safetensors", _write_sealed_model, Segmenter.load),
}


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


def run(name: str, seeds: int, mutants: int, keep: Path) -> Counter[str]:
    """Reads damaged copies of one format, and counts what came of them."""
    kind, counts = FORMATS[name], Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        valid = Path(folder) / "valid" / kind.name
        valid.parent.mkdir()
        kind.write(valid)
        if name != "sealed":
            kind.read(valid)
        for seed in range(seeds):
            rng = random.Random(f"{name} {seed}")
            for _ in range(mutants):
                copy = Path(folder) / kind.name
                _copy(valid, copy)
                damage(copy, rng)
                outcome = _outcome(kind.read, copy)
                counts[outcome] += 1
                if outcome not in ("read", "refused"):
                    keep.mkdir(parents=True, exist_ok=True)
                    _copy(copy, keep / f"{name}-{seed}-{sum(counts.values())}{copy.suffix}")
    return counts


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


def main() -> int:
    """Runs the formats that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", default=list(FORMATS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--mutants", type=int, default=100)
    parser.add_argument("--keep", type=Path, default=Path("mutants"))
    given = parser.parse_args()
    faulthandler.enable()
    signal.signal(signal.SIGALRM, _stop)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    held = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
    failed = False
    for name in given.formats:
        counts = run(name, given.seeds, given.mutants, given.keep)
        print(json.dumps({name: counts}), flush=True)
        failed |= bool(set(counts) - {"read", "refused"})
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
