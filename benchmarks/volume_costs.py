"""Parts of volumes.py: speed against the encoder alone, and peak memory; on slices made here."""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from report import Spread, ratios, time_together

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.segmenter import network
from sp_graph_seg.streaming import label_volume, read_slice
from sp_graph_seg.transforms import add_hessian_features
from sp_graph_seg.transforms.prepare import scale_down
from sp_graph_seg.volumes import Volume, open_volume


def speed(arguments: argparse.Namespace) -> tuple[str, list[dict[str, Any]]]:
    """One process for both, on the same cores: on one, as each of many workers, and on two."""
    settings: dict[str, dict[str, Any]] = {
        "the defaults": {},
        "superpixel_size 320": {"superpixel_size": 320},
        "superpixel_size 320, watershed": {
            "superpixel_size": 320,
            "superpixel_method": "watershed",
        },
    }
    rows = []
    with tempfile.TemporaryDirectory() as name:
        volume = make_volume(Path(name) / "slices.npy", 24)
        for title, changes in settings.items():
            model = train_briefly(volume, Config(**changes), Path(name))
            rows += [
                {"settings": title, "cores": cores, **compare_speed(model, volume, cores)}
                for cores in (1, 2)
            ]
    return "Speed on slices of 512x512, one process", rows


def compare_speed(
    model: Path,
    volume: Volume,
    cores: int,
    preflight: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, str]:
    """Reads, prepares, labels and writes all slices, and in turn only reads and encodes them."""

    def label_all() -> None:
        output = model.with_name("labels.npy")
        label_volume(model, volume, output, workers=0, overwrite=True, preflight=preflight)

    with on_cores(cores):
        alone, whole = time_together(
            lambda: encode(model, volume), label_all, repeats=5, warmup=1, clock=clock
        )
    ratio, count = ratios(alone, whole), len(volume)
    return {
        "encoder alone, slices/s": f"{Spread.of([count / t for t in alone]):.1f}",
        "label_volume, slices/s": f"{Spread.of([count / t for t in whole]):.1f}",
        "ratio": f"{ratio:.2f}",
        "at least 0.6": "yes" if ratio.median >= 0.6 else "no",
    }


def encode(model: Path, volume: Volume) -> None:
    """Reads every slice and gives it to the encoder, at the size at which it sees images."""
    segmenter = Segmenter.load(model)
    config = segmenter.config_
    for number in range(len(volume)):
        values = segmenter.normalize(read_slice(volume, number)).values
        if segmenter.labeller_:
            segmenter.labeller_.encode(values)
            continue
        seen = scale_down(values, config.max_size)
        network.encode(segmenter.paper_net, add_hessian_features(seen, config.hessian_scales))


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """So many cores and threads; label_volume gives each thread a slice of its own."""
    cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, sorted(cores)[:count])
    torch.set_num_threads(count)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)


def memory(arguments: argparse.Namespace) -> tuple[str, list[dict[str, Any]]]:
    """Each volume in a process of its own; a small network, which changes nothing of the growth."""
    config = Config(
        max_size=128, superpixel_size=128, n_segments=300, superpixel_method="watershed"
    )
    few = max(2, arguments.slices // 10)
    peaks = {}
    with tempfile.TemporaryDirectory() as name:
        for count in (few, arguments.slices):
            file = Path(name) / "slices.npy"
            volume = make_volume(file, count)
            model = train_briefly(volume, config, Path(name))
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                labels = Path(name) / f"{count}.zarr"
                peaks[count] = pool.submit(label_and_measure, model, file, labels).result()
    rows = [
        {
            "slices": str(count),
            "peak memory": f"{peak / 2**20:.0f} MiB",
            f"of that of {few}": f"{peak / peaks[few]:.3f}",
        }
        for count, peak in peaks.items()
    ]
    return "Peak memory of one process, slices of 512x512", rows


def label_and_measure(model: Path, file: Path, labels: Path) -> int:
    """Labels a volume; gives the most memory that the process held, in bytes."""
    label_volume(model, open_volume(file, axes="zyx"), labels, workers=0)
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def make_volume(file: Path, count: int) -> Volume:
    """Slices of moving blobs in noise, written one by one."""
    array = np.lib.format.open_memmap(file, "w+", np.uint8, (count, 512, 512))
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:512, :512]
    for number in range(count):
        blobs = np.sin(x / 17 + number / 9) * np.sin(y / 23) > 0.2
        array[number] = np.clip(90 + 80 * blobs + rng.normal(0, 15, blobs.shape), 0, 255)
    array.flush()
    return open_volume(file, axes="zyx")


def train_briefly(volume: Volume, config: Config, folder: Path) -> Path:
    """A model trained for one step: neither time nor memory depends on what it learned."""
    path = folder / "model.safetensors"
    few = config.replace(epochs=1, minibatches=1, patches=((4, 32, 32),))
    Segmenter(few).fit([read_slice(volume, 0)], intensity_range=(0.0, 255.0)).save(path)
    return path
