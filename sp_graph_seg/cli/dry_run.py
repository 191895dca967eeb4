"""Says what a command would read, train and write, for the flag --dry-run."""

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from sp_graph_seg.cli.messages import show
from sp_graph_seg.cli.outputs import join_names
from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError, SegmentationWarning
from sp_graph_seg.io.files import format_size
from sp_graph_seg.progress import format_seconds

if TYPE_CHECKING:
    from sp_graph_seg import Segmenter
    from sp_graph_seg.volumes import Volume

T = TypeVar("T")

#: Sides of the part of an image that is tried.
_TRIED = 1024

#: Bytes for each pixel of a whole slice that is labelled, as measured; see the page of volumes.
_BYTES_A_PIXEL = 35

#: Slices that the page of a volume reads once more.
_IN_REPORT = 512


class Cost(NamedTuple):
    """The time that the work on one image takes, and the memory that it needs.

    ``read``, ``prepare``, ``step`` and ``label`` are the seconds to read the image, to prepare its
    training, for one step of the training and to label the image. ``memory`` is in bytes.
    """

    read: float = 0.0
    prepare: float = 0.0
    step: float = 0.0
    label: float = 0.0
    memory: int = 0


def show_volumes(volumes: "Sequence[Volume]") -> None:
    """Prints what is read of volumes or videos."""
    for volume in volumes:
        channels = f" of {volume.channels} channels" if volume.channels > 1 else ""
        size = f"{volume.height} x {volume.width} {volume.dtype}{channels}"
        images = f"{len(volume)} {volume.noun} of {size}"
        axes = [axis for axis in volume.geometry.axes if axis.spacing is not None]
        spacing = ", ".join(f"{a.name} {a.spacing:g} {a.unit or ''}".rstrip() for a in axes)
        element = volume.elements.removesuffix("s")
        show("read", f"{volume.path}, {images}; {element} {spacing or 'size unknown'}")


def show_images(paths: Sequence[Path], images: Sequence[np.ndarray]) -> None:
    """Prints what is read of images."""
    sizes = sorted({"x".join(map(str, image.shape[1:])) for image in images})
    channels = len(images[0])
    show("read", f"{join_names(map(str, paths))}, {join_names(sizes)} pixels, {channels} channels")


def show_masks(paths: Sequence[Path] | None) -> None:
    """Prints which masks are used, if any."""
    if paths:
        show("mask", join_names(map(str, paths)))


def show_settings(preset: str, kind: str, config: Config) -> None:
    """Prints the preset, and the settings that differ from it."""
    from sp_graph_seg.presets import PRESETS

    name = kind if preset == "auto" else preset
    own, base = config.to_dict(), Config.from_dict(PRESETS[name]).to_dict()
    other = ", ".join(f"{key} {value}" for key, value in own.items() if value != base[key])
    chosen = ", chosen by the input" if preset == "auto" else ""
    show("preset", f"{name}{chosen}{f'; but {other}' if other else ''}")


def show_training(what: str, config: Config, count: int) -> None:
    """Prints what is trained on, and for how long."""
    from sp_graph_seg.training import count_steps

    if config.label_by == "regions":
        show("train", f"on {what}, from regions and without a network, label_by regions")
        return
    patches = " or ".join(f"{n} of {h} x {w}" for n, h, w in config.patches)
    steps = f"{count_steps(config, count)} steps in {config.epochs} epochs"
    show("train", f"on {what}, {steps}, patches: {patches} pixels, label_by {config.label_by}")


def show_results(files: Iterable[Path], labels: Sequence[tuple[Path, int]] = ()) -> None:
    """Prints what would be written.

    Args:
        files: Files that take less than 20 MB together, such as the model and the report.
        labels: Files of labels, and the bytes of the labels if nothing is compressed.
    """
    for file, size in labels:
        show("write", f"{file}, {format_size(size)} of labels, less if compressed")
    others = [*files]
    if others:
        show("write", f"{', '.join(map(str, others))}, below 20 MB")


def show_cost(seconds: dict[str, float], memory: int, how: str) -> None:
    """Prints the estimated time and memory. This is the last part of a plan."""
    parts = ", ".join(f"{name} {format_seconds(value)}" for name, value in seconds.items())
    total = format_seconds(sum(seconds.values()))
    show("time", f"about {total} ({parts}), an estimate from {how}")
    if memory:
        show("memory", f"about {format_size(memory)}, an estimate from {how}")
    show("dry run", "nothing was trained or written")


def training_seconds(cost: Cost, config: Config, count: int) -> float:
    """Estimates the seconds that a training on ``count`` images takes."""
    from sp_graph_seg.training import count_steps

    steps = cost.step * count_steps(config, count)
    if config.label_by != "phases":  # whose windows are divided among the images
        steps *= min(count, config.images_per_step or count)
    return count * cost.prepare + steps


def reading_seconds(cost: Cost, count: int) -> float:
    """Estimates the seconds that reading takes when ``count`` slices are labelled.

    Every slice is read twice, first to check it and then to label it. Up to 512 slices are read
    once more for the report.
    """
    return cost.read * (2 * count + min(count, _IN_REPORT))


def try_training(image: np.ndarray, config: Config, mask: np.ndarray | None = None) -> Cost:
    """Measures the cost of training on an image and of labelling it.

    For this, it trains a model for one epoch on the image, or on the middle part of a large image.
    The model is discarded. If the mask is 0 in the whole part, it is not used.
    """
    from sp_graph_seg import Segmenter

    small, inside = _middle(image, mask)
    short = config.replace(epochs=1)
    with warnings.catch_warnings():  # such as of labels that one epoch does not find
        warnings.simplefilter("ignore", SegmentationWarning)
        whole, segmenter = timed(lambda: Segmenter(short).fit(small, masks=inside))
    history = segmenter.history_
    steps = 0 if history is None else len(history)
    trained = history.seconds if history is not None else 0.0
    cost = Cost(prepare=max(whole - trained, 0.0), step=trained / max(steps, 1))
    return try_labelling(image, segmenter, mask)._replace(prepare=cost.prepare, step=cost.step)


def try_labelling(
    image: np.ndarray, segmenter: "Segmenter", mask: np.ndarray | None = None
) -> Cost:
    """Measures the cost of labelling an image.

    Of a large image, only the middle part is labelled, and the cost is scaled to the whole image.
    """
    small, inside = _middle(image, mask)
    seconds, _ = timed(lambda: segmenter.predict(small, mask=inside))
    untried = image[0].size - small[0].size
    scale = image[0].size / small[0].size
    return Cost(label=scale * seconds, memory=_peak_memory() + _BYTES_A_PIXEL * max(untried, 0))


def read_middle(volume: "Volume", skip_bad: bool = False) -> tuple[float, np.ndarray]:
    """Reads the middle slice of a volume, or the usable one nearest to it if bad ones are skipped.

    Returns:
        The seconds that this took, and the slice.
    """
    from sp_graph_seg.streaming import read_slice

    middle = len(volume) // 2
    if skip_bad:
        for number in sorted(range(len(volume)), key=lambda number: abs(number - middle)):
            with suppress(InputError):
                return timed(partial(read_slice, volume, number))
    return timed(partial(read_slice, volume, middle))


def _middle(image: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the middle part of an image, and that of its mask unless it is 0 in this part."""
    from sp_graph_seg.prototypes.stability import middle

    part = middle(image.shape[1:], _TRIED)
    inside = None if mask is None else mask[part]
    return image[:, *part], inside if inside is not None and inside.any() else None


def timed(function: Callable[[], T]) -> tuple[float, T]:
    """Calls a function. Returns the seconds that this took, and the result."""
    start = time.perf_counter()
    result: Any = function()
    return time.perf_counter() - start, result


def _peak_memory() -> int:
    """Returns the largest memory that this process has used, in bytes; 0 if it is not known."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
